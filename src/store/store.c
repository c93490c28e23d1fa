/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the database, and the readers' connections.
 *
 * One process at a time: an advisory lock on "<path>.lock" is held as long as
 * the store is open, so that a second daemon on the same data is refused with
 * a clear message instead of being slowed down by SQLite's own locks.
 */
#include "store/caches.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define CACHE_BYTES_DEFAULT (8 << 20)
#define MEMORY_BYTES_DEFAULT (16 << 20)

/* --- the files ---------------------------------------------------------- */

static int take_lock(struct mh_store *store, struct mh_error *err)
{
	MH_STRBUF(path);

	mh_strbuf_addf(&path, "%s.lock", store->path);
	store->lock_fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_fd < 0)
		return mh_fail_internal(err, "cannot create '%s': %s",
					path.data, strerror(errno));
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return mh_fail_internal(
			err, "'%s' is in use by another process; stop it first",
			store->path);
	return mh_fail_internal(err, "cannot lock '%s': %s", path.data,
				strerror(errno));
}

/*
 * Creates the file when there is none, readable by its owner alone: it holds
 * secrets. Its name is made durable before anything is written to it.
 */
static int create_file(const char *path, struct mh_error *err)
{
	MH_CLEANUP(mh_freep) char *copy = mh_strdup(path);
	int fd, folder, rc = 0;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return mh_fail_internal(err, "cannot open '%s': %s", path,
					strerror(errno));
	close(fd);
	folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) < 0)
		rc = mh_fail_internal(err, "cannot sync the folder of '%s': %s",
				      path, strerror(errno));
	if (folder >= 0)
		close(folder);
	return rc;
}

/* --- connections -------------------------------------------------------- */

/* temp_store keeps the savepoints' journal in memory. */
static int configure(struct mh_db *db, int64_t cache_bytes, struct mh_error *err)
{
	MH_STRBUF(sql);

	mh_strbuf_addf(&sql,
		       "PRAGMA cache_size = -%lld; PRAGMA temp_store = MEMORY;"
		       "PRAGMA trusted_schema = OFF;"
		       "PRAGMA foreign_keys = OFF",
		       (long long)(cache_bytes / 1024 + 64));
	return mh_db_script(db, sql.data, err);
}

static int use_wal(struct mh_db *db, struct mh_error *err)
{
	int64_t wal = 0;

	if (mh_db_script(db,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			 "PRAGMA wal_autocheckpoint = 0;"
			 "PRAGMA journal_size_limit = 67108864",
			 err) < 0 ||
	    mh_db_ask_int(db,
			  "SELECT journal_mode = 'wal'"
			  " FROM pragma_journal_mode",
			  &wal, err) < 0)
		return -1;
	if (!wal)
		return mh_fail_internal(
			err, "database: the file system does not allow WAL");
	return 0;
}

static int open_writer(struct mh_store *store,
		       const struct mh_store_options *options,
		       int64_t cache_bytes, struct mh_error *err)
{
	if (mh_db_open(options->path,
		       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, options->vfs,
		       &store->writer, err) < 0)
		return -1;
	store->writer->store = store;
	store->writer->writer = true;
	if (mh_migrate(store->writer, options, err) < 0 ||
	    configure(store->writer, cache_bytes, err) < 0 ||
	    use_wal(store->writer, err) < 0)
		return -1;
	return mh_check(store->writer, options, err);
}

static int open_readers(struct mh_store *store,
			const struct mh_store_options *options,
			int64_t cache_bytes, struct mh_error *err)
{
	store->n_readers = options->readers;
	store->readers =
		mh_alloc_array(options->readers + 1u, sizeof(struct mh_db *));
	for (unsigned i = 0; i <= options->readers; i++) {
		if (mh_db_open(options->path, SQLITE_OPEN_READONLY,
			       options->vfs, &store->readers[i], err) < 0 ||
		    configure(store->readers[i], cache_bytes, err) < 0)
			return -1;
		store->readers[i]->store = store;
	}
	store->readers[options->readers]->owned = true;
	store->readers[options->readers]->owner = pthread_self();
	return 0;
}

static int load_sequence(struct mh_store *store, struct mh_error *err)
{
	if (mh_db_ask_int(store->writer, "SELECT last FROM sequence",
			  &store->last_pos, err) < 0 ||
	    mh_db_ask_int(store->writer, "SELECT backfill FROM sequence",
			  &store->backfill_pos, err) < 0)
		return -1;
	store->saved_pos = store->last_pos;
	store->saved_backfill = store->backfill_pos;
	atomic_store(&store->position, store->last_pos);
	return 0;
}

static int open_store(struct mh_store *store,
		      const struct mh_store_options *options,
		      struct mh_error *err)
{
	int64_t cache = options->cache_bytes ? options->cache_bytes :
					       CACHE_BYTES_DEFAULT;
	int64_t memory = options->memory_bytes ? options->memory_bytes :
						 MEMORY_BYTES_DEFAULT;

	if (!options->vfs && (take_lock(store, err) < 0 ||
			      create_file(options->path, err) < 0))
		return -1;
	/* The writer touches the most pages: half of it is the writer's. */
	if (open_writer(store, options, cache / 2, err) < 0 ||
	    open_readers(store, options, cache / 2 / (options->readers + 1),
			 err) < 0 ||
	    load_sequence(store, err) < 0 || mh_caches_init(store, memory, err) < 0)
		return -1;
	mh_writer_init(store);
	return 0;
}

int mh_store_open(const struct mh_store_options *options,
		  struct mh_executor *executor, struct mh_store **ret,
		  struct mh_error *err)
{
	struct mh_store *store = MH_NEW(struct mh_store);

	MH_ASSERT(strcmp(options->path, ":memory:") != 0);
	store->executor = executor;
	store->lock_fd = -1;
	store->path = mh_strdup(options->path);
	store->server_name_z = mh_strdup(options->server_name);
	store->server_name = mh_str(store->server_name_z);
	if (open_store(store, options, err) < 0) {
		mh_store_close(store);
		return -1;
	}
	*ret = store;
	return 0;
}

void mh_store_close(struct mh_store *store)
{
	if (!store)
		return;
	mh_writer_release(store);
	for (unsigned i = 0; store->readers && i <= store->n_readers; i++)
		mh_db_close(store->readers[i]);
	free(store->readers);
	/* The last connection that closes makes a checkpoint. */
	mh_db_close(store->writer);
	mh_caches_release(store);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store->path);
	free(store->server_name_z);
	free(store);
}

/* --- reading ------------------------------------------------------------ */

struct mh_db *mh_store_reader(struct mh_store *store)
{
	int index = mh_queue_thread_index();
	struct mh_db *db;

	MH_ASSERT(index < (int)store->n_readers);
	db = store->readers[index < 0 ? (int)store->n_readers : index];
	if (!db->owned) {
		db->owned = true;
		db->owner = pthread_self();
	}
	MH_ASSERT(pthread_equal(db->owner, pthread_self()));
	return db;
}

struct mh_db *mh_store_writer(struct mh_store *store)
{
	return store->writer;
}

/*
 * BEGIN takes no lock and reads nothing, so it cannot fail for want of a disk;
 * the snapshot is made by the first read. The writer's connection is in its
 * batch's transaction already.
 */
void mh_db_begin(struct mh_db *db)
{
	if (db->depth++ || db->writer)
		return;
	db->epoch = atomic_load(&db->store->epoch);
	sqlite3_exec(db->handle, "BEGIN", NULL, NULL, NULL);
}

void mh_db_end(struct mh_db *db)
{
	MH_ASSERT(db->depth > 0);
	if (--db->depth || db->writer)
		return;
	MH_ASSERT(db->statements == 0);
	if (!sqlite3_get_autocommit(db->handle))
		sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
}

int mh_db_position(struct mh_db *db, int64_t *ret, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db, "SELECT last FROM sequence");
	/* The row is written once a batch; the writer is ahead of it. */
	if (db->writer) {
		*ret = db->store->last_pos;
		return 0;
	}
	rc = mh_sql_step(st, err);
	if (rc == 0)
		return mh_fail_internal(err, "database: no sequence");
	if (rc > 0)
		*ret = mh_sql_col_int(st, 0);
	return rc < 0 ? -1 : 0;
}

void mh_store_on_commit(struct mh_store *store,
			void (*fn)(void *context, int64_t pos), void *context)
{
	store->on_commit = fn;
	store->on_commit_context = context;
}

int64_t mh_store_position(struct mh_store *store)
{
	return atomic_load(&store->position);
}
