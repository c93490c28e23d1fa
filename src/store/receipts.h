/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts (schema/003_sync.sql): how far each user has read in each room, in
 * public (m.read) and in private (m.read.private), for the whole room or for
 * one thread of it.
 */
#pragma once

#include "store/names.h"

struct mh_receipt {
	mh_nid room, user;
	bool is_private;
	struct mh_str thread;	/* empty: unthreaded; "main"; a root's ID */
	struct mh_str event_id; /* read up to this one */
	int64_t event_pos; /* its position in the timeline; 0: not known here */
	int64_t ts;	   /* milliseconds */
	int64_t pos;	   /* of the receipt, in the global sequence */
};

/*
 * Stores a receipt and draws its `pos`. 1; or 0 when the user had read further
 * already (of two events, the later one by event_pos; an unknown event is
 * taken for later), and then nothing changes; -1.
 */
int mh_receipts_set(struct mh_tx *tx, const struct mh_receipt *receipt,
		    struct mh_error *err);
/*
 * A room's receipts with a position in (from, to], oldest first. `each` returns
 * 1 to go on, 0 to stop, -1 with `err` filled.
 */
int mh_receipts_changed(struct mh_db *db, mh_nid room, int64_t from, int64_t to,
			int (*each)(void *context,
				    const struct mh_receipt *receipt,
				    struct mh_error *err),
			void *context, struct mh_error *err);
/* All receipts of one user in a room, private ones too. */
int mh_receipts_of_user(struct mh_db *db, mh_nid room, mh_nid user,
			int (*each)(void *context,
				    const struct mh_receipt *receipt,
				    struct mh_error *err),
			void *context, struct mh_error *err);
