/* SPDX-License-Identifier: Apache-2.0 */
#include "service/receipts.h"

#include "base/arena.h"
#include "core/canonical_json.h"
#include "service/account_data.h"
#include "service/notifier.h"
#include "store/events.h"

#include <stdlib.h>

/* --- setting ------------------------------------------------------------------ */

static int need_event(struct mh_db *db, mh_nid room, struct mh_str event_id,
		      struct mh_event_row *ret, struct mh_error *err)
{
	int rc = mh_events_get(db, event_id, ret, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || ret->room != room ||
	    ret->flags & (MH_EVENT_OUTLIER | MH_EVENT_REJECTED))
		return mh_fail(err, MH_M_NOT_FOUND,
			       "the room has no such event");
	return 0;
}

/* A string member of m.relates_to, without its quotes; empty: none. */
static struct mh_str relation(const struct mh_event *event, const char *key)
{
	struct mh_str relates = mh_json_slice(event->content, "m.relates_to");
	struct mh_str value = relates.len && relates.data[0] == '{' ?
				      mh_json_slice(relates, key) :
				      MH_STR_NONE;

	if (value.len < 2 || value.data[0] != '"')
		return MH_STR_NONE;
	return mh_str_n(value.data + 1, value.len - 2);
}

static bool in_thread(const struct mh_event *event, struct mh_str root)
{
	return mh_str_is(relation(event, "rel_type"), "m.thread") &&
	       mh_str_eq(relation(event, "event_id"), root);
}

/* Is it the root, or in the thread, or (an edit, a reaction) about such? */
static int belongs_to_thread(struct mh_db *db, const struct mh_event *event,
			     struct mh_str root, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row parent = { 0 };
	struct mh_str parent_id = relation(event, "event_id");

	if (mh_str_eq(event->event_id, root) || in_thread(event, root) ||
	    mh_str_eq(parent_id, root))
		return 1;
	if (parent_id.len == 0)
		return 0;
	if (mh_events_get(db, parent_id, &parent, err) < 0)
		return -1;
	return parent.event && in_thread(parent.event, root);
}

static int check_thread(struct mh_db *db, const struct mh_event *event,
			struct mh_str thread, struct mh_error *err)
{
	int rc;

	if (!thread.data)
		return 0;
	if (thread.len == 0 || thread.len > MH_ID_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'thread_id' must be \"main\" or an event ID");
	if (mh_str_is(thread, "main"))
		rc = !mh_str_is(relation(event, "rel_type"), "m.thread");
	else
		rc = belongs_to_thread(db, event, thread, err);
	if (rc == 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the event does not belong to the thread");
	return rc < 0 ? -1 : 0;
}

int mh_receipt_set(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_receipt_request *request,
		   struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	struct mh_db *db = mh_tx_db(tx);
	int rc;

	if (need_event(db, request->room, request->event_id, &row, err) < 0 ||
	    check_thread(db, row.event, request->thread, err) < 0)
		return -1;
	rc = mh_receipts_set(tx,
			     &(struct mh_receipt){
				     .room = request->room,
				     .user = request->user,
				     .is_private = request->is_private,
				     .thread = request->thread,
				     .event_id = request->event_id,
				     .event_pos = row.pos,
				     .ts = mh_clock_wall(server->clock),
			     },
			     err);
	if (rc > 0)
		mh_notify_room(tx, server, request->room);
	return rc < 0 ? -1 : 0;
}

/* Does the marker stand at or after the event already? 1, 0, -1. */
static int marked_already(struct mh_db *db, mh_nid room, mh_nid user,
			  int64_t pos, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	MH_STRBUF(content);
	MH_STRBUF(event_id);
	int rc = mh_account_data_get(db, user, room, MH_STR("m.fully_read"),
				     &content, err);

	if (rc <= 0 ||
	    !mh_json_unescape(mh_json_slice(mh_strbuf_str(&content),
					    "event_id"),
			      &event_id))
		return rc < 0 ? -1 : 0;
	if (mh_events_get(db, mh_strbuf_str(&event_id), &row, err) < 0)
		return -1;
	return row.event && row.room == room && row.pos >= pos;
}

int mh_read_marker_set(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		       mh_nid user, struct mh_str event_id,
		       struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	struct mh_db *db = mh_tx_db(tx);
	MH_STRBUF(content);
	int rc;

	if (need_event(db, room, event_id, &row, err) < 0)
		return -1;
	rc = marked_already(db, room, user, row.pos, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	mh_strbuf_addlit(&content, "{\"event_id\":");
	mh_json_add_str(&content, event_id);
	mh_strbuf_addch(&content, '}');
	return mh_account_data_put(server, tx, user, room,
				   MH_STR("m.fully_read"),
				   mh_strbuf_str(&content), err);
}

/* --- showing -------------------------------------------------------------------- */

struct shown {
	struct mh_str event_id, user_id, thread;
	bool is_private, done;
	int64_t ts;
};

struct collect {
	struct mh_db *db;
	mh_nid user;
	bool (*skip)(void *context, struct mh_str user_id);
	void *context;
	struct mh_arena arena;
	struct shown *list;
	size_t n, cap;
};

static int collect(void *context, const struct mh_receipt *receipt,
		   struct mh_error *err)
{
	struct collect *all = context;
	struct shown *shown;
	struct mh_str user_id;

	/* "Servers MUST NOT send the m.read.private receipt to any other user
	 * than the one which originally sent it." */
	if (receipt->is_private && receipt->user != all->user)
		return 1;
	if (mh_name_get_str(all->db, receipt->user, &all->arena, &user_id,
			    err) < 0)
		return -1;
	if (all->skip(all->context, user_id))
		return 1;
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 16;
		all->list = mh_realloc_array(all->list, all->cap,
					     sizeof(*all->list));
	}
	shown = &all->list[all->n++];
	*shown = (struct shown){
		.event_id = mh_arena_str(&all->arena, receipt->event_id),
		.user_id = user_id,
		.thread = mh_arena_str(&all->arena, receipt->thread),
		.is_private = receipt->is_private,
		.ts = receipt->ts,
	};
	return 1;
}

static int compare(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int rc = mh_str_cmp(x->event_id, y->event_id);

	if (rc == 0)
		rc = x->is_private - y->is_private;
	return rc ? rc : mh_str_cmp(x->user_id, y->user_id);
}

static void add_user(const struct shown *shown, struct mh_strbuf *out)
{
	mh_json_add_comma(out);
	mh_json_add_str(out, shown->user_id);
	mh_strbuf_addlit(out, ":{\"ts\":");
	mh_strbuf_addint(out, shown->ts);
	if (shown->thread.len) {
		mh_strbuf_addlit(out, ",\"thread_id\":");
		mh_json_add_str(out, shown->thread);
	}
	mh_strbuf_addch(out, '}');
}

static void add_type(const struct shown *shown, struct mh_strbuf *out)
{
	mh_json_add_comma(out);
	if (shown->is_private)
		mh_strbuf_addlit(out, "\"m.read.private\":{");
	else
		mh_strbuf_addlit(out, "\"m.read\":{");
}

/*
 * One m.receipt event with all that is left, but only one receipt of a user for
 * an event and type: the others (of other threads) go into the next. The list
 * is sorted. Returns how many are left.
 */
static size_t add_event(struct collect *all, struct mh_strbuf *out)
{
	const struct shown *last = NULL;
	size_t left = 0;

	mh_json_add_comma(out);
	mh_strbuf_addlit(out, "{\"type\":\"m.receipt\",\"content\":{");
	for (size_t i = 0; i < all->n; i++) {
		struct shown *shown = &all->list[i];

		if (shown->done)
			continue;
		if (last && compare(last, shown) == 0) {
			left++;
			continue;
		}
		if (!last || !mh_str_eq(last->event_id, shown->event_id)) {
			if (last)
				mh_strbuf_addlit(out, "}}");
			mh_json_add_comma(out);
			mh_json_add_str(out, shown->event_id);
			mh_strbuf_addlit(out, ":{");
			add_type(shown, out);
		} else if (last->is_private != shown->is_private) {
			mh_strbuf_addch(out, '}');
			add_type(shown, out);
		}
		add_user(shown, out);
		shown->done = true;
		last = shown;
	}
	mh_strbuf_addlit(out, "}}}}");
	return left;
}

int mh_receipts_add(struct mh_db *db, mh_nid room, mh_nid user, int64_t from,
		    int64_t to,
		    bool (*skip)(void *context, struct mh_str user_id),
		    void *context, struct mh_strbuf *out, struct mh_error *err)
{
	struct collect all = {
		.db = db, .user = user, .skip = skip, .context = context
	};
	int rc, added = 0;

	mh_arena_init(&all.arena);
	rc = mh_receipts_changed(db, room, from, to, collect, &all, err);
	if (rc == 0 && all.n) {
		qsort(all.list, all.n, sizeof(*all.list), compare);
		do
			added++;
		while (add_event(&all, out) > 0);
	}
	free(all.list);
	mh_arena_release(&all.arena);
	return rc < 0 ? -1 : added;
}
