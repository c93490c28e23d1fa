/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned names. Room IDs, user IDs, event types, state keys, device IDs and
 * server names are stored once and referred to by an integer, their nid. A
 * state key that is a user ID has that user's nid. nids are positive, never
 * change and are never reused; 0 means none.
 *
 * A shared cache in memory answers most questions without a query.
 */
#pragma once

#include "store/store.h"

typedef int64_t mh_nid;

/* The nid of `name`, made if it is new. -1 on failure. */
mh_nid mh_name_intern(struct mh_tx *tx, struct mh_str name, struct mh_error *err);
/* The nid of `name`, or 0 when it was never stored; -1 on failure. */
mh_nid mh_name_find(struct mh_db *db, struct mh_str name, struct mh_error *err);
/*
 * Appends the name of `nid`, which must exist (a dangling nid is damage:
 * -1 and M_UNKNOWN).
 */
int mh_name_get(struct mh_db *db, mh_nid nid, struct mh_strbuf *out,
		struct mh_error *err);
/* The same as a string of an arena. */
struct mh_arena;
int mh_name_get_str(struct mh_db *db, mh_nid nid, struct mh_arena *arena,
		    struct mh_str *ret, struct mh_error *err);
