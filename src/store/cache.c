/* SPDX-License-Identifier: Apache-2.0 */
#include "store/cache.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS 16
#define BUCKETS_MIN 64

struct entry {
	uint64_t key;
	void *value;
	size_t bytes;
	struct entry *chain;	   /* of the bucket */
	struct entry *older, *newer; /* by last use */
};

struct shard {
	pthread_mutex_t lock;
	struct entry **buckets;
	size_t n_buckets, n_entries;
	size_t bytes;
	struct entry *oldest, *newest;
};

struct mh_cache {
	size_t max; /* bytes a shard */
	const _Atomic uint64_t *epoch;
	void (*release)(void *value);
	struct shard shards[SHARDS];
};

struct mh_cache *mh_cache_new(size_t bytes, const _Atomic uint64_t *epoch,
			      void (*release)(void *value))
{
	struct mh_cache *cache = MH_NEW(struct mh_cache);

	cache->max = bytes / SHARDS;
	cache->epoch = epoch;
	cache->release = release;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];

		pthread_mutex_init(&shard->lock, NULL);
		shard->n_buckets = BUCKETS_MIN;
		shard->buckets =
			mh_alloc_array(BUCKETS_MIN, sizeof(struct entry *));
	}
	return cache;
}

/* Keys are often small numbers in a row: spread them over all bits. */
static uint64_t mix(uint64_t key)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdu;
	return key ^ (key >> 33);
}

static struct shard *shard_of(struct mh_cache *cache, uint64_t key)
{
	return &cache->shards[mix(key) % SHARDS];
}

static struct entry **bucket_of(const struct shard *shard, uint64_t key)
{
	return &shard->buckets[(mix(key) / SHARDS) & (shard->n_buckets - 1)];
}

/* The link that leads to the entry, or to the NULL where it would be. */
static struct entry **find(const struct shard *shard, uint64_t key)
{
	struct entry **link = bucket_of(shard, key);

	while (*link && (*link)->key != key)
		link = &(*link)->chain;
	return link;
}

static void unlink_use(struct shard *shard, struct entry *entry)
{
	*(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
}

static void link_newest(struct shard *shard, struct entry *entry)
{
	entry->older = shard->newest;
	entry->newer = NULL;
	*(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
	shard->newest = entry;
}

static void drop(struct mh_cache *cache, struct shard *shard,
		 struct entry **link)
{
	struct entry *entry = *link;

	*link = entry->chain;
	unlink_use(shard, entry);
	shard->n_entries--;
	shard->bytes -= entry->bytes;
	cache->release(entry->value);
	free(entry);
}

void mh_cache_free(struct mh_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];

		while (shard->oldest)
			drop(cache, shard, find(shard, shard->oldest->key));
		free(shard->buckets);
		pthread_mutex_destroy(&shard->lock);
	}
	free(cache);
}

static void grow(struct shard *shard)
{
	struct entry **old = shard->buckets;
	size_t n = shard->n_buckets;

	shard->n_buckets = 2 * n;
	shard->buckets =
		mh_alloc_array(shard->n_buckets, sizeof(struct entry *));
	for (size_t i = 0; i < n; i++) {
		struct entry *entry, *next;

		for (entry = old[i]; entry; entry = next) {
			struct entry **bucket = bucket_of(shard, entry->key);

			next = entry->chain;
			entry->chain = *bucket;
			*bucket = entry;
		}
	}
	free(old);
}

bool mh_cache_get(struct mh_cache *cache, uint64_t key,
		  bool (*take)(void *context, const void *value), void *context)
{
	struct shard *shard = shard_of(cache, key);
	struct entry *entry;
	bool taken = false;

	pthread_mutex_lock(&shard->lock);
	entry = *find(shard, key);
	if (entry) {
		taken = take(context, entry->value);
		if (shard->newest != entry) {
			unlink_use(shard, entry);
			link_newest(shard, entry);
		}
	}
	pthread_mutex_unlock(&shard->lock);
	return taken;
}

static void insert(struct mh_cache *cache, struct shard *shard,
		   struct entry *entry)
{
	struct entry **link = find(shard, entry->key);

	if (*link)
		drop(cache, shard, link);
	while (shard->oldest && shard->bytes + entry->bytes > cache->max)
		drop(cache, shard, find(shard, shard->oldest->key));
	if (shard->n_entries >= shard->n_buckets)
		grow(shard);
	link = bucket_of(shard, entry->key);
	entry->chain = *link;
	*link = entry;
	link_newest(shard, entry);
	shard->n_entries++;
	shard->bytes += entry->bytes;
}

void mh_cache_put(struct mh_cache *cache, uint64_t key, void *value,
		  size_t bytes, uint64_t epoch)
{
	struct shard *shard = shard_of(cache, key);
	struct entry *entry;

	bytes += sizeof(struct entry);
	if (bytes > cache->max) {
		mh_cache_remove(cache, key);
		cache->release(value);
		return;
	}
	entry = MH_NEW(struct entry);
	entry->key = key;
	entry->value = value;
	entry->bytes = bytes;
	pthread_mutex_lock(&shard->lock);
	if (atomic_load(cache->epoch) == epoch) {
		insert(cache, shard, entry);
		entry = NULL;
	}
	pthread_mutex_unlock(&shard->lock);
	if (entry) {
		cache->release(value);
		free(entry);
	}
}

void mh_cache_remove(struct mh_cache *cache, uint64_t key)
{
	struct shard *shard = shard_of(cache, key);
	struct entry **link;

	pthread_mutex_lock(&shard->lock);
	link = find(shard, key);
	if (*link)
		drop(cache, shard, link);
	pthread_mutex_unlock(&shard->lock);
}

/* --- hints -------------------------------------------------------------- */

struct mh_hints {
	size_t mask;
	_Atomic int64_t slots[];
};

struct mh_hints *mh_hints_new(size_t slots)
{
	struct mh_hints *hints = mh_alloc0(sizeof(struct mh_hints) +
					   slots * sizeof(_Atomic int64_t));

	MH_ASSERT(slots && (slots & (slots - 1)) == 0);
	hints->mask = slots - 1;
	return hints;
}

void mh_hints_free(struct mh_hints *hints)
{
	free(hints);
}

int64_t mh_hints_get(const struct mh_hints *hints, struct mh_str name)
{
	return atomic_load_explicit(
		&hints->slots[mix(mh_str_hash(name)) & hints->mask],
		memory_order_relaxed);
}

void mh_hints_set(struct mh_hints *hints, struct mh_str name, int64_t number)
{
	atomic_store_explicit(
		&hints->slots[mix(mh_str_hash(name)) & hints->mask], number,
		memory_order_relaxed);
}
