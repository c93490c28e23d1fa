/* SPDX-License-Identifier: Apache-2.0 */
#include "store/caches.h"

int mh_caches_init(struct mh_store *store, int64_t bytes, struct mh_error *err)
{
	return mh_names_init(store, (size_t)bytes / 4, err);
}

void mh_caches_release(struct mh_store *store)
{
	mh_names_release(store);
}

void mh_caches_committed(struct mh_store *store)
{
	mh_names_batch_end(store, true);
}

void mh_caches_rolled_back(struct mh_store *store)
{
	mh_names_batch_end(store, false);
}
