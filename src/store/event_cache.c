/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events in memory: the shared cache, and the overlay of the running batch.
 *
 * Readers see committed rows: from the cache, or from their snapshot. The
 * writer sees the overlay first: what its batch inserted or changed. When a
 * job is rolled back, its entries stay in the overlay without a row, which
 * sends the writer to the table itself and keeps it from the cache; for an
 * earlier job of the same batch may have changed the event as well.
 */
#include "store/events_impl.h"

#include "store/event_cache.h"

#include <stdlib.h>

#define BUCKETS 256
#define EVENT_OVERHEAD 768 /* bytes of a parsed event beside its JSON */

/* In the arena of the batch. */
struct change {
	mh_nid nid;
	struct mh_str event_id;
	bool known; /* `row` holds */
	struct mh_event_row row;
	struct change *next_nid, *next_id;
};

struct mh_event_cache {
	struct mh_cache *cache;
	struct mh_hints *hints;
	mh_nid last;	  /* the highest nid ever drawn; the writer's */
	mh_nid last_batch; /* the same when the batch began */
	bool any;    /* in the overlay */
	struct change *by_nid[BUCKETS];
	struct change *by_id[BUCKETS];
};

static void copy_row(struct mh_event_row *to, const struct mh_event_row *from)
{
	*to = *from;
	mh_event_ref(to->event);
}

void mh_event_row_release(struct mh_event_row *row)
{
	mh_event_unref(row->event);
	*row = (struct mh_event_row){ 0 };
}

static void release_value(void *value)
{
	mh_event_row_release(value);
	free(value);
}

int mh_event_cache_init(struct mh_store *store, size_t bytes,
			struct mh_error *err)
{
	struct mh_event_cache *events = MH_NEW(struct mh_event_cache);

	store->events = events;
	events->cache = mh_cache_new(bytes, &store->epoch, release_value);
	events->hints = mh_hints_new(1 << 14);
	if (mh_db_ask_int(store->writer,
			  "SELECT ifnull(max(nid), 0) FROM events",
			  &events->last, err) < 0)
		return -1;
	events->last_batch = events->last;
	return 0;
}

void mh_event_cache_release(struct mh_store *store)
{
	if (!store->events)
		return;
	mh_cache_free(store->events->cache);
	mh_hints_free(store->events->hints);
	free(store->events);
}

mh_nid mh_event_next_nid(struct mh_store *store)
{
	return ++store->events->last;
}

/* --- the overlay -------------------------------------------------------- */

static struct change *find_nid(struct mh_event_cache *events, mh_nid nid)
{
	struct change *change = events->by_nid[(uint64_t)nid % BUCKETS];

	while (change && change->nid != nid)
		change = change->next_nid;
	return change;
}

/* Rolled-back insertions may have left several entries of one ID. */
static struct change *find_id(struct mh_event_cache *events, struct mh_str id)
{
	struct change *change = events->by_id[mh_str_hash(id) % BUCKETS];

	while (change && !(change->known && mh_str_eq(change->event_id, id)))
		change = change->next_id;
	return change;
}

static struct change *add_change(struct mh_tx *tx,
				 const struct mh_event_row *row)
{
	struct mh_event_cache *events = tx->store->events;
	struct change *change = mh_tx_alloc(tx, sizeof(struct change));
	struct change **bucket;

	change->nid = row->nid;
	change->event_id = mh_arena_str(&tx->arena, row->event->event_id);
	bucket = &events->by_nid[(uint64_t)row->nid % BUCKETS];
	change->next_nid = *bucket;
	*bucket = change;
	bucket = &events->by_id[mh_str_hash(change->event_id) % BUCKETS];
	change->next_id = *bucket;
	*bucket = change;
	events->any = true;
	return change;
}

static void forget_change(void *context)
{
	struct change *change = context;

	change->known = false;
	mh_event_row_release(&change->row);
}

void mh_event_changed(struct mh_tx *tx, const struct mh_event_row *row)
{
	struct mh_event_cache *events = tx->store->events;
	struct change *change = find_nid(events, row->nid);
	struct mh_event_row copy;

	if (!change)
		change = add_change(tx, row);
	copy_row(&copy, row);
	mh_event_row_release(&change->row);
	change->row = copy;
	change->known = true;
	mh_tx_after(tx, NULL, forget_change, change);
}

static void put(struct mh_store *store, const struct mh_event_row *row,
		uint64_t epoch)
{
	struct mh_event_row *value = MH_NEW(struct mh_event_row);

	copy_row(value, row);
	mh_hints_set(store->events->hints, row->event->event_id, row->nid);
	mh_cache_put(store->events->cache, (uint64_t)row->nid, value,
		     sizeof(*value) + EVENT_OVERHEAD + row->event->json.len,
		     epoch);
}

bool mh_event_cache_changed(struct mh_store *store)
{
	struct mh_event_cache *events = store->events;

	for (size_t i = 0; events->any && i < BUCKETS; i++)
		for (struct change *c = events->by_nid[i]; c; c = c->next_nid)
			if (c->nid <= events->last_batch)
				return true;
	return false;
}

void mh_event_cache_batch_end(struct mh_store *store, bool committed)
{
	struct mh_event_cache *events = store->events;

	events->last_batch = events->last;
	if (!events->any)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct change *c = events->by_nid[i]; c; c = c->next_nid) {
			if (committed && c->known)
				put(store, &c->row, atomic_load(&store->epoch));
			else if (committed)
				mh_cache_remove(events->cache,
						(uint64_t)c->nid);
			mh_event_row_release(&c->row);
		}
		events->by_nid[i] = events->by_id[i] = NULL;
	}
	events->any = false;
}

/* --- looking up --------------------------------------------------------- */

struct wanted {
	struct mh_str event_id; /* data NULL: any */
	struct mh_event_row *ret;
	mh_nid nid;
};

static bool take_row(void *context, const void *value)
{
	struct wanted *wanted = context;
	const struct mh_event_row *row = value;

	if (wanted->event_id.data &&
	    !mh_str_eq(wanted->event_id, row->event->event_id))
		return false;
	wanted->nid = row->nid;
	if (wanted->ret)
		copy_row(wanted->ret, row);
	return true;
}

enum mh_cached mh_event_cache_nid(struct mh_db *db, mh_nid nid,
				  struct mh_event_row *ret)
{
	struct mh_event_cache *events = db->store->events;
	struct wanted wanted = { MH_STR_NONE, ret, 0 };
	struct change *change;

	if (db->writer && events->any &&
	    (change = find_nid(events, nid)) != NULL) {
		if (!change->known)
			return MH_CACHED_NEVER;
		if (ret)
			copy_row(ret, &change->row);
		return MH_CACHED;
	}
	return mh_cache_get(events->cache, (uint64_t)nid, take_row, &wanted) ?
		       MH_CACHED :
		       MH_CACHED_NOT;
}

mh_nid mh_event_cache_id(struct mh_db *db, struct mh_str event_id,
			 struct mh_event_row *ret)
{
	struct mh_event_cache *events = db->store->events;
	struct wanted wanted = { event_id, ret, 0 };
	struct change *change;
	mh_nid nid;

	if (db->writer && events->any &&
	    (change = find_id(events, event_id)) != NULL) {
		if (ret)
			copy_row(ret, &change->row);
		return change->nid;
	}
	nid = mh_hints_get(events->hints, event_id);
	if (!nid || (db->writer && events->any && find_nid(events, nid)))
		return 0;
	mh_cache_get(events->cache, (uint64_t)nid, take_row, &wanted);
	return wanted.nid;
}

void mh_event_cache_put(struct mh_db *db, const struct mh_event_row *row)
{
	struct mh_event_cache *events = db->store->events;

	if (db->writer && events->any && find_nid(events, row->nid))
		return;
	put(db->store, row, mh_db_epoch(db));
}
