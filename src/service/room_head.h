/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a room: what the next event of it needs, without a query. The
 * room cache keeps one for each room in use. It is the writer's: only write
 * jobs may call these, and a head that a job changed is dropped when the job,
 * or its batch, fails.
 *
 * A head stays where it is for the rest of the job, but its fields change with
 * every event that is persisted.
 */
#pragma once

#include "core/event_auth.h"
#include "service/rooms.h"

/* A forward extremity. */
struct mh_leaf {
	mh_nid event;
	int64_t depth, state_after;
	struct mh_str event_id;
};

#define MH_HEAD_MEMBERS 64

struct mh_room_head {
	mh_nid room;
	const struct mh_room_rules *rules;
	struct mh_str room_id;
	int64_t state; /* the group that is the current state */
	int64_t depth; /* of the deepest leaf */
	struct mh_leaf leaves[MH_EVENT_MAX_PREV];
	size_t n_leaves;

	struct mh_event *create;
	struct mh_event *power_levels; /* NULL: the room has none */
	struct mh_event *join_rules;   /* the same */
	struct mh_power_levels *levels;
	/* Member events that were used lately, by a hash of the user ID. */
	struct mh_event *members[MH_HEAD_MEMBERS];
};

/* M_NOT_FOUND when this node has not the room (or is not in it). */
int mh_room_head_get(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		     struct mh_room_head **ret, struct mh_error *err);
/* The empty head of a room that is being created. */
struct mh_room_head *mh_room_head_new(struct mh_server *server,
				      struct mh_tx *tx, mh_nid room,
				      struct mh_str room_id,
				      const struct mh_room_rules *rules);
/*
 * The current state event at a key, as a reference of the caller's. 1, 0
 * (there is none), -1.
 */
int mh_room_head_event(struct mh_server *server, struct mh_tx *tx,
		       struct mh_room_head *head, struct mh_str type,
		       struct mh_str state_key, struct mh_event **ret,
		       struct mh_error *err);
/* The current membership of a user: the event's, NONE without one; -1. */
int mh_room_head_membership(struct mh_server *server, struct mh_tx *tx,
			    struct mh_room_head *head, struct mh_str user_id,
			    enum mh_membership *ret, struct mh_error *err);
/* A state event became current: keeps what the head holds of it. */
int mh_room_head_set(struct mh_room_head *head, struct mh_event *event,
		     struct mh_error *err);
/* Reads every state event anew, after what cannot be followed one by one. */
int mh_room_head_reload(struct mh_tx *tx, struct mh_room_head *head,
			struct mh_error *err);
int mh_room_head_reload_leaves(struct mh_tx *tx, struct mh_room_head *head,
			       struct mh_error *err);
/* The event is a leaf now, and its prev events are none. */
void mh_room_head_advance(struct mh_room_head *head,
			  const struct mh_event_row *row);
/* The head is loaded anew by the next who asks. */
void mh_room_head_drop(struct mh_server *server, mh_nid room);
/* Has the head dropped when the running job or its batch fails. */
void mh_room_head_touch(struct mh_server *server, struct mh_tx *tx,
			mh_nid room);

/* Is `event_id` among the event's prev events? */
static inline bool mh_event_has_prev(const struct mh_event *event,
				     struct mh_str event_id)
{
	for (size_t i = 0; i < event->n_prev_events; i++)
		if (mh_str_eq(event->prev_events[i], event_id))
			return true;
	return false;
}
