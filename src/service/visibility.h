/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may see what: history visibility (client-server API, "Room history
 * visibility"), ignored users. Every path that shows an event asks here.
 */
#pragma once

#include "service/server.h"
#include "store/rooms.h"

struct mh_visibility;

/*
 * The view of one user on one room: remembers what it looked up, so ask for
 * many events through one object. Lives in the arena; no thread but the caller's.
 */
struct mh_visibility *mh_visibility_new(struct mh_db *db,
					struct mh_arena *arena, mh_nid room,
					mh_nid user);
/*
 * 1: the user may see the event; 0: not; -1 failed. Decided by the history
 * visibility and the user's membership in the state before (and, for own
 * membership and visibility events, after) the event, and by what the user
 * may see since by having been or being joined.
 */
int mh_visibility_allows(struct mh_visibility *view,
			 const struct mh_event_row *row, struct mh_error *err);
/* May the user peek at the room at all (world_readable) or is/was a member? */
int mh_visibility_room(struct mh_visibility *view, struct mh_error *err);
/* May anybody read the room now? 1, 0, -1. */
int mh_visibility_world_readable(struct mh_visibility *view,
				 struct mh_error *err);
/* The user's membership at an event: before it, or by it, if it is their own. */
int mh_visibility_membership(struct mh_visibility *view,
			     const struct mh_event_row *row,
			     enum mh_membership *ret, struct mh_error *err);
/*
 * Which state of the room the user may read: 1 and `ret_group` 0: the current
 * one; 1 and a group: the one when they left; 0: none; -1.
 */
int mh_visibility_state(struct mh_visibility *view, int64_t *ret_group,
			struct mh_error *err);
