/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caches of the families, and how they follow the batches. Private to
 * store/.
 *
 * The rule of all of them: readers fill and read the shared cache; the running
 * batch keeps what it changes apart, looks there first, and hands it over when
 * the batch has ended.
 */
#pragma once

#include "store/cache.h"
#include "store/db.h"

int mh_caches_init(struct mh_store *store, int64_t bytes, struct mh_error *err);
void mh_caches_release(struct mh_store *store);
/* After COMMIT, before any hook and before mh_store_position() moves. */
void mh_caches_committed(struct mh_store *store);
void mh_caches_rolled_back(struct mh_store *store);

/* The epoch to give to mh_cache_put() for what this connection is to read. */
static inline uint64_t mh_db_epoch(const struct mh_db *db)
{
	return db->depth && !db->writer ? db->epoch :
					  atomic_load(&db->store->epoch);
}

int mh_names_init(struct mh_store *store, size_t bytes, struct mh_error *err);
void mh_names_release(struct mh_store *store);
void mh_names_batch_end(struct mh_store *store, bool committed);

int mh_room_rules_init(struct mh_store *store, size_t bytes);
void mh_room_rules_release(struct mh_store *store);
int mh_missing_init(struct mh_store *store, struct mh_error *err);
int mh_groups_init(struct mh_store *store, size_t bytes, struct mh_error *err);
void mh_groups_release(struct mh_store *store);
