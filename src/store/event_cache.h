/* SPDX-License-Identifier: Apache-2.0 */
/* See event_cache.c. Private to store/; the lookups are events.c's. */
#pragma once

#include "store/events.h"

int mh_event_cache_init(struct mh_store *store, size_t bytes,
			struct mh_error *err);
void mh_event_cache_release(struct mh_store *store);
/* Did the batch change events that had been committed before? */
bool mh_event_cache_changed(struct mh_store *store);
void mh_event_cache_batch_end(struct mh_store *store, bool committed);

/* Never drawn before, though its job may be rolled back. */
mh_nid mh_event_next_nid(struct mh_store *store);

enum mh_cached {
	MH_CACHED_NOT,	 /* ask the table, and tell the cache */
	MH_CACHED,	 /* `ret` (if any) is filled */
	MH_CACHED_NEVER, /* ask the table alone */
};
enum mh_cached mh_event_cache_nid(struct mh_db *db, mh_nid nid,
				  struct mh_event_row *ret);
/* Its nid, with `ret` (if any) filled; 0 when it is not in memory. */
mh_nid mh_event_cache_id(struct mh_db *db, struct mh_str event_id,
			 struct mh_event_row *ret);
/* What this connection has just read from the table. */
void mh_event_cache_put(struct mh_db *db, const struct mh_event_row *row);
