/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State groups.
 *
 * A group is a delta to its base, or whole. In a chain of deltas that begins
 * at a whole group, the depth-th one is a delta to the one before it, except
 * that every 16th is a delta to the 16th before it, and every 256th to the
 * 256th before it; the 4096th is whole again. So from any group no more than 45
 * steps lead to a whole one, however large the state is, and an item is written
 * at most three times, and once more every 4096 changes.
 *
 * Groups are immutable and their numbers are never given twice while the
 * program runs: what the cache holds is never wrong. A group must be referred
 * to (by an event, or as a room's current state) in the job that makes it, or
 * the sweep may take it: see sweep.c.
 */
#include "store/state_impl.h"
#include "store/sweep.h"

#include <stdlib.h>

#define STEP 16
#define DEPTH_MAX (STEP * STEP * STEP)
#define CHAIN_MAX (3 * STEP)

/* A whole group in memory. */
struct group {
	size_t n;
	struct mh_state_item items[];
};

int mh_groups_init(struct mh_store *store, size_t bytes, struct mh_error *err)
{
	store->groups = mh_cache_new(bytes, &store->epoch, free);
	return mh_db_ask_int(store->writer,
			     "SELECT ifnull(max(id), 0) FROM state_groups",
			     &store->last_group, err);
}

void mh_groups_release(struct mh_store *store)
{
	mh_cache_free(store->groups);
}

/* --- lists of items --------------------------------------------------------- */

static int compare_keys(const struct mh_state_item *a,
			const struct mh_state_item *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return (a->state_key > b->state_key) - (a->state_key < b->state_key);
}

static int compare_items(const void *a, const void *b)
{
	return compare_keys(a, b);
}

/* The union; where both have a key, `newer` counts. Sorted, in the arena. */
static struct items overlay(struct mh_arena *arena, struct items newer,
			    struct items older)
{
	struct items out;
	size_t i = 0, j = 0;

	if (newer.n == 0)
		return older;
	if (older.n == 0)
		return newer;
	out.at = mh_arena_alloc_array(arena, newer.n + older.n,
				      sizeof(*out.at));
	out.n = 0;
	while (i < newer.n || j < older.n) {
		int order = i == newer.n ? 1 :
			    j == older.n ? -1 :
					   compare_keys(&newer.at[i],
							&older.at[j]);

		out.at[out.n++] = order <= 0 ? newer.at[i] : older.at[j];
		i += order <= 0;
		j += order >= 0;
	}
	return out;
}

static struct items without_removed(struct items items)
{
	size_t n = 0;

	for (size_t i = 0; i < items.n; i++)
		if (items.at[i].event)
			items.at[n++] = items.at[i];
	items.n = n;
	return items;
}

/* Sorted and without repeated keys; of these the last counts. */
static struct items sorted_copy(struct mh_arena *arena,
				const struct mh_state_item *items, size_t n)
{
	struct items out = { mh_arena_alloc_array(arena, n, sizeof(*items)),
			     0 };

	for (size_t i = 0; i < n; i++)
		out.at[i] = items[i];
	/* Long lists are whole states, without repeated keys; short ones are
	 * sorted by insertion, which keeps the order of equal keys. */
	if (n > 64)
		qsort(out.at, n, sizeof(*out.at), compare_items);
	for (size_t i = 1; n <= 64 && i < n; i++) {
		struct mh_state_item item = out.at[i];
		size_t j = i;

		for (; j && compare_keys(&out.at[j - 1], &item) > 0; j--)
			out.at[j] = out.at[j - 1];
		out.at[j] = item;
	}
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && !compare_keys(&out.at[i], &out.at[i + 1]))
			continue;
		out.at[out.n++] = out.at[i];
	}
	return out;
}

static struct mh_state_item *find_item(struct items items, mh_nid type,
				       mh_nid state_key)
{
	struct mh_state_item key = { type, state_key, 0 };

	if (items.n == 0)
		return NULL;
	return bsearch(&key, items.at, items.n, sizeof(key), compare_items);
}

/* --- rows ----------------------------------------------------------------- */

struct meta {
	int64_t base;
	int64_t depth;
};

static int read_meta(struct mh_db *db, int64_t group, struct meta *ret,
		     struct mh_error *err)
{
	int rc;

	MH_SQL(st, db, "SELECT base, depth FROM state_groups WHERE id = ?1");
	mh_sql_int(st, 1, group);
	rc = mh_sql_step(st, err);
	if (rc == 0)
		return mh_fail_internal(err,
					"database: state group %lld is missing",
					(long long)group);
	if (rc < 0)
		return -1;
	ret->base = mh_sql_col_int(st, 0);
	ret->depth = mh_sql_col_int(st, 1);
	return 0;
}

static int read_items(struct mh_db *db, int64_t group, struct mh_arena *arena,
		      struct items *ret, struct mh_error *err)
{
	size_t cap = 16;
	struct items items = { mh_arena_alloc_array(arena, cap,
						    sizeof(*items.at)),
			       0 };
	int rc;

	MH_SQL(st, db,
	       "SELECT type, state_key, event FROM state_items"
	       " WHERE state_group = ?1 ORDER BY type, state_key");
	mh_sql_int(st, 1, group);
	while ((rc = mh_sql_step(st, err)) > 0) {
		if (items.n == cap) {
			struct mh_state_item *old = items.at;

			items.at = mh_arena_alloc_array(arena, 2 * cap,
							sizeof(*old));
			memcpy(items.at, old, cap * sizeof(*old));
			cap *= 2;
		}
		items.at[items.n++] = (struct mh_state_item){
			mh_sql_col_int(st, 0),
			mh_sql_col_int(st, 1),
			mh_sql_col_int(st, 2),
		};
	}
	if (rc < 0)
		return -1;
	*ret = items;
	return 0;
}

static int insert_group(struct mh_tx *tx, int64_t group, mh_nid room,
			const struct meta *meta, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO state_groups (id, room, base, depth)"
	       " VALUES (?1, ?2, ?3, ?4)");

	mh_sql_int(st, 1, group);
	mh_sql_int(st, 2, room);
	mh_sql_int(st, 3, meta->base);
	mh_sql_int(st, 4, meta->depth);
	mh_sweep_mark(tx->store, meta->base);
	return mh_sql_exec(st, err);
}

static int insert_item(struct mh_tx *tx, int64_t group,
		       const struct mh_state_item *item, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO state_items (state_group, type, state_key, event)"
	       " VALUES (?1, ?2, ?3, ?4)");

	mh_sql_int(st, 1, group);
	mh_sql_int(st, 2, item->type);
	mh_sql_int(st, 3, item->state_key);
	mh_sql_int(st, 4, item->event);
	return mh_sql_exec(st, err);
}

/* --- walking a chain -------------------------------------------------------- */

/*
 * The items of `group` over those below it, down to (without) the group at
 * `depth`; *ret_below is that group, or 0 past the whole one.
 */
static int collect(struct mh_db *db, int64_t group, int64_t depth,
		   struct mh_arena *arena, struct items *items,
		   int64_t *ret_below, struct mh_error *err)
{
	struct meta meta;

	while (group) {
		struct items older;

		if (read_meta(db, group, &meta, err) < 0)
			return -1;
		if (meta.depth <= depth)
			break;
		if (read_items(db, group, arena, &older, err) < 0)
			return -1;
		*items = overlay(arena, *items, older);
		group = meta.base;
	}
	*ret_below = group;
	return 0;
}

/* --- making groups ---------------------------------------------------------- */

/* Where the chain puts the base of its depth-th group. */
static int64_t base_depth(int64_t depth)
{
	if (depth % (STEP * STEP) == 0)
		return depth - STEP * STEP;
	if (depth % STEP == 0)
		return depth - STEP;
	return depth - 1;
}

static int make_group(struct mh_tx *tx, mh_nid room, int64_t base,
		      struct items items, struct mh_arena *arena,
		      int64_t *ret_group, struct mh_error *err)
{
	struct meta meta = { 0, 0 };
	int64_t group = ++tx->store->last_group;

	if (base && read_meta(tx->db, base, &meta, err) < 0)
		return -1;
	meta.depth = base ? meta.depth + 1 : 0;
	meta.base = base;
	if (meta.depth >= DEPTH_MAX) {
		meta.depth = 0;
		if (collect(tx->db, base, -1, arena, &items, &meta.base, err) <
		    0)
			return -1;
	} else if (base && collect(tx->db, base, base_depth(meta.depth), arena,
				   &items, &meta.base, err) < 0) {
		return -1;
	}
	if (meta.base == 0)
		items = without_removed(items);
	if (insert_group(tx, group, room, &meta, err) < 0)
		return -1;
	for (size_t i = 0; i < items.n; i++)
		if (insert_item(tx, group, &items.at[i], err) < 0)
			return -1;
	*ret_group = group;
	return 0;
}

int64_t mh_state_group_add(struct mh_tx *tx, mh_nid room, int64_t base,
			   const struct mh_state_item *items, size_t n,
			   struct mh_error *err)
{
	struct mh_arena arena;
	int64_t group = -1;
	int rc;

	if (n == 0)
		return base;
	mh_arena_init(&arena);
	rc = make_group(tx, room, base, sorted_copy(&arena, items, n), &arena,
			&group, err);
	mh_arena_release(&arena);
	return rc < 0 ? -1 : group;
}

/* --- the cache ---------------------------------------------------------- */

static void remember(struct mh_store *store, int64_t group, struct items items)
{
	size_t bytes = sizeof(struct group) + items.n * sizeof(*items.at);
	struct group *value = mh_alloc(bytes);

	value->n = items.n;
	if (items.n)
		memcpy(value->items, items.at, items.n * sizeof(*items.at));
	mh_cache_put(store->groups, (uint64_t)group, value, bytes,
		     atomic_load(&store->epoch));
}

struct whole {
	struct mh_arena *arena;
	struct items items;
};

static bool take_whole(void *context, const void *value)
{
	struct whole *whole = context;
	const struct group *group = value;

	whole->items.n = group->n;
	whole->items.at = mh_arena_alloc_array(whole->arena, group->n,
					       sizeof(*group->items));
	if (group->n)
		memcpy(whole->items.at, group->items,
		       group->n * sizeof(*group->items));
	return true;
}

static bool take_item(void *context, const void *value)
{
	struct mh_state_item *wanted = context;
	const struct group *group = value;
	struct items items = { (struct mh_state_item *)(uintptr_t)group->items,
			       group->n };
	const struct mh_state_item *found =
		find_item(items, wanted->type, wanted->state_key);

	wanted->event = found ? found->event : 0;
	return true;
}

/* --- asking --------------------------------------------------------------- */

static int load(struct mh_db *db, int64_t group, struct mh_arena *arena,
		struct items *ret, struct mh_error *err)
{
	struct whole whole = { arena, { NULL, 0 } };
	int64_t below;

	*ret = whole.items;
	if (!group)
		return 0;
	if (mh_cache_get(db->store->groups, (uint64_t)group, take_whole,
			 &whole)) {
		*ret = whole.items;
		return 0;
	}
	if (collect(db, group, -1, arena, ret, &below, err) < 0)
		return -1;
	*ret = without_removed(*ret);
	remember(db->store, group, *ret);
	return 0;
}

int mh_state_group_load(struct mh_db *db, int64_t group, struct mh_arena *arena,
			struct mh_state_item **ret, size_t *ret_n,
			struct mh_error *err)
{
	struct items items;

	if (load(db, group, arena, &items, err) < 0)
		return -1;
	*ret = items.at;
	*ret_n = items.n;
	return 0;
}

/* One step of the chain: 1 the item, 0 not here (*ret_base is next), -1. */
static int look_in(struct mh_db *db, int64_t group, mh_nid type,
		   mh_nid state_key, mh_nid *ret_event, int64_t *ret_base,
		   struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT g.base, i.event FROM state_groups AS g"
	       " LEFT JOIN state_items AS i ON i.state_group = g.id"
	       " AND i.type = ?2 AND i.state_key = ?3 WHERE g.id = ?1");
	mh_sql_int(st, 1, group);
	mh_sql_int(st, 2, type);
	mh_sql_int(st, 3, state_key);
	rc = mh_sql_step(st, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail_internal(err,
					"database: state group %lld is missing",
					(long long)group);
	*ret_base = mh_sql_col_int(st, 0);
	*ret_event = mh_sql_col_int(st, 1);
	return !mh_sql_col_is_null(st, 1);
}

mh_nid mh_state_group_get(struct mh_db *db, int64_t group, mh_nid type,
			  mh_nid state_key, struct mh_error *err)
{
	struct mh_state_item wanted = { type, state_key, 0 };
	int rc = 0;

	while (group && rc == 0) {
		if (mh_cache_get(db->store->groups, (uint64_t)group, take_item,
				 &wanted))
			return wanted.event;
		rc = look_in(db, group, type, state_key, &wanted.event, &group,
			     err);
	}
	return rc < 0 ? -1 : wanted.event;
}

/* --- differences ------------------------------------------------------------ */

struct chain {
	int64_t groups[CHAIN_MAX + 1];
	size_t n;
};

static int read_chain(struct mh_db *db, int64_t group, struct chain *chain,
		      struct mh_error *err)
{
	struct meta meta;

	for (chain->n = 0; group; group = meta.base) {
		if (chain->n == MH_ARRAY_LEN(chain->groups))
			return mh_fail_internal(err,
						"database: the chain of state "
						"group %lld is too long",
						(long long)chain->groups[0]);
		if (read_meta(db, group, &meta, err) < 0)
			return -1;
		chain->groups[chain->n++] = group;
	}
	return 0;
}

/* The items of the first `n` groups of a chain. */
static int read_above(struct mh_db *db, const struct chain *chain, size_t n,
		      struct mh_arena *arena, struct items *ret,
		      struct mh_error *err)
{
	*ret = (struct items){ NULL, 0 };
	for (size_t i = 0; i < n; i++) {
		struct items older;

		if (read_items(db, chain->groups[i], arena, &older, err) < 0)
			return -1;
		*ret = overlay(arena, *ret, older);
	}
	return 0;
}

/* Sets where both chains meet; their ends when they do not. */
static int64_t meet(const struct chain *a, const struct chain *b, size_t *ret_a,
		    size_t *ret_b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (a->groups[i] == b->groups[j]) {
				*ret_a = i;
				*ret_b = j;
				return a->groups[i];
			}
	*ret_a = a->n;
	*ret_b = b->n;
	return 0;
}

/* What a side has at a key that only the other one touched. */
static mh_nid at_or_common(struct mh_db *db, struct items side, int64_t common,
			   const struct mh_state_item *key,
			   struct mh_error *err)
{
	const struct mh_state_item *found =
		find_item(side, key->type, key->state_key);

	if (found)
		return found->event;
	return mh_state_group_get(db, common, key->type, key->state_key, err);
}

static int compare_sides(struct mh_db *db, int64_t common, struct items from,
			 struct items to, struct mh_arena *arena,
			 struct items *ret, struct mh_error *err)
{
	struct items keys = overlay(arena, to, from);

	ret->at = mh_arena_alloc_array(arena, keys.n, sizeof(*ret->at));
	ret->n = 0;
	for (size_t i = 0; i < keys.n; i++) {
		mh_nid before = at_or_common(db, from, common, &keys.at[i],
					     err);
		mh_nid after = at_or_common(db, to, common, &keys.at[i], err);

		if (before < 0 || after < 0)
			return -1;
		if (before == after)
			continue;
		ret->at[ret->n] = keys.at[i];
		ret->at[ret->n++].event = after;
	}
	return 0;
}

int mh_state_group_diff(struct mh_db *db, int64_t from, int64_t to,
			struct mh_arena *arena, struct mh_state_item **ret,
			size_t *ret_n, struct mh_error *err)
{
	struct items above_from, above_to, out = { NULL, 0 };
	struct chain a, b;
	size_t n_a, n_b;
	int64_t common;

	*ret = NULL;
	*ret_n = 0;
	if (from == to)
		return 0;
	if (read_chain(db, from, &a, err) < 0 ||
	    read_chain(db, to, &b, err) < 0)
		return -1;
	common = meet(&a, &b, &n_a, &n_b);
	if (read_above(db, &a, n_a, arena, &above_from, err) < 0 ||
	    read_above(db, &b, n_b, arena, &above_to, err) < 0 ||
	    compare_sides(db, common, above_from, above_to, arena, &out, err) <
		    0)
		return -1;
	*ret = out.at;
	*ret_n = out.n;
	return 0;
}
