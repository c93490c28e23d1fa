/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transaction IDs of clients (client-server API, "Transaction identifiers"): a
 * request that is repeated by the same device on the same path is answered as
 * the first time.
 *
 * `key` is "<path>\n<the client's ID>"; the path, which holds no newline, is
 * whatever tells endpoints and rooms apart. `device` is the device's number
 * (struct mh_requester).
 *
 * They are kept for MH_TXN_KEEP_MS at least, then swept.
 */
#pragma once

#include "store/names.h"

#define MH_TXN_KEEP_MS (INT64_C(3) * 24 * 3600 * 1000)

/* The event that the transaction made: its nid, 0 none, -1 failed. */
mh_nid mh_txn_event(struct mh_db *db, mh_nid user, int64_t device,
		    struct mh_str key, struct mh_error *err);
/* An event has at most one: a second transaction that made it is not kept. */
int mh_txn_add_event(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, mh_nid event, struct mh_error *err);
/*
 * For `unsigned.transaction_id`: appends the client's ID by which this device
 * made the event. 1, 0 (another device did, or too long ago), -1.
 */
int mh_txn_of_event(struct mh_db *db, mh_nid event, mh_nid user, int64_t device,
		    struct mh_strbuf *out, struct mh_error *err);

/* Requests that make no event: their reply. Appends it: 1, 0, -1. */
int mh_txn_reply(struct mh_db *db, mh_nid user, int64_t device,
		 struct mh_str key, struct mh_strbuf *out, struct mh_error *err);
int mh_txn_add_reply(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, int64_t now_ms, struct mh_str reply,
		     struct mh_error *err);

/* The device is gone; one of the same ID begins afresh. */
int mh_txn_forget_device(struct mh_tx *tx, mh_nid user, int64_t device,
			 struct mh_error *err);
