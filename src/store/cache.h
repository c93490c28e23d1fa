/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache bounded by bytes, shared by all threads: shards with a mutex each,
 * the least recently used goes first. Values belong to the cache; a reader
 * takes what it needs (a copy, a reference) while the shard is locked.
 *
 * A reader fills the cache from its snapshot, which may be older than the last
 * COMMIT. So that it never brings back what that COMMIT changed, it says which
 * epoch it knew before its snapshot was made; the writer moves the epoch on
 * before it removes what it has changed, and a value of an older epoch is
 * dropped instead of kept.
 *
 * Private to store/.
 */
#pragma once

#include "base/str.h"

#include <stdatomic.h>

struct mh_cache;

/* `release` frees a value. `epoch` is shared by all caches of a store. */
struct mh_cache *mh_cache_new(size_t bytes, const _Atomic uint64_t *epoch,
			      void (*release)(void *value));
void mh_cache_free(struct mh_cache *cache);
MH_DEFINE_CLEANUP(struct mh_cache *, mh_cache_free)

/*
 * Calls `take` with the value at `key`, the shard being locked; `take` returns
 * false when it is not the one it wants (keys may be hashes). True when it was
 * taken.
 */
bool mh_cache_get(struct mh_cache *cache, uint64_t key,
		  bool (*take)(void *context, const void *value),
		  void *context);
/*
 * Gives the value to the cache, replacing what was at `key`. Dropped when
 * `epoch` is not the present one, or when it is too large to be kept.
 */
void mh_cache_put(struct mh_cache *cache, uint64_t key, void *value,
		  size_t bytes, uint64_t epoch);
void mh_cache_remove(struct mh_cache *cache, uint64_t key);

/*
 * From names to numbers, beside a cache whose keys are the numbers: a table
 * of hints without locks. A hint may be wrong or gone; the value that it leads
 * to says which name it has.
 */
struct mh_hints;
struct mh_hints *mh_hints_new(size_t slots); /* a power of two */
void mh_hints_free(struct mh_hints *hints);
int64_t mh_hints_get(const struct mh_hints *hints, struct mh_str name);
void mh_hints_set(struct mh_hints *hints, struct mh_str name, int64_t number);
