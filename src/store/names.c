/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned names. The cache is keyed by nid; hints lead from names to nids.
 * Names that the running batch has made are in `pending` and reach the cache
 * only when it is committed, so that no reader meets a nid that is then rolled
 * back. nids come from a counter and not from SQLite, which would give the
 * number of a rolled-back row again.
 */
#include "store/names.h"
#include "store/caches.h"

#include <stdlib.h>

#define PENDING_BUCKETS 256

struct name {
	mh_nid nid;
	size_t len;
	char text[];
};

/* In the arena of the batch. nid 0: its job was rolled back. */
struct pending {
	mh_nid nid;
	struct mh_str text;
	struct pending *next;
};

struct mh_names {
	struct mh_cache *cache;
	struct mh_hints *hints;
	mh_nid last; /* the counter; the writer's */
	struct pending *pending[PENDING_BUCKETS];
	bool any_pending;
};

int mh_names_init(struct mh_store *store, size_t bytes, struct mh_error *err)
{
	struct mh_names *names = MH_NEW(struct mh_names);

	store->names = names;
	names->cache = mh_cache_new(bytes, &store->epoch, free);
	names->hints = mh_hints_new(1 << 14);
	return mh_db_ask_int(store->writer,
			     "SELECT ifnull(max(nid), 0) FROM names",
			     &names->last, err);
}

void mh_names_release(struct mh_store *store)
{
	if (!store->names)
		return;
	mh_cache_free(store->names->cache);
	mh_hints_free(store->names->hints);
	free(store->names);
}

/* --- the cache ---------------------------------------------------------- */

/* A name never changes, so the present epoch is always right. */
static void remember(struct mh_store *store, mh_nid nid, struct mh_str text)
{
	struct name *name = mh_alloc(sizeof(struct name) + text.len);

	name->nid = nid;
	name->len = text.len;
	if (text.len)
		memcpy(name->text, text.data, text.len);
	mh_hints_set(store->names->hints, text, nid);
	mh_cache_put(store->names->cache, (uint64_t)nid, name,
		     sizeof(struct name) + text.len,
		     atomic_load(&store->epoch));
}

static bool same_text(void *context, const void *value)
{
	const struct mh_str *text = context;
	const struct name *name = value;

	return mh_str_eq(*text, mh_str_n(name->text, name->len));
}

static mh_nid recall(struct mh_names *names, struct mh_str text)
{
	mh_nid nid = mh_hints_get(names->hints, text);

	if (nid && mh_cache_get(names->cache, (uint64_t)nid, same_text, &text))
		return nid;
	return 0;
}

static bool append_text(void *context, const void *value)
{
	const struct name *name = value;

	mh_strbuf_add(context, name->text, name->len);
	return true;
}

/* --- names of the running batch ------------------------------------------ */

static struct pending **pending_bucket(struct mh_names *names,
				       struct mh_str text)
{
	return &names->pending[mh_str_hash(text) % PENDING_BUCKETS];
}

static mh_nid find_pending(struct mh_names *names, struct mh_str text)
{
	struct pending *p;

	if (!names->any_pending)
		return 0;
	for (p = *pending_bucket(names, text); p; p = p->next)
		if (p->nid && mh_str_eq(p->text, text))
			return p->nid;
	return 0;
}

static void undo_pending(void *context)
{
	struct pending *p = context;

	p->nid = 0;
}

static void add_pending(struct mh_tx *tx, mh_nid nid, struct mh_str text)
{
	struct mh_names *names = tx->store->names;
	struct pending **bucket = pending_bucket(names, text);
	struct pending *p = mh_tx_alloc(tx, sizeof(struct pending));

	p->nid = nid;
	p->text = mh_arena_str(&tx->arena, text);
	p->next = *bucket;
	*bucket = p;
	names->any_pending = true;
	mh_tx_after(tx, NULL, undo_pending, p);
}

void mh_names_batch_end(struct mh_store *store, bool committed)
{
	struct mh_names *names = store->names;

	if (!names->any_pending)
		return;
	for (size_t i = 0; i < PENDING_BUCKETS; i++) {
		for (struct pending *p = names->pending[i]; p; p = p->next)
			if (committed && p->nid)
				remember(store, p->nid, p->text);
		names->pending[i] = NULL;
	}
	names->any_pending = false;
}

/* --- the table ---------------------------------------------------------- */

mh_nid mh_name_find(struct mh_db *db, struct mh_str name, struct mh_error *err)
{
	struct mh_names *names = db->store->names;
	mh_nid nid = db->writer ? find_pending(names, name) : 0;
	int rc;

	if (nid || (nid = recall(names, name)))
		return nid;

	MH_SQL(st, db, "SELECT nid FROM names WHERE text = ?1");
	mh_sql_text(st, 1, name.data ? name : MH_STR(""));
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	nid = mh_sql_col_int(st, 0);
	remember(db->store, nid, name);
	return nid;
}

mh_nid mh_name_intern(struct mh_tx *tx, struct mh_str name, struct mh_error *err)
{
	mh_nid nid = mh_name_find(tx->db, name, err);

	if (nid)
		return nid;

	MH_SQL(st, tx->db, "INSERT INTO names (nid, text) VALUES (?1, ?2)");
	nid = ++tx->store->names->last;
	mh_sql_int(st, 1, nid);
	mh_sql_text(st, 2, name.data ? name : MH_STR(""));
	if (mh_sql_exec(st, err) < 0)
		return -1;
	add_pending(tx, nid, name);
	return nid;
}

int mh_name_get(struct mh_db *db, mh_nid nid, struct mh_strbuf *out,
		struct mh_error *err)
{
	struct mh_str text;
	int rc;

	if (mh_cache_get(db->store->names->cache, (uint64_t)nid, append_text,
			 out))
		return 0;

	MH_SQL(st, db, "SELECT text FROM names WHERE nid = ?1");
	mh_sql_int(st, 1, nid);
	rc = mh_sql_step(st, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail_internal(err, "database: name %lld is missing",
					(long long)nid);
	text = mh_sql_col_text(st, 0);
	mh_strbuf_addstr(out, text);
	/* The writer may see what is not committed yet. */
	if (!db->writer)
		remember(db->store, nid, text);
	return 0;
}

int mh_name_get_str(struct mh_db *db, mh_nid nid, struct mh_arena *arena,
		    struct mh_str *ret, struct mh_error *err)
{
	MH_STRBUF(text);

	if (mh_name_get(db, nid, &text, err) < 0)
		return -1;
	*ret = mh_arena_str(arena, mh_strbuf_str(&text));
	return 0;
}
