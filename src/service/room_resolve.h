/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution over stored states: what is current in a room whose DAG has
 * several leaves. core resolves; this feeds it from the store.
 *
 * Small rooms are resolved within the write job. For large ones (see
 * MH_RESOLVE_INLINE_MAX) mh_room_persist() answers 1 and wants the result from
 * a worker, which calls mh_room_resolve_after() on its own connection; it is
 * valid as long as the room's leaves are what they were.
 */
#pragma once

#include "base/arena.h"
#include "service/rooms.h"

/* State entries that a write job resolves by itself: about a millisecond. */
#define MH_RESOLVE_INLINE_MAX 200

/* The order in which states are compared: by (type, state key). */
int mh_state_item_cmp(const struct mh_state_item *a,
		      const struct mh_state_item *b);
void mh_state_items_sort(struct mh_state_item *items, size_t n);

/* In an item's `event`: the event that is being persisted, which has no nid. */
#define MH_EVENT_NEW ((mh_nid)-1)

/*
 * Resolves the states of `groups` and, when `plus` is not NULL, the state after
 * that event, which need not be stored yet. All of the result, by (type, state
 * key); of the new event only MH_EVENT_NEW is known. Any connection.
 */
int mh_room_resolve_states(struct mh_db *db, const struct mh_room_rules *rules,
			   const int64_t *groups, size_t n_groups,
			   const struct mh_event_row *plus,
			   struct mh_arena *arena, struct mh_state_item **ret,
			   size_t *ret_n, struct mh_error *err);

/* A result for mh_room_persist_resolved(); lives in the arena. */
struct mh_room_resolved {
	const mh_nid *leaves; /* those beside the new event, as they were */
	size_t n_leaves;
	const struct mh_state_item *items;
	size_t n;
};

/* On a worker: the current state once `row` will have been persisted. */
int mh_room_resolve_after(struct mh_db *db, const struct mh_event_row *row,
			  struct mh_arena *arena, struct mh_room_resolved *ret,
			  struct mh_error *err);
