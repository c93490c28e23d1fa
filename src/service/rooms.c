/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making events. The path of a message: the head of the room is in the cache,
 * so choosing the prev and auth events and checking the rules needs no query;
 * core builds, hashes and signs; room_persist.c stores and tells.
 */
#include "service/rooms.h"

#include "base/arena.h"
#include "core/event_auth.h"
#include "service/room_persist.h"

#define OPAQUE_LETTERS 18
#define DEPTH_MAX ((INT64_C(1) << 53) - 1)

/* --- what authorises an event ----------------------------------------------- */

struct auth {
	struct mh_auth_state state;
	struct mh_str ids[MH_AUTH_TYPES_MAX]; /* for auth_events */
	size_t n_ids;
};

static void auth_release(struct auth *auth)
{
	for (size_t i = 0; i < auth->state.n; i++)
		mh_event_unref((struct mh_event *)(uintptr_t)
				       auth->state.events[i]);
}

static int auth_select(struct mh_server *server, struct mh_tx *tx,
		       struct mh_room_head *head,
		       const struct mh_new_event *draft, struct auth *auth,
		       struct mh_error *err)
{
	struct mh_state_key keys[MH_AUTH_TYPES_MAX];
	MH_STRBUF(scratch);
	size_t n = mh_event_auth_types(head->rules, draft->type,
				       draft->state_key, draft->sender,
				       draft->content, keys, &scratch);

	for (size_t i = 0; i < n; i++) {
		struct mh_event *event = NULL;

		if (mh_room_head_event(server, tx, head, keys[i].type,
				       keys[i].state_key, &event, err) < 0)
			return -1;
		if (!event)
			continue;
		mh_auth_state_add(&auth->state, event);
		if (!head->rules->room_id_is_create || event != head->create)
			auth->ids[auth->n_ids++] = event->event_id;
	}
	auth->state.levels = head->levels;
	return 0;
}

/* --- building --------------------------------------------------------------- */

static void new_opaque_id(struct mh_server *server, char sigil,
			  struct mh_strbuf *out)
{
	char letters[OPAQUE_LETTERS + 1];

	mh_random_letters(server->random, letters, OPAQUE_LETTERS);
	mh_strbuf_addch(out, sigil);
	mh_strbuf_add(out, letters, OPAQUE_LETTERS);
	mh_strbuf_addch(out, ':');
	mh_strbuf_addstr(out, server->name);
}

void mh_room_new_id(struct mh_server *server, struct mh_strbuf *out)
{
	new_opaque_id(server, '!', out);
}

/* `head` has no leaves for a create event. */
static int build(struct mh_server *server, const struct mh_room_head *head,
		 const struct mh_new_event *draft, const struct auth *auth,
		 struct mh_event **ret, struct mh_error *err)
{
	struct mh_str prev[MH_EVENT_MAX_PREV];
	MH_STRBUF(event_id);
	struct mh_event_draft full = {
		.rules = head->rules,
		.room_id = head->room_id,
		.sender = draft->sender,
		.type = draft->type,
		.state_key = draft->state_key,
		.content = draft->content,
		.redacts = draft->redacts,
		.depth = head->depth < DEPTH_MAX ? head->depth + 1 : DEPTH_MAX,
		.origin_server_ts = draft->origin_server_ts,
		.prev_events = prev,
		.n_prev_events = head->n_leaves,
		.auth_events = auth->ids,
		.n_auth_events = auth->n_ids,
	};

	for (size_t i = 0; i < head->n_leaves; i++)
		prev[i] = head->leaves[i].event_id;
	if (!full.origin_server_ts)
		full.origin_server_ts = mh_clock_wall(server->clock);
	if (head->rules->event_id_format == MH_EVENT_ID_DOMAIN) {
		new_opaque_id(server, '$', &event_id);
		full.event_id = mh_strbuf_str(&event_id);
	}
	return mh_event_build(&full, &server->signer, ret, err);
}

static int check(const struct mh_event *event, const struct auth *auth,
		 struct mh_error *err)
{
	struct mh_verdict verdict =
		mh_event_auth_check(event, &auth->state, true);

	if (!verdict.accepted)
		return mh_fail(err, MH_M_FORBIDDEN, "%s", verdict.reason);
	return 0;
}

static int build_checked(struct mh_server *server, struct mh_tx *tx,
			 struct mh_room_head *head,
			 const struct mh_new_event *draft,
			 struct mh_event **ret, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	MH_CLEANUP(auth_release) struct auth auth = { 0 };

	if (auth_select(server, tx, head, draft, &auth, err) < 0 ||
	    build(server, head, draft, &auth, &event, err) < 0 ||
	    check(event, &auth, err) < 0)
		return -1;
	*ret = MH_TAKE(event);
	return 0;
}

static int persist_ours(struct mh_server *server, struct mh_tx *tx,
			struct mh_room_head *head, struct mh_event *event,
			struct mh_event_row *ret_row, struct mh_error *err)
{
	struct mh_event_row row = {
		.room = head->room,
		.state_before = head->state,
		.event = mh_event_ref(event),
	};
	int rc = mh_room_persist_ours(server, tx, head, &row, err);

	if (rc == 0 && ret_row)
		*ret_row = row;
	else
		mh_event_row_release(&row);
	return rc;
}

int mh_room_send(struct mh_server *server, struct mh_tx *tx,
		 const struct mh_new_event *draft, struct mh_event_row *ret_row,
		 struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct mh_new_event canonical = *draft;
	struct mh_room_head *head;
	MH_STRBUF(content);

	MH_ASSERT(mh_server_owns(server, draft->sender));
	if (mh_room_head_get(server, tx, draft->room, &head, err) < 0)
		return -1;
	/* A member's content says which events authorise it. */
	if (mh_str_is(draft->type, "m.room.member")) {
		if (mh_canonical_json(draft->content, head->rules->json,
				      &content, err) < 0)
			return -1;
		canonical.content = mh_strbuf_str(&content);
	}
	if (build_checked(server, tx, head, &canonical, &event, err) < 0)
		return -1;
	return persist_ours(server, tx, head, event, ret_row, err);
}

/*
 * A create event with a room ID that is free. Where the ID is the event's hash,
 * the same person may have made the same room in this very millisecond: then
 * this one is of the next.
 */
static int build_create(struct mh_server *server, struct mh_tx *tx,
			const struct mh_room_head *nothing,
			struct mh_new_event *draft, struct mh_event **ret,
			struct mh_error *err)
{
	const struct auth none = { 0 };
	mh_nid room;
	int rc = 1;

	draft->origin_server_ts = mh_clock_wall(server->clock);
	while (rc > 0) {
		MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;

		if (build(server, nothing, draft, &none, &event, err) < 0 ||
		    check(event, &none, err) < 0)
			return -1;
		rc = mh_room_find(mh_tx_db(tx), event->room_id, &room, err);
		draft->origin_server_ts++;
		if (rc == 0)
			*ret = MH_TAKE(event);
	}
	return rc;
}

int mh_room_begin(struct mh_server *server, struct mh_tx *tx,
		  const struct mh_room_rules *rules, struct mh_str room_id,
		  struct mh_str sender, struct mh_str content, mh_nid *ret_room,
		  struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct mh_room_head nothing = { .rules = rules, .room_id = room_id };
	struct mh_new_event draft = {
		.sender = sender,
		.type = MH_STR("m.room.create"),
		.state_key = MH_STR(""),
		.content = content,
	};
	struct mh_room_head *head;

	MH_ASSERT(mh_server_owns(server, sender));
	MH_ASSERT(rules->room_id_is_create || room_id.len);
	if (build_create(server, tx, &nothing, &draft, &event, err) < 0 ||
	    mh_rooms_create(tx, event->room_id, rules, ret_room, err) < 0)
		return -1;
	head = mh_room_head_new(server, tx, *ret_room, event->room_id, rules);
	return persist_ours(server, tx, head, event, NULL, err);
}

/* --- for readers ------------------------------------------------------------ */

int mh_room_find(struct mh_db *db, struct mh_str room_id, mh_nid *ret_room,
		 struct mh_error *err)
{
	struct mh_room room;
	mh_nid nid = mh_name_find(db, room_id, err);
	int rc;

	if (nid <= 0)
		return (int)nid;
	rc = mh_rooms_get(db, nid, &room, err);
	if (rc > 0)
		*ret_room = nid;
	return rc;
}

int mh_room_resolve(struct mh_server *server, struct mh_db *db,
		    struct mh_str id_or_alias, mh_nid *ret_room,
		    struct mh_error *err)
{
	mh_nid creator;
	int rc;

	if (id_or_alias.len && id_or_alias.data[0] == '#') {
		if (!mh_room_alias_valid(id_or_alias))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "'%.*s' is not a room alias",
				       MH_STR_ARG(id_or_alias));
		rc = mh_server_owns(server, id_or_alias) ?
			     mh_alias_get(db, id_or_alias, ret_room, &creator,
					  err) :
			     0;
	} else {
		if (!mh_room_id_valid(id_or_alias))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "'%.*s' is not a room ID or alias",
				       MH_STR_ARG(id_or_alias));
		rc = mh_room_find(db, id_or_alias, ret_room, err);
	}
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "no room '%.*s' here",
			       MH_STR_ARG(id_or_alias));
	return rc < 0 ? -1 : 0;
}

int mh_room_need_joined(struct mh_db *db, mh_nid room, mh_nid user,
			struct mh_error *err)
{
	struct mh_member member = { 0 };
	int rc = room ? mh_member_get(db, room, user, &member, err) : 0;

	if (rc < 0)
		return -1;
	if (rc == 0 || member.membership != MH_MEMBERSHIP_JOIN)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	return 0;
}

static void free_levels(void *levels)
{
	mh_power_levels_free(levels);
}

int mh_room_power_levels(struct mh_db *db, mh_nid room, struct mh_arena *arena,
			 const struct mh_power_levels **ret,
			 struct mh_error *err)
{
	struct mh_event_row create = { 0 }, current = { 0 };
	struct mh_power_levels *levels = NULL;
	int rc = mh_state_current_get(db, room, "m.room.create", MH_STR(""),
				      &create, err);

	if (rc == 0)
		rc = mh_fail(err, MH_M_NOT_FOUND,
			     "this server is not in that room");
	if (rc > 0)
		rc = mh_state_current_get(db, room, "m.room.power_levels",
					  MH_STR(""), &current, err);
	if (rc >= 0)
		rc = mh_power_levels_new(create.event, current.event, &levels,
					 err);
	mh_event_row_release(&create);
	mh_event_row_release(&current);
	if (rc < 0)
		return -1;
	mh_arena_defer(arena, free_levels, levels);
	*ret = levels;
	return 0;
}
