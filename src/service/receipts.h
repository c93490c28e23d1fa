/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts and read markers (client-server API, "Receipts", "Fully read
 * markers"): the rules. The rows are store/receipts.h.
 */
#pragma once

#include "service/server.h"
#include "store/receipts.h"

struct mh_receipt_request {
	mh_nid room, user;
	bool is_private;
	struct mh_str event_id;
	struct mh_str thread; /* data NULL: unthreaded */
};

/*
 * In a write job. A receipt for an event before the one that was read last does
 * nothing. M_NOT_FOUND when the room has no such event, M_INVALID_PARAM for a
 * thread that the event does not belong to.
 */
int mh_receipt_set(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_receipt_request *request,
		   struct mh_error *err);
/* m.fully_read, in the room's account data. M_NOT_FOUND. */
int mh_read_marker_set(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		       mh_nid user, struct mh_str event_id,
		       struct mh_error *err);

/*
 * Appends m.receipt events for the receipts of a room in (from, to] that `user`
 * may see, between elements of an array. Returns how many events, -1 failed.
 */
int mh_receipts_add(struct mh_db *db, mh_nid room, mh_nid user, int64_t from,
		    int64_t to,
		    bool (*skip)(void *context, struct mh_str user_id),
		    void *context, struct mh_strbuf *out, struct mh_error *err);
