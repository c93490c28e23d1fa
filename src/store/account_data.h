/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Account data: what a user's clients keep on the node, for the whole account
 * (room 0) or for one room. Tags are the room account data m.tag; push rules
 * the global m.push_rules; the marker of what was read fully m.fully_read.
 */
#pragma once

#include "store/names.h"

int mh_account_data_set(struct mh_tx *tx, mh_nid user, mh_nid room,
			struct mh_str type, struct mh_str content, int64_t pos,
			struct mh_error *err);
/* Appends the content, a JSON object. 1, 0, -1. */
int mh_account_data_get(struct mh_db *db, mh_nid user, mh_nid room,
			struct mh_str type, struct mh_strbuf *out,
			struct mh_error *err);
/*
 * What changed at positions (from, to], global and of rooms, oldest first.
 * `each` returns 1 to go on, 0 to stop, -1 with `err` filled; what it is given
 * is valid during the call.
 */
int mh_account_data_each(struct mh_db *db, mh_nid user, int64_t from,
			 int64_t to,
			 int (*each)(void *context, mh_nid room,
				     struct mh_str type, struct mh_str content,
				     struct mh_error *err),
			 void *context, struct mh_error *err);
/* All of one room (0: the global ones), by type. */
int mh_account_data_room(struct mh_db *db, mh_nid user, mh_nid room,
			 int (*each)(void *context, mh_nid of_room,
				     struct mh_str type, struct mh_str content,
				     struct mh_error *err),
			 void *context, struct mh_error *err);
/* How many items the user has; -1. */
int64_t mh_account_data_count(struct mh_db *db, mh_nid user,
			      struct mh_error *err);
/* For an account that is closed. */
int mh_account_data_forget(struct mh_tx *tx, mh_nid user, struct mh_error *err);
