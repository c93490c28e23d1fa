/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that come to a room by another way than its clients, as a peer's will:
 * built on chosen parents and persisted in a write job. Include it after
 * sync_helpers.h.
 */
#pragma once

#include "core/event_auth.h"
#include "service/room_resolve.h"
#include "service/rooms.h"

struct made_event {
	struct mh_event *event;
	mh_nid room;
	int64_t state_before;
	const char *id;
};

static inline void made_event_release(struct made_event *made)
{
	mh_event_unref(made->event);
}

static inline struct mh_db *world_db(struct world *w)
{
	return mh_store_reader(w->node.server->store);
}

/*
 * Builds an event on the room's leaves as they are now, or on `parent` (with
 * its state after) if it is not NULL.
 */
static inline void make_event_on(struct world *w, const char *room,
				 const struct mh_event_row *parent,
				 const struct person *sender, const char *type,
				 const char *state_key, const char *content,
				 const char *redacts, struct made_event *ret)
{
	static int made;
	struct mh_server *server = w->node.server;
	struct mh_state_key keys[MH_AUTH_TYPES_MAX];
	struct mh_str auth[MH_AUTH_TYPES_MAX], prev[MH_EVENT_MAX_PREV];
	struct mh_db *db = world_db(w);
	MH_SNAPSHOT(snapshot, db);
	MH_STRBUF(scratch);
	MH_STRBUF(canonical);
	struct mh_extremity *leaves;
	struct mh_room info;
	size_t n, n_leaves;
	MH_ERROR(err);
	struct mh_event_draft draft = {
		.room_id = mh_str(room),
		.sender = mh_str(sender->user_id),
		.type = mh_str(type),
		.state_key = mh_str(state_key),
		.redacts = mh_str(redacts),
		.origin_server_ts = mh_clock_wall(server->clock),
		.prev_events = prev,
		.auth_events = auth,
	};

	assert_int_equal(mh_room_find(db, mh_str(room), &ret->room, &err), 1);
	assert_int_equal(mh_rooms_get(db, ret->room, &info, &err), 1);
	draft.rules = info.rules;
	if (info.rules->event_id_format == MH_EVENT_ID_DOMAIN)
		draft.event_id = mh_str(fmt(w, "$made%d:a.example", ++made));
	assert_int_equal(mh_canonical_json(mh_str(content), info.rules->json,
					   &canonical, &err),
			 0);
	draft.content = mh_strbuf_str(&canonical);
	assert_int_equal(mh_extremities_get(db, ret->room, &w->arena, &leaves,
					    &n_leaves, &err),
			 0);
	ret->state_before = parent ? parent->state_after : info.state;
	for (size_t i = 0; !parent && i < n_leaves; i++) {
		prev[draft.n_prev_events++] = leaves[i].event_id;
		if (leaves[i].depth >= draft.depth)
			draft.depth = leaves[i].depth + 1;
	}
	if (parent) {
		prev[draft.n_prev_events++] = parent->event->event_id;
		draft.depth = parent->event->depth + 1;
	}
	n = mh_event_auth_types(info.rules, draft.type, draft.state_key,
				draft.sender, draft.content, keys, &scratch);
	for (size_t i = 0; i < n; i++) {
		struct mh_event_row row = { 0 };
		mh_nid type_nid = mh_name_find(db, keys[i].type, &err);
		mh_nid key_nid = mh_name_find(db, keys[i].state_key, &err);
		mh_nid nid = type_nid > 0 && key_nid > 0 ?
				     mh_state_group_get(db, ret->state_before,
							type_nid, key_nid,
							&err) :
				     0;

		if (nid <= 0)
			continue;
		assert_int_equal(mh_events_get_nid(db, nid, &row, &err), 1);
		if (!info.rules->room_id_is_create ||
		    !mh_event_is(row.event, "m.room.create", ""))
			auth[draft.n_auth_events++] =
				mh_arena_str(&w->arena, row.event->event_id);
		mh_event_row_release(&row);
	}
	if (mh_event_build(&draft, &server->signer, &ret->event, &err) < 0)
		fail_msg("%s", err.message);
	ret->id = mh_arena_cstr(&w->arena, ret->event->event_id);
}

static inline void make_event(struct world *w, const char *room,
			      const struct person *sender, const char *type,
			      const char *state_key, const char *content,
			      const char *redacts, struct made_event *ret)
{
	make_event_on(w, room, NULL, sender, type, state_key, content, redacts,
		      ret);
}

struct persisting {
	struct mh_write_job job;
	struct world *w;
	const struct made_event *made;
	const struct mh_room_resolved *resolved;
	struct mh_event_row *ret;
	unsigned flags;
	int rc;
	bool done;
};

static inline int persisting_run(struct mh_write_job *job, struct mh_tx *tx,
				 struct mh_error *err)
{
	struct persisting *p = MH_CONTAINER_OF(job, struct persisting, job);
	struct mh_event_row row = {
		.room = p->made->room,
		.state_before = p->made->state_before,
		.flags = p->flags,
		.event = mh_event_ref(p->made->event),
	};

	p->rc = mh_room_persist(p->w->node.server, tx, &row, p->resolved, err);
	if (p->ret)
		*p->ret = row;
	else
		mh_event_row_release(&row);
	return p->rc < 0 ? -1 : 0;
}

static inline void persisting_done(struct mh_write_job *job,
				   struct mh_error *err)
{
	struct persisting *p = MH_CONTAINER_OF(job, struct persisting, job);

	if (err) {
		print_error("persist: %s\n", err->message);
		p->rc = -1;
		mh_error_release(err);
	}
	p->done = true;
}

/* What mh_room_persist() returns; `ret` may be NULL. */
static inline int persist_with(struct world *w, const struct made_event *made,
			       unsigned flags,
			       const struct mh_room_resolved *resolved,
			       struct mh_event_row *ret)
{
	struct persisting p = {
		.job = { .run = persisting_run, .done = persisting_done },
		.w = w,
		.made = made,
		.flags = flags,
		.resolved = resolved,
		.ret = ret,
	};

	mh_store_write(w->node.server->store, &p.job);
	mh_executor_run_until_idle(w->node.executor);
	assert_true(p.done);
	return p.rc;
}

static inline void persist_event(struct world *w, const struct made_event *made)
{
	assert_int_equal(persist_with(w, made, 0, NULL, NULL), 0);
}
