/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transaction IDs that made an event (client-server API, "Transaction
 * identifiers"): a request that is repeated by the same device on the same path
 * is answered with the first event.
 *
 * `key` is "<path>\n<the client's ID>"; the path, which holds no newline, is
 * whatever tells endpoints and rooms apart. `device` is the device's number
 * (struct mh_requester).
 */
#pragma once

#include "store/names.h"

/* The event that the transaction made: its nid, 0 none, -1 failed. */
mh_nid mh_txn_event(struct mh_db *db, mh_nid user, int64_t device,
		    struct mh_str key, struct mh_error *err);
/* An event has at most one: a second transaction that made it is not kept. */
int mh_txn_add_event(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, mh_nid event, struct mh_error *err);
/*
 * The key with which this device made the event, for `unsigned`. 1 and the
 * key appended, 0, -1.
 */
int mh_txn_of_event(struct mh_db *db, mh_nid event, mh_nid user, int64_t device,
		    struct mh_strbuf *out, struct mh_error *err);

/* The client's ID in a key. */
static inline struct mh_str mh_txn_client_id(struct mh_str key)
{
	return mh_str_from(key, (size_t)(mh_str_find(key, '\n') + 1));
}
