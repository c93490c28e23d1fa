/* SPDX-License-Identifier: Apache-2.0 */
#include "store/caches.h"

#include "store/event_cache.h"

int mh_caches_init(struct mh_store *store, int64_t bytes, struct mh_error *err)
{
	size_t part = (size_t)bytes / 16;

	if (mh_names_init(store, 3 * part, err) < 0 ||
	    mh_event_cache_init(store, 8 * part, err) < 0 ||
	    mh_room_rules_init(store, part) < 0 ||
	    mh_groups_init(store, 4 * part, err) < 0)
		return -1;
	return mh_missing_init(store, err);
}

void mh_caches_release(struct mh_store *store)
{
	mh_names_release(store);
	mh_event_cache_release(store);
	mh_room_rules_release(store);
	mh_groups_release(store);
}

void mh_caches_committed(struct mh_store *store)
{
	/* First, so that no reader brings an old row back: see cache.h. */
	if (mh_event_cache_changed(store))
		atomic_fetch_add(&store->epoch, 1);
	mh_names_batch_end(store, true);
	mh_event_cache_batch_end(store, true);
}

void mh_caches_rolled_back(struct mh_store *store)
{
	mh_names_batch_end(store, false);
	mh_event_cache_batch_end(store, false);
}
