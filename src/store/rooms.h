/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms, aliases and the directory's visibility. */
#pragma once

#include "store/state.h"

struct mh_room {
	mh_nid nid; /* of the room ID, see names.h */
	const struct mh_room_rules *rules;
	int64_t create_event; /* event nid; 0 while only invited over federation */
	int64_t latest_pos;   /* of its newest timeline event */
	/*
	 * The state group that is the current state: what
	 * mh_state_current_set() (the row's state_after) or
	 * mh_state_current_replace() was last given. 0: no state yet.
	 */
	int64_t state;
	bool is_public;	      /* listed in the room directory */
};

int mh_rooms_create(struct mh_tx *tx, struct mh_str room_id,
		    const struct mh_room_rules *rules, mh_nid *ret_room,
		    struct mh_error *err);
/* 1, 0, -1. */
int mh_rooms_get(struct mh_db *db, mh_nid room, struct mh_room *ret,
		 struct mh_error *err);
int mh_rooms_set_public(struct mh_tx *tx, mh_nid room, bool is_public,
			struct mh_error *err);
/* All public rooms, by joined members (most first). `each` as usual: 1/0/-1. */
int mh_rooms_public(struct mh_db *db,
		    int (*each)(void *context, mh_nid room, int64_t joined,
				struct mh_error *err),
		    void *context, struct mh_error *err);
/* All rooms this server knows, for mootctl. */
int mh_rooms_each(struct mh_db *db,
		  int (*each)(void *context, const struct mh_room *room),
		  void *context, struct mh_error *err);

/* M_ROOM_IN_USE when the alias exists. */
int mh_alias_add(struct mh_tx *tx, struct mh_str alias, mh_nid room,
		 mh_nid creator, struct mh_error *err);
/* 1, 0, -1. */
int mh_alias_get(struct mh_db *db, struct mh_str alias, mh_nid *ret_room,
		 mh_nid *ret_creator, struct mh_error *err);
int mh_alias_remove(struct mh_tx *tx, struct mh_str alias, struct mh_error *err);
int mh_alias_list(struct mh_db *db, mh_nid room,
		  int (*each)(void *context, struct mh_str alias),
		  void *context, struct mh_error *err);
