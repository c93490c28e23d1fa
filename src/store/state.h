/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room state. A state group is the whole state at some point of the DAG, stored
 * as a snapshot or as a delta to another group, with bounded chains. Groups are
 * immutable and numbered; events point to the group before and after them.
 *
 * The current state of each room is also kept as rows of its own, with every
 * member's membership, so that the usual questions are one look-up.
 */
#pragma once

#include "store/events.h"

struct mh_state_item {
	mh_nid type, state_key, event;
};

/*
 * A group that is `base` (0: empty) with these items set; an item whose event
 * is 0 removes the key. Returns its number, or -1. With n == 0 returns `base`.
 * The same job must make an event or the room's current state refer to it.
 */
int64_t mh_state_group_add(struct mh_tx *tx, mh_nid room, int64_t base,
			   const struct mh_state_item *items, size_t n,
			   struct mh_error *err);
/* The event at a key of a group: its nid, 0 none, -1 failed. */
mh_nid mh_state_group_get(struct mh_db *db, int64_t group, mh_nid type,
			  mh_nid state_key, struct mh_error *err);
/* All of a group, in the arena, sorted by (type, state_key). */
int mh_state_group_load(struct mh_db *db, int64_t group, struct mh_arena *arena,
			struct mh_state_item **ret, size_t *ret_n,
			struct mh_error *err);
/* Keys that differ between two groups, with `to`'s events (0: removed). */
int mh_state_group_diff(struct mh_db *db, int64_t from, int64_t to,
			struct mh_arena *arena, struct mh_state_item **ret,
			size_t *ret_n, struct mh_error *err);

/* --- the current state -------------------------------------------------- */

enum mh_membership {
	MH_MEMBERSHIP_NONE,
	MH_MEMBERSHIP_INVITE,
	MH_MEMBERSHIP_JOIN,
	MH_MEMBERSHIP_KNOCK,
	MH_MEMBERSHIP_LEAVE,
	MH_MEMBERSHIP_BAN,
};
enum mh_membership mh_membership_from(struct mh_str text); /* NONE if unknown */
const char *mh_membership_name(enum mh_membership membership);

/* Makes `row` (a state event) current at its key; keeps memberships in step. */
int mh_state_current_set(struct mh_tx *tx, const struct mh_event_row *row,
			 struct mh_error *err);
/* Makes the whole state `group` current: after state resolution and joins. */
int mh_state_current_replace(struct mh_tx *tx, mh_nid room, int64_t group,
			     int64_t pos, struct mh_error *err);
/* 1 and the event, 0 none, -1. */
int mh_state_current_get(struct mh_db *db, mh_nid room, const char *type,
			 struct mh_str state_key, struct mh_event_row *ret,
			 struct mh_error *err);
/* Each event of the current state (type 0: all types). As mh_events_timeline. */
int mh_state_current_each(struct mh_db *db, mh_nid room, mh_nid type,
			  int (*each)(void *context,
				      const struct mh_event_row *row,
				      struct mh_error *err),
			  void *context, struct mh_error *err);

/* --- memberships -------------------------------------------------------- */

struct mh_member {
	mh_nid room, user;
	enum mh_membership membership;
	mh_nid event;	  /* the m.room.member event */
	int64_t pos; /* since when it is this membership: a change of the
		      * profile alone leaves it */
	bool local;	  /* a user of this server */
	bool forgotten;
};
/* 1, 0 (never a member), -1. */
int mh_member_get(struct mh_db *db, mh_nid room, mh_nid user,
		  struct mh_member *ret, struct mh_error *err);
/* A user's rooms, whatever the membership, forgotten ones included. */
int mh_member_rooms(struct mh_db *db, mh_nid user,
		    int (*each)(void *context, const struct mh_member *member),
		    void *context, struct mh_error *err);
/* A room's members with this membership (NONE: all), by the time they came. */
int mh_member_list(struct mh_db *db, mh_nid room, enum mh_membership membership,
		   int (*each)(void *context, const struct mh_member *member),
		   void *context, struct mh_error *err);
/* Memberships, of anybody anywhere, that began at positions (from, to]. */
int mh_member_changes(struct mh_db *db, int64_t from, int64_t to,
		      int (*each)(void *context, const struct mh_member *member),
		      void *context, struct mh_error *err);
struct mh_member_counts {
	int64_t joined, invited, joined_local;
};
int mh_member_count(struct mh_db *db, mh_nid room, struct mh_member_counts *ret,
		    struct mh_error *err);
int mh_member_forget(struct mh_tx *tx, mh_nid room, mh_nid user,
		     struct mh_error *err);
/* Do these two share a joined room? 1, 0, -1. */
int mh_member_share_room(struct mh_db *db, mh_nid a, mh_nid b,
			 struct mh_error *err);
/*
 * Invites and knocks of rooms this server is not in bring their own stripped
 * state (JSON array), kept with the membership.
 */
int mh_member_set_stripped(struct mh_tx *tx, mh_nid room, mh_nid user,
			   struct mh_str stripped, struct mh_error *err);
/* Appends it: 1, 0 (there is none), -1. */
int mh_member_get_stripped(struct mh_db *db, mh_nid room, mh_nid user,
			   struct mh_strbuf *out, struct mh_error *err);
