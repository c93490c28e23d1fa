/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms, events, state groups, members, relations, transaction IDs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "core/signing.h"
#include "store/relations.h"
#include "store/rooms.h"
#include "store/txn.h"
#include "tests/unit/store_fixture.h"

#include <sqlite3.h>

/* --- a room ---------------------------------------------------------------- */

struct room {
	struct fixture f;
	struct mh_signer signer;
	const struct mh_room_rules *rules;
	struct mh_arena arena;
	mh_nid nid;
	int64_t state;	     /* the group after the newest event */
	int64_t depth;
	char last_id[64];    /* the newest event's */
	mh_nid last;
};

/* What send() makes; fields left out are NULL or 0. */
struct draft {
	const char *type, *state_key, *sender, *content;
	const char *prev; /* instead of the newest event */
	unsigned flags;
	int64_t ts, pos;
	bool fail; /* the job fails after all */
};

struct send {
	struct room *room;
	const struct draft *draft;
	struct mh_event_row row;
};

static struct mh_event *build(struct room *room, const struct draft *draft)
{
	struct mh_str prev = mh_str(draft->prev ? draft->prev : room->last_id);
	struct mh_event_draft event = {
		.rules = room->rules,
		.room_id = MH_STR("!r:a.example"),
		.sender = mh_str(draft->sender ? draft->sender :
						 "@alice:a.example"),
		.type = mh_str(draft->type),
		.state_key = mh_str(draft->state_key),
		.content = mh_str(draft->content ? draft->content : "{}"),
		.depth = room->depth + 1,
		.origin_server_ts = draft->ts ? draft->ts : room->depth + 1,
		.prev_events = &prev,
		.n_prev_events = prev.len ? 1 : 0,
	};
	struct mh_event *built = NULL;
	MH_ERROR(err);

	if (mh_event_build(&event, &room->signer, &built, &err) < 0)
		fail_msg("%s", err.message);
	return built;
}

static int persist(struct mh_tx *tx, struct send *send, struct mh_error *err)
{
	struct mh_event_row *row = &send->row;
	struct mh_state_item item;

	row->room = send->room->nid;
	row->flags = send->draft->flags;
	row->pos = send->draft->pos ? send->draft->pos : mh_tx_next_pos(tx);
	if (row->flags & MH_EVENT_OUTLIER) {
		row->pos = 0;
		return mh_events_insert(tx, row, err);
	}
	row->state_before = row->state_after = send->room->state;
	if (mh_events_reserve(tx, row, err) < 0)
		return -1;
	item = (struct mh_state_item){ row->type, row->state_key, row->nid };
	if (row->state_key) {
		row->state_after = mh_state_group_add(tx, row->room,
						      row->state_before, &item,
						      1, err);
		if (row->state_after < 0)
			return -1;
	}
	if (mh_events_insert(tx, row, err) < 0 ||
	    mh_extremities_advance(tx, row->room, row, err) < 0)
		return -1;
	if (row->state_key && mh_state_current_set(tx, row, err) < 0)
		return -1;
	return send->draft->fail ? mh_fail(err, MH_M_FORBIDDEN, "no") : 0;
}

static int send_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct send *send = context;
	struct mh_event_row again = { 0 };
	int rc = persist(tx, send, err);

	/* The batch sees it; readers must not. */
	if (rc == 0) {
		rc = mh_events_get(mh_tx_db(tx), send->row.event->event_id,
				   &again, err);
		assert_int_equal(rc, 1);
		assert_int_equal(again.nid, send->row.nid);
		mh_event_row_release(&again);
		rc = mh_events_get(send->room->f.db, send->row.event->event_id,
				   &again, err);
		assert_true(rc == 0 || again.flags & MH_EVENT_OUTLIER);
		mh_event_row_release(&again);
	}
	return rc < 0 ? -1 : 0;
}

/* Stores an event; its nid, or 0 when the job failed. */
static mh_nid send(struct room *room, struct draft draft)
{
	struct send send = { .room = room, .draft = &draft };
	mh_nid nid = 0;

	send.row.event = build(room, &draft);
	if (fixture_write(&room->f, send_job, &send) == 0) {
		nid = send.row.nid;
		if (!(draft.flags & MH_EVENT_OUTLIER)) {
			room->state = send.row.state_after;
			room->depth++;
		}
		room->last = nid;
		snprintf(room->last_id, sizeof(room->last_id), "%.*s",
			 MH_STR_ARG(send.row.event->event_id));
	}
	mh_event_row_release(&send.row);
	return nid;
}
#define SEND(room, ...) send((room), (struct draft){ __VA_ARGS__ })

static int create_room(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct room *room = context;

	return mh_rooms_create(tx, MH_STR("!r:a.example"), room->rules,
			       &room->nid, err);
}

static void room_open(struct room *room)
{
	static const unsigned char seed[MH_ED25519_SEED] = { 7 };

	memset(room, 0, sizeof(*room));
	fixture_open(&room->f);
	mh_arena_init(&room->arena);
	mh_signer_init(&room->signer, MH_STR("a.example"), MH_STR("ed25519:1"),
		       seed);
	room->rules = mh_room_rules_find(MH_STR("10"));
	assert_int_equal(fixture_write(&room->f, create_room, room), 0);
	assert_true(SEND(room, .type = "m.room.create", .state_key = "",
			 .content = "{\"creator\":\"@alice:a.example\"}"));
	assert_true(SEND(room, .type = "m.room.member",
			 .state_key = "@alice:a.example",
			 .content = "{\"membership\":\"join\"}"));
}

static void room_close(struct room *room)
{
	mh_signer_release(&room->signer);
	mh_arena_release(&room->arena);
	fixture_close(&room->f);
}

static mh_nid name(struct room *room, const char *text)
{
	MH_ERROR(err);
	mh_nid nid = mh_name_find(room->f.db, mh_str(text), &err);

	assert_true(nid >= 0);
	return nid;
}

/* --- events ----------------------------------------------------------------- */

static void expect_event(struct room *room, mh_nid nid, const char *type,
			 unsigned flags)
{
	struct mh_event_row row, same;
	MH_ERROR(err);

	assert_int_equal(mh_events_get_nid(room->f.db, nid, &row, &err), 1);
	assert_true(mh_str_is(row.event->type, type));
	assert_int_equal(row.flags, flags);
	assert_int_equal(row.room, room->nid);
	assert_int_equal(row.type, name(room, type));
	assert_int_equal(mh_events_get(room->f.db, row.event->event_id, &same,
				       &err),
			 1);
	assert_int_equal(same.nid, nid);
	mh_event_row_release(&same);
	mh_event_row_release(&row);
}

static void test_events_are_found_by_id_and_number(void **state MH_UNUSED)
{
	struct room room;
	struct mh_event_row row;
	mh_nid nid;
	MH_ERROR(err);

	room_open(&room);
	nid = SEND(&room, .type = "m.room.message", .content = "{\"body\":\"x\"}");
	expect_event(&room, nid, "m.room.message", 0);
	fixture_reopen(&room.f);
	expect_event(&room, nid, "m.room.message", 0);
	assert_int_equal(mh_events_get(room.f.db, MH_STR("$unknown"), &row,
				       &err),
			 0);
	assert_int_equal(mh_events_get_nid(room.f.db, 4711, &row, &err), 0);
	assert_int_equal(mh_events_find(room.f.db, MH_STR("$unknown"), &err), 0);
	room_close(&room);
}

static void test_a_failed_job_leaves_no_event(void **state MH_UNUSED)
{
	struct room room;
	struct mh_extremity *leaves;
	mh_nid last;
	size_t n;
	MH_ERROR(err);

	room_open(&room);
	last = room.last;
	assert_int_equal(SEND(&room, .type = "m.room.topic", .state_key = "",
			      .fail = true),
			 0);
	assert_int_equal(mh_extremities_get(room.f.db, room.nid, &room.arena,
					    &leaves, &n, &err),
			 0);
	assert_int_equal(n, 1);
	assert_int_equal(leaves[0].event, last);
	/* The same event can be stored afterwards. */
	assert_true(SEND(&room, .type = "m.room.topic", .state_key = ""));
	room_close(&room);
}

struct redact {
	struct room *room;
	mh_nid target, redaction;
	bool fail;
};

static int redact_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct redact *redact = context;
	struct mh_event_row row;

	if (mh_events_get_nid(mh_tx_db(tx), redact->target, &row, err) <= 0)
		return -1;
	if (mh_events_redact(tx, &row, redact->redaction, err) < 0) {
		mh_event_row_release(&row);
		return -1;
	}
	mh_event_row_release(&row);
	if (mh_events_get_nid(mh_tx_db(tx), redact->target, &row, err) <= 0)
		return -1;
	assert_true(row.flags & MH_EVENT_REDACTED);
	assert_true(mh_str_is(row.event->content, "{}"));
	mh_event_row_release(&row);
	expect_event(redact->room, redact->target, "m.room.message", 0);
	return redact->fail ? mh_fail(err, MH_M_FORBIDDEN, "no") : 0;
}

static void test_a_redaction_is_seen_after_commit_alone(void **state MH_UNUSED)
{
	struct room room;
	struct redact redact = { .room = &room };
	struct fixture_job a, b;

	room_open(&room);
	redact.target = SEND(&room, .type = "m.room.message",
			     .content = "{\"body\":\"x\"}");
	redact.redaction = SEND(&room, .type = "m.room.redaction");
	expect_event(&room, redact.target, "m.room.message", 0);
	redact.fail = true;
	assert_int_equal(fixture_write(&room.f, redact_job, &redact), -1);
	expect_event(&room, redact.target, "m.room.message", 0);
	/* One job of a batch succeeds, the next is rolled back. */
	struct redact again = redact;
	redact.fail = false;
	fixture_submit(&room.f, &a, redact_job, &redact);
	fixture_submit(&room.f, &b, redact_job, &again);
	mh_executor_run_until_idle(room.f.executor);
	assert_int_equal(a.result, 0);
	assert_int_equal(b.result, -1);
	expect_event(&room, redact.target, "m.room.message", MH_EVENT_REDACTED);
	fixture_reopen(&room.f);
	expect_event(&room, redact.target, "m.room.message", MH_EVENT_REDACTED);
	room_close(&room);
}

static void test_an_old_snapshot_does_not_bring_old_bytes_back(
	void **state MH_UNUSED)
{
	struct room room;
	struct redact redact = { .room = &room };
	int64_t pos;
	MH_ERROR(err);

	room_open(&room);
	redact.target = SEND(&room, .type = "m.room.message",
			     .content = "{\"body\":\"x\"}");
	redact.redaction = SEND(&room, .type = "m.room.redaction");
	fixture_reopen(&room.f); /* nothing is cached */
	{
		MH_SNAPSHOT(snapshot, room.f.db);
		assert_int_equal(mh_db_position(snapshot, &pos, &err), 0);
		assert_int_equal(fixture_write(&room.f, redact_job, &redact),
				 0);
		assert_true(mh_store_position(room.f.store) == pos);
		expect_event(&room, redact.target, "m.room.message",
			     MH_EVENT_REDACTED);
	}
	expect_event(&room, redact.target, "m.room.message", MH_EVENT_REDACTED);
	room_close(&room);
}

/* --- the timeline ------------------------------------------------------------ */

struct page {
	mh_nid nids[64];
	size_t n;
};

static int add_to_page(void *context, const struct mh_event_row *row,
		       struct mh_error *err)
{
	struct page *page = context;

	(void)err;
	page->nids[page->n++] = row->nid;
	return 1;
}

static struct page timeline(struct room *room, struct mh_timeline_query query)
{
	struct page page = { .n = 0 };
	MH_ERROR(err);

	query.room = room->nid;
	if (!query.limit)
		query.limit = 64;
	assert_int_equal(mh_events_timeline(room->f.db, &query, add_to_page,
					    &page, &err),
			 0);
	return page;
}
#define TIMELINE(room, ...)                                                    \
	timeline((room), (struct mh_timeline_query){ __VA_ARGS__ })

static void test_the_timeline_has_what_is_shown(void **state MH_UNUSED)
{
	struct room room;
	struct page page;
	mh_nid a, b, old, create, join;

	room_open(&room);
	page = TIMELINE(&room, .order = MH_BY_POS);
	assert_int_equal(page.n, 2);
	create = page.nids[0];
	join = page.nids[1];
	a = SEND(&room, .type = "m.room.message");
	SEND(&room, .type = "m.x", .flags = MH_EVENT_SOFT_FAILED);
	SEND(&room, .type = "m.y", .flags = MH_EVENT_REJECTED);
	SEND(&room, .type = "m.room.redaction", .flags = MH_EVENT_HIDDEN);
	b = SEND(&room, .type = "m.room.message");
	room.depth = 0; /* backfilled: early in the DAG */
	old = SEND(&room, .type = "m.old", .pos = -1);

	page = TIMELINE(&room, .order = MH_BY_POS);
	assert_int_equal(page.n, 4);
	assert_int_equal(page.nids[2], a);
	assert_int_equal(page.nids[3], b);
	page = TIMELINE(&room, .order = MH_BY_POS, .backwards = true,
			.pos = INT64_MAX, .limit = 2);
	assert_int_equal(page.n, 2);
	assert_int_equal(page.nids[0], b);
	assert_int_equal(page.nids[1], a);
	page = TIMELINE(&room, .order = MH_BY_POS, .pos = 2, .until_pos = 3);
	assert_int_equal(page.n, 1);
	assert_int_equal(page.nids[0], a);

	/* Depth 1 has the create event and the backfilled one before it. */
	page = TIMELINE(&room, .order = MH_BY_DEPTH, .depth = 0);
	assert_int_equal(page.n, 5);
	assert_int_equal(page.nids[0], old);
	assert_int_equal(page.nids[1], create);
	assert_int_equal(page.nids[2], join);
	assert_int_equal(page.nids[4], b);
	page = TIMELINE(&room, .order = MH_BY_DEPTH, .backwards = true,
			.depth = 2, .pos = 2);
	assert_int_equal(page.n, 2);
	assert_int_equal(page.nids[0], create);
	assert_int_equal(page.nids[1], old);
	room_close(&room);
}

static void expect_nearest(struct room *room, int64_t ts, bool forwards,
			   mh_nid want)
{
	struct mh_event_row row = { 0 };
	MH_ERROR(err);
	int rc = mh_events_nearest(room->f.db, room->nid, ts, forwards, &row,
				   &err);

	assert_int_equal(rc, want != 0);
	assert_int_equal(row.nid, want);
	mh_event_row_release(&row);
}

static void test_the_event_nearest_to_a_time(void **state MH_UNUSED)
{
	struct room room;
	mh_nid a, b;

	room_open(&room);
	a = SEND(&room, .type = "m.a", .ts = 2000);
	b = SEND(&room, .type = "m.b", .ts = 1000);
	SEND(&room, .type = "m.c", .ts = 1500, .flags = MH_EVENT_SOFT_FAILED);
	expect_nearest(&room, 900, true, b);
	expect_nearest(&room, 1000, true, b);
	expect_nearest(&room, 1001, true, a);
	expect_nearest(&room, 1999, false, b);
	expect_nearest(&room, 9999, false, a);
	expect_nearest(&room, 2001, true, 0);
	room_close(&room);
}

/* --- what is missing --------------------------------------------------------- */

static int count_backward(void *context, struct mh_str event_id, mh_nid child)
{
	size_t *n = context;

	(void)event_id;
	assert_true(child > 0);
	++*n;
	return 1;
}

static size_t backward(struct room *room)
{
	size_t n = 0;
	MH_ERROR(err);

	assert_int_equal(mh_extremities_backward(room->f.db, room->nid,
						 count_backward, &n, &err),
			 0);
	return n;
}

static void test_an_outlier_takes_its_place(void **state MH_UNUSED)
{
	struct room room;
	struct draft draft = { .type = "m.lost" };
	struct mh_event *lost;
	mh_nid outlier, child;
	char lost_id[64], prev[64];
	MH_ERROR(err);

	room_open(&room);
	assert_int_equal(backward(&room), 0);
	memcpy(prev, room.last_id, sizeof(prev));
	lost = build(&room, &draft);
	snprintf(lost_id, sizeof(lost_id), "%.*s", MH_STR_ARG(lost->event_id));
	mh_event_unref(lost);
	child = SEND(&room, .type = "m.child", .prev = lost_id);
	assert_int_equal(backward(&room), 1);

	/* Built alike, it is the same event. */
	room.depth--;
	draft.prev = prev;
	draft.flags = MH_EVENT_OUTLIER;
	outlier = send(&room, draft);
	assert_string_equal(room.last_id, lost_id);
	assert_int_equal(backward(&room), 1);
	expect_event(&room, outlier, "m.lost", MH_EVENT_OUTLIER);
	draft.flags = 0;
	assert_int_equal(send(&room, draft), outlier);
	assert_int_equal(backward(&room), 0);
	expect_event(&room, outlier, "m.lost", 0);
	expect_event(&room, child, "m.child", 0);
	/* Twice in the timeline is a failure. */
	draft.prev = prev;
	room.depth--;
	assert_int_equal(send(&room, draft), 0);
	assert_int_equal(mh_events_find(room.f.db, mh_str(lost_id), &err),
			 outlier);
	room_close(&room);
}

/* --- state -------------------------------------------------------------------- */

static void expect_state(struct room *room, int64_t group, const char *type,
			 const char *state_key, mh_nid event)
{
	MH_ERROR(err);

	assert_int_equal(mh_state_group_get(room->f.db, group,
					    name(room, type),
					    name(room, state_key), &err),
			 event);
}

static void test_the_current_state_follows(void **state MH_UNUSED)
{
	struct room room;
	struct mh_event_row row;
	struct mh_room info;
	mh_nid first, second;
	int64_t before;
	MH_ERROR(err);

	room_open(&room);
	first = SEND(&room, .type = "m.room.topic", .state_key = "");
	before = room.state;
	second = SEND(&room, .type = "m.room.topic", .state_key = "");
	SEND(&room, .type = "m.room.message");
	expect_state(&room, before, "m.room.topic", "", first);
	expect_state(&room, room.state, "m.room.topic", "", second);
	expect_state(&room, room.state, "m.room.name", "", 0);
	assert_int_equal(mh_state_current_get(room.f.db, room.nid,
					      "m.room.topic", MH_STR(""), &row,
					      &err),
			 1);
	assert_int_equal(row.nid, second);
	mh_event_row_release(&row);
	assert_int_equal(mh_rooms_get(room.f.db, room.nid, &info, &err), 1);
	assert_int_equal(info.state, room.state);
	assert_int_equal(info.latest_pos, mh_store_position(room.f.store));
	assert_true(info.create_event > 0);
	assert_ptr_equal(info.rules, room.rules);
	room_close(&room);
}

/* A model beside the chain of groups: 300 keys, 5000 changes. */
struct churn {
	struct room *room;
	uint64_t seed;
	int64_t groups[5001];
	mh_nid model[300];
	mh_nid snapshots[50][300]; /* after every 100th change */
	size_t n;
};

static int churn_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct churn *churn = context;

	for (size_t i = 0; i < 500; i++) {
		struct mh_state_item items[3];
		size_t n_items = 1 + churn->n % 3;

		for (size_t j = 0; j < n_items; j++) {
			churn->seed = churn->seed * 6364136223846793005u + 1;
			items[j].type = 1;
			items[j].state_key =
				(mh_nid)(1 + (churn->seed >> 33) % 100 +
					 100 * j);
			items[j].event = (churn->seed >> 20) % 10 == 0 ?
						 0 :
						 (mh_nid)(1 + churn->n);
			churn->model[items[j].state_key - 1] = items[j].event;
		}
		churn->groups[churn->n + 1] = mh_state_group_add(
			tx, churn->room->nid, churn->groups[churn->n], items,
			n_items, err);
		if (churn->groups[churn->n + 1] < 0)
			return -1;
		if (churn->n % 100 == 99)
			memcpy(churn->snapshots[churn->n / 100], churn->model,
			       sizeof(churn->model));
		churn->n++;
	}
	return 0;
}

static void check_snapshot(struct churn *churn, size_t index)
{
	int64_t group = churn->groups[100 * (index + 1)];
	struct mh_state_item *items;
	struct mh_arena arena;
	size_t n, at = 0;
	MH_ERROR(err);

	mh_arena_init(&arena);
	/* Single look-ups first: loading puts the group into the cache. */
	for (size_t i = 0; i < 300; i += 37)
		assert_int_equal(mh_state_group_get(churn->room->f.db, group, 1,
						    (mh_nid)i + 1, &err),
				 churn->snapshots[index][i]);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(mh_state_group_load(churn->room->f.db, group,
						     &arena, &items, &n, &err),
				 0);
		at = 0;
		for (size_t i = 0; i < 300; i++) {
			if (!churn->snapshots[index][i])
				continue;
			assert_true(at < n);
			assert_int_equal(items[at].state_key, i + 1);
			assert_int_equal(items[at++].event,
					 churn->snapshots[index][i]);
		}
		assert_int_equal(at, n);
	}
	mh_arena_release(&arena);
}

static void check_difference(struct churn *churn, size_t from, size_t to)
{
	struct mh_state_item *items;
	struct mh_arena arena;
	size_t n, at = 0;
	MH_ERROR(err);

	mh_arena_init(&arena);
	assert_int_equal(mh_state_group_diff(churn->room->f.db,
					     churn->groups[100 * (from + 1)],
					     churn->groups[100 * (to + 1)],
					     &arena, &items, &n, &err),
			 0);
	for (size_t i = 0; i < 300; i++) {
		if (churn->snapshots[from][i] == churn->snapshots[to][i])
			continue;
		assert_true(at < n);
		assert_int_equal(items[at].state_key, i + 1);
		assert_int_equal(items[at++].event, churn->snapshots[to][i]);
	}
	assert_int_equal(at, n);
	mh_arena_release(&arena);
}

static void test_groups_in_long_chains_are_right(void **state MH_UNUSED)
{
	struct churn *churn = MH_NEW(struct churn);
	struct room room;

	room_open(&room);
	churn->room = &room;
	while (churn->n < 5000)
		assert_int_equal(fixture_write(&room.f, churn_job, churn), 0);
	fixture_reopen(&room.f);
	for (size_t i = 0; i < 50; i++)
		check_snapshot(churn, i);
	fixture_reopen(&room.f);
	check_difference(churn, 10, 11);
	check_difference(churn, 11, 10);
	check_difference(churn, 2, 39);
	check_difference(churn, 3, 45);
	check_difference(churn, 49, 5);
	room_close(&room);
	free(churn);
}

/* --- members ------------------------------------------------------------------ */

static void member(struct room *room, const char *user, const char *membership)
{
	char content[64];

	snprintf(content, sizeof(content), "{\"membership\":\"%s\"}",
		 membership);
	assert_true(SEND(room, .type = "m.room.member", .sender = user,
			 .state_key = user, .content = content));
}

static void expect_counts(struct room *room, int joined, int invited, int local)
{
	struct mh_member_counts counts;
	MH_ERROR(err);

	assert_int_equal(mh_member_count(room->f.db, room->nid, &counts, &err),
			 0);
	assert_int_equal(counts.joined, joined);
	assert_int_equal(counts.invited, invited);
	assert_int_equal(counts.joined_local, local);
}

static int add_member(void *context, const struct mh_member *member)
{
	struct page *page = context;

	page->nids[page->n++] = member->user;
	return 1;
}

static void test_members_are_counted_and_listed(void **state MH_UNUSED)
{
	struct room room;
	struct page page = { .n = 0 };
	struct mh_member bob;
	int64_t since;
	MH_ERROR(err);

	room_open(&room);
	member(&room, "@bob:b.example", "invite");
	expect_counts(&room, 1, 1, 1);
	member(&room, "@bob:b.example", "join");
	since = mh_store_position(room.f.store);
	member(&room, "@carol:a.example", "join");
	member(&room, "@bob:b.example", "join"); /* a new name, say */
	expect_counts(&room, 3, 0, 2);
	assert_int_equal(mh_member_get(room.f.db, room.nid,
				       name(&room, "@bob:b.example"), &bob,
				       &err),
			 1);
	assert_int_equal(bob.pos, since);
	assert_int_equal(bob.event, room.last);
	assert_false(bob.local);
	assert_int_equal(mh_member_list(room.f.db, room.nid, MH_MEMBERSHIP_JOIN,
					add_member, &page, &err),
			 0);
	assert_int_equal(page.n, 3);
	assert_int_equal(page.nids[1], name(&room, "@bob:b.example"));
	assert_int_equal(mh_member_share_room(room.f.db,
					      name(&room, "@bob:b.example"),
					      name(&room, "@alice:a.example"),
					      &err),
			 1);
	member(&room, "@bob:b.example", "ban");
	expect_counts(&room, 2, 0, 2);
	assert_int_equal(mh_member_share_room(room.f.db,
					      name(&room, "@bob:b.example"),
					      name(&room, "@alice:a.example"),
					      &err),
			 0);
	room_close(&room);
}

struct replace {
	struct room *room;
	int64_t group;
};

static int replace_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct replace *replace = context;

	return mh_state_current_replace(tx, replace->room->nid, replace->group,
					mh_tx_next_pos(tx), err);
}

static void test_replacing_the_state_moves_members(void **state MH_UNUSED)
{
	struct room room;
	struct replace replace = { .room = &room };
	struct mh_event_row row;
	struct mh_member carol;
	mh_nid topic;
	MH_ERROR(err);

	room_open(&room);
	topic = SEND(&room, .type = "m.room.topic", .state_key = "");
	replace.group = room.state;
	member(&room, "@carol:a.example", "join");
	SEND(&room, .type = "m.room.topic", .state_key = "");
	SEND(&room, .type = "m.room.name", .state_key = "");
	expect_counts(&room, 2, 0, 2);
	assert_int_equal(fixture_write(&room.f, replace_job, &replace), 0);
	expect_counts(&room, 1, 0, 1);
	assert_int_equal(mh_member_get(room.f.db, room.nid,
				       name(&room, "@carol:a.example"), &carol,
				       &err),
			 1);
	assert_int_equal(carol.membership, MH_MEMBERSHIP_LEAVE);
	assert_int_equal(mh_state_current_get(room.f.db, room.nid,
					      "m.room.topic", MH_STR(""), &row,
					      &err),
			 1);
	assert_int_equal(row.nid, topic);
	mh_event_row_release(&row);
	assert_int_equal(mh_state_current_get(room.f.db, room.nid,
					      "m.room.name", MH_STR(""), &row,
					      &err),
			 0);
	room_close(&room);
}

/* --- relations ----------------------------------------------------------------- */

struct relate {
	mh_nid child;
	const char *parent, *rel_type, *key;
};

static int relate_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct relate *relate = context;
	struct mh_event_row row;
	int rc;

	if (mh_events_get_nid(mh_tx_db(tx), relate->child, &row, err) <= 0)
		return -1;
	rc = mh_relations_add(tx, &row, mh_str(relate->parent),
			      mh_str(relate->rel_type), mh_str(relate->key),
			      err);
	mh_event_row_release(&row);
	return rc;
}

/* Sends a message that relates to `parent`. */
static mh_nid relate(struct room *room, const char *sender, const char *parent,
		     const char *rel_type, const char *key)
{
	struct relate relation = { 0, parent, rel_type, key };
	char content[256];

	snprintf(content, sizeof(content),
		 "{\"m.relates_to\":{\"event_id\":\"%s\",\"rel_type\":\"%s\"%s%s"
		 "%s}}",
		 parent, rel_type, key ? ",\"key\":\"" : "", key ? key : "",
		 key ? "\"" : "");
	relation.child = SEND(room, .type = "m.room.message", .sender = sender,
			      .content = content);
	assert_int_equal(fixture_write(&room->f, relate_job, &relation), 0);
	return relation.child;
}

static void expect_thread(struct room *room, mh_nid root, int replies,
			  mh_nid latest)
{
	struct mh_thread thread = { .replies = 0 };
	MH_ERROR(err);

	assert_int_equal(mh_thread_get(room->f.db, root, &thread, &err),
			 replies > 0);
	assert_int_equal(thread.replies, replies);
	assert_int_equal(thread.latest, latest);
}

static void redact(struct room *room, mh_nid target)
{
	struct redact job = { .room = room, .target = target };

	job.redaction = SEND(room, .type = "m.room.redaction");
	assert_int_equal(fixture_write(&room->f, redact_job, &job), 0);
}

static void test_threads_follow_their_replies(void **state MH_UNUSED)
{
	struct room room;
	mh_nid root, a, b;
	char root_id[64];
	MH_ERROR(err);

	room_open(&room);
	root = SEND(&room, .type = "m.room.message");
	memcpy(root_id, room.last_id, sizeof(root_id));
	expect_thread(&room, root, 0, 0);
	a = relate(&room, "@bob:b.example", root_id, "m.thread", NULL);
	b = relate(&room, NULL, root_id, "m.thread", NULL);
	expect_thread(&room, root, 2, b);
	assert_int_equal(mh_thread_participated(room.f.db, root,
						name(&room, "@bob:b.example"),
						&err),
			 1);
	redact(&room, b);
	expect_thread(&room, root, 1, a);
	redact(&room, a);
	expect_thread(&room, root, 0, 0);
	assert_int_equal(mh_thread_participated(room.f.db, root,
						name(&room, "@bob:b.example"),
						&err),
			 0);
	assert_int_equal(
		mh_thread_participated(room.f.db, root,
				       name(&room, "@alice:a.example"), &err),
		1);
	room_close(&room);
}

static void test_the_last_edit_by_the_sender_counts(void **state MH_UNUSED)
{
	struct room room;
	struct mh_event_row parent, edit;
	mh_nid first, second;
	char id[64];
	MH_ERROR(err);

	room_open(&room);
	SEND(&room, .type = "m.room.message");
	memcpy(id, room.last_id, sizeof(id));
	assert_int_equal(mh_events_get_nid(room.f.db, room.last, &parent, &err),
			 1);
	assert_int_equal(mh_relations_edit(room.f.db, &parent, &edit, &err), 0);
	first = relate(&room, NULL, id, "m.replace", NULL);
	second = relate(&room, NULL, id, "m.replace", NULL);
	relate(&room, "@bob:b.example", id, "m.replace", NULL);
	assert_int_equal(mh_relations_edit(room.f.db, &parent, &edit, &err), 1);
	assert_int_equal(edit.nid, second);
	mh_event_row_release(&edit);
	redact(&room, second);
	assert_int_equal(mh_relations_edit(room.f.db, &parent, &edit, &err), 1);
	assert_int_equal(edit.nid, first);
	mh_event_row_release(&edit);
	mh_event_row_release(&parent);
	room_close(&room);
}

static void test_pages_of_relations(void **state MH_UNUSED)
{
	struct room room;
	struct page page = { .n = 0 };
	struct mh_relations_query query = { .backwards = true,
					    .pos = INT64_MAX,
					    .limit = 10 };
	mh_nid a, b, c;
	char id[64], reply_id[64];
	MH_ERROR(err);

	room_open(&room);
	query.parent = SEND(&room, .type = "m.room.message");
	memcpy(id, room.last_id, sizeof(id));
	a = relate(&room, NULL, id, "m.annotation", "y");
	b = relate(&room, NULL, id, "m.thread", NULL);
	memcpy(reply_id, room.last_id, sizeof(reply_id));
	c = relate(&room, NULL, reply_id, "m.annotation", "z");
	assert_int_equal(mh_relations_annotated(
				 room.f.db, mh_str(id),
				 name(&room, "m.room.message"),
				 name(&room, "@alice:a.example"), MH_STR("y"),
				 &err),
			 1);
	assert_int_equal(mh_relations_annotated(
				 room.f.db, mh_str(id),
				 name(&room, "m.room.message"),
				 name(&room, "@alice:a.example"), MH_STR("z"),
				 &err),
			 0);
	assert_int_equal(mh_relations_page(room.f.db, &query, add_to_page,
					   &page, &err),
			 0);
	assert_int_equal(page.n, 2);
	assert_int_equal(page.nids[0], b);
	assert_int_equal(page.nids[1], a);
	page.n = 0;
	query.recurse = true;
	query.rel_type = MH_STR("m.annotation");
	assert_int_equal(mh_relations_page(room.f.db, &query, add_to_page,
					   &page, &err),
			 0);
	assert_int_equal(page.n, 2);
	assert_int_equal(page.nids[0], c);
	assert_int_equal(page.nids[1], a);
	room_close(&room);
}

static void test_a_relation_waits_for_its_parent(void **state MH_UNUSED)
{
	struct room room;
	struct draft draft = { .type = "m.late" };
	struct mh_event *late;
	mh_nid parent, child;
	char id[64], prev[64];

	room_open(&room);
	memcpy(prev, room.last_id, sizeof(prev));
	late = build(&room, &draft);
	snprintf(id, sizeof(id), "%.*s", MH_STR_ARG(late->event_id));
	mh_event_unref(late);
	child = relate(&room, NULL, id, "m.thread", NULL);
	draft.prev = prev;
	room.depth--;
	parent = send(&room, draft);
	assert_string_equal(room.last_id, id);
	expect_thread(&room, parent, 1, child);
	room_close(&room);
}

/* --- transaction IDs ------------------------------------------------------------ */

static int txn_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct room *room = context;

	if (mh_txn_add_event(tx, 5, 6, MH_STR("send !r\nt1"), room->last, err) <
	    0)
		return -1;
	return mh_txn_add_reply(tx, 5, 6, MH_STR("todevice\nt1"), 1,
				MH_STR("{}"), err);
}

static int forget_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	(void)context;
	return mh_txn_forget_device(tx, 5, 6, err);
}

static void test_transactions_are_of_a_device_and_a_path(void **state MH_UNUSED)
{
	struct room room;
	struct mh_db *db;
	MH_STRBUF(text);
	MH_ERROR(err);

	room_open(&room);
	assert_int_equal(fixture_write(&room.f, txn_job, &room), 0);
	db = room.f.db;
	assert_int_equal(mh_txn_event(db, 5, 6, MH_STR("send !r\nt1"), &err),
			 room.last);
	assert_int_equal(mh_txn_event(db, 5, 6, MH_STR("send !q\nt1"), &err),
			 0);
	assert_int_equal(mh_txn_event(db, 5, 7, MH_STR("send !r\nt1"), &err),
			 0);
	assert_int_equal(mh_txn_of_event(db, room.last, 5, 6, &text, &err), 1);
	assert_string_equal(text.data, "t1");
	assert_int_equal(mh_txn_of_event(db, room.last, 5, 7, &text, &err), 0);
	mh_strbuf_clear(&text);
	assert_int_equal(mh_txn_reply(db, 5, 6, MH_STR("todevice\nt1"), &text,
				      &err),
			 1);
	assert_string_equal(text.data, "{}");
	assert_int_equal(fixture_write(&room.f, forget_job, NULL), 0);
	assert_int_equal(mh_txn_event(db, 5, 6, MH_STR("send !r\nt1"), &err),
			 0);
	room_close(&room);
}

/* --- aliases --------------------------------------------------------------------- */

static int alias_job(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct room *room = context;

	return mh_alias_add(tx, MH_STR("#x:a.example"), room->nid, 3, err);
}

static void test_an_alias_belongs_to_one_room(void **state MH_UNUSED)
{
	struct room room;
	mh_nid found, creator;
	MH_ERROR(err);

	room_open(&room);
	assert_int_equal(fixture_write(&room.f, alias_job, &room), 0);
	assert_int_equal(fixture_write(&room.f, alias_job, &room), -1);
	assert_int_equal(mh_alias_get(room.f.db, MH_STR("#x:a.example"), &found,
				      &creator, &err),
			 1);
	assert_int_equal(found, room.nid);
	assert_int_equal(creator, 3);
	assert_int_equal(mh_alias_get(room.f.db, MH_STR("#y:a.example"), &found,
				      &creator, &err),
			 0);
	room_close(&room);
}

/* --- every statement failing ------------------------------------------------------ */

static void test_each_statement_of_a_send_fails_cleanly(void **state MH_UNUSED)
{
	struct room room;
	struct mh_extremity *leaves;
	bool more = true;
	size_t n;
	MH_ERROR(err);

	room_open(&room);
	for (int64_t i = 1; more; i++) {
		mh_nid last = room.last, nid;
		struct page before = TIMELINE(&room, .order = MH_BY_POS);
		struct page after;

		assert_true(i < 100);
		mh_db_fail_after(mh_store_writer(room.f.store), i);
		nid = SEND(&room, .type = "m.room.member",
			   .sender = "@bob:b.example",
			   .state_key = "@bob:b.example",
			   .content = "{\"membership\":\"join\"}");
		more = !mh_db_failing(mh_store_writer(room.f.store));
		mh_db_fail_after(mh_store_writer(room.f.store), 0);
		assert_int_equal(more, nid == 0);
		after = TIMELINE(&room, .order = MH_BY_POS);
		assert_int_equal(after.n, before.n + !more);
		assert_int_equal(mh_extremities_get(room.f.db, room.nid,
						    &room.arena, &leaves, &n,
						    &err),
				 0);
		assert_int_equal(n, 1);
		assert_int_equal(leaves[0].event, more ? last : nid);
		expect_counts(&room, more ? 1 : 2, 0, 1);
	}
	room_close(&room);
}

/* --- care ---------------------------------------------------------------------- */

static void first_finding(void *context, const char *finding)
{
	char *text = context;

	if (!*text)
		snprintf(text, 512, "%s", finding);
}

static void expect_findings(struct room *room, const char *what)
{
	char text[512] = "";
	MH_ERROR(err);
	int64_t n = mh_store_verify(room->f.path, first_finding, text, &err);

	if (n < 0)
		fail_msg("%s", err.message);
	if (!strstr(text, what) || (n == 0) != (*what == '\0'))
		fail_msg("found '%s' instead of '%s'", text, what);
}

/* A room with something in most tables. */
static void furnish(struct room *room)
{
	char id[64];

	member(room, "@bob:b.example", "invite");
	member(room, "@bob:b.example", "join");
	SEND(room, .type = "m.room.message", .content = "{\"body\":\"x\"}");
	memcpy(id, room->last_id, sizeof(id));
	assert_int_equal(fixture_write(&room->f, txn_job, room), 0);
	relate(room, NULL, id, "m.thread", NULL);
	relate(room, NULL, id, "m.thread", NULL);
	redact(room, room->last);
	SEND(room, .type = "m.room.topic", .state_key = "",
	     .content = "{\"topic\":\"x\"}");
}

static void tamper(struct room *room, const char *sql, const char *what)
{
	sqlite3 *handle = NULL;

	fixture_shut(&room->f);
	assert_int_equal(sqlite3_open(room->f.path, &handle), SQLITE_OK);
	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(handle));
	sqlite3_close(handle);
	expect_findings(room, what);
}

static void test_verify_finds_damage(void **state MH_UNUSED)
{
	static const struct {
		const char *sql, *what;
	} cases[] = {
		{ "UPDATE events SET json = replace(json, '\"topic\":\"x\"',"
		  " '\"topic\":\"y\"')",
		  "does not have its content hash" },
		{ "UPDATE events SET event_id = event_id || 'x' WHERE nid = 3",
		  "is not the one its ID names" },
		{ "UPDATE events SET json = '{' WHERE nid = 3", "event 3" },
		{ "UPDATE events SET type = sender WHERE nid = 3",
		  "under another type" },
		{ "UPDATE events SET state_after = 1 WHERE nid = 3",
		  "is not in the state after it" },
		{ "DELETE FROM state_groups WHERE id = 2", "is missing" },
		{ "DELETE FROM current_state WHERE event = 2",
		  "member event that is not current" },
		{ "UPDATE current_state SET event = 3 WHERE event = 1",
		  "the current state of room" },
		{ "UPDATE rooms SET joined = 9", "counts 9 joined members" },
		{ "UPDATE threads SET replies = 9", "not 9" },
		{ "UPDATE sequence SET last = 1", "the sequence is at 1" },
		{ "DELETE FROM events WHERE nid = 5", "missing" },
		{ "INSERT INTO state_groups VALUES (99, 1, 0, 0)",
		  "state group 99 is unreachable" },
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++) {
		struct room room;

		room_open(&room);
		furnish(&room);
		expect_findings(&room, "");
		tamper(&room, cases[i].sql, cases[i].what);
		room_close(&room);
	}
}

struct groups {
	struct room *room;
	int64_t base, last;
};

/* Ten groups on one another, of which nobody has the last. */
static int waste_groups(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct groups *groups = context;
	int64_t group = groups->base;

	for (mh_nid i = 1; i <= 10; i++) {
		struct mh_state_item item = { i, i, 1 };

		group = mh_state_group_add(tx, groups->room->nid, group, &item,
					   1, err);
		if (group < 0)
			return -1;
	}
	groups->last = group;
	return 0;
}

static void test_the_sweep_takes_what_nobody_needs(void **state MH_UNUSED)
{
	struct room room;
	struct groups groups = { .room = &room };
	int64_t early, late;

	room_open(&room);
	furnish(&room);
	early = groups.base = room.state;
	assert_int_equal(fixture_write(&room.f, waste_groups, &groups), 0);
	for (int i = 0; i < 40; i++)
		SEND(&room, .type = "m.room.topic", .state_key = "");
	late = room.state;
	expect_findings(&room, "is unreachable");
	mh_store_sweep(room.f.store);
	/* Others write between its steps. */
	for (int i = 0; i < 10; i++) {
		mh_executor_advance(room.f.executor, 20);
		SEND(&room, .type = "m.room.topic", .state_key = "");
	}
	mh_executor_advance(room.f.executor, 1000);
	expect_findings(&room, "");
	/* Transactions are young yet: the message's was kept. */
	fixture_reopen(&room.f);
	expect_state(&room, early, "m.room.member", "@bob:b.example", 4);
	expect_state(&room, late, "m.room.member", "@bob:b.example", 4);
	room_close(&room);
}

static void test_the_sweep_takes_old_transactions(void **state MH_UNUSED)
{
	struct room room;
	struct mh_db *db;
	MH_STRBUF(text);
	MH_ERROR(err);

	room_open(&room);
	SEND(&room, .type = "m.room.message", .ts = 1700000000000);
	assert_int_equal(fixture_write(&room.f, txn_job, &room), 0);
	db = room.f.db;
	mh_store_sweep(room.f.store);
	mh_executor_advance(room.f.executor, 1000);
	/* The reply is of 1970, the event of now. */
	assert_int_equal(mh_txn_event(db, 5, 6, MH_STR("send !r\nt1"), &err),
			 room.last);
	assert_int_equal(mh_txn_reply(db, 5, 6, MH_STR("todevice\nt1"), &text,
				      &err),
			 0);
	mh_executor_advance(room.f.executor, MH_TXN_KEEP_MS);
	mh_store_sweep(room.f.store);
	mh_executor_advance(room.f.executor, 1000);
	assert_int_equal(mh_txn_event(db, 5, 6, MH_STR("send !r\nt1"), &err),
			 0);
	room_close(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_are_found_by_id_and_number),
		cmocka_unit_test(test_a_failed_job_leaves_no_event),
		cmocka_unit_test(test_a_redaction_is_seen_after_commit_alone),
		cmocka_unit_test(
			test_an_old_snapshot_does_not_bring_old_bytes_back),
		cmocka_unit_test(test_the_timeline_has_what_is_shown),
		cmocka_unit_test(test_the_event_nearest_to_a_time),
		cmocka_unit_test(test_an_outlier_takes_its_place),
		cmocka_unit_test(test_the_current_state_follows),
		cmocka_unit_test(test_groups_in_long_chains_are_right),
		cmocka_unit_test(test_members_are_counted_and_listed),
		cmocka_unit_test(test_replacing_the_state_moves_members),
		cmocka_unit_test(test_threads_follow_their_replies),
		cmocka_unit_test(test_the_last_edit_by_the_sender_counts),
		cmocka_unit_test(test_pages_of_relations),
		cmocka_unit_test(test_a_relation_waits_for_its_parent),
		cmocka_unit_test(test_transactions_are_of_a_device_and_a_path),
		cmocka_unit_test(test_an_alias_belongs_to_one_room),
		cmocka_unit_test(test_each_statement_of_a_send_fails_cleanly),
		cmocka_unit_test(test_verify_finds_damage),
		cmocka_unit_test(test_the_sweep_takes_what_nobody_needs),
		cmocka_unit_test(test_the_sweep_takes_old_transactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
