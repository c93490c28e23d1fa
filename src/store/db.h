/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of store/ know of each other. Private to store/.
 *
 *   struct mh_db	one SQLite connection with its prepared statements
 *   struct mh_store	the writer's connection, the readers', the caches
 *   struct mh_tx	the batch that is being written; there is one at a time
 *
 * Who may touch what: a connection belongs to one thread. Everything in
 * struct mh_store above `position` is set at opening or is the writer's;
 * `position`, `epoch` and the caches are shared.
 */
#pragma once

#include "base/arena.h"
#include "store/sql.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define MH_BATCH_MAX 512	  /* jobs in one COMMIT */
#define MH_STMT_BUCKETS 256	  /* a power of two */

struct mh_stmt {
	struct mh_db *db;
	const char *literal;
	sqlite3_stmt *handle; /* NULL: it could not be prepared */
	struct mh_stmt *next; /* of its bucket */
	bool in_use;
	bool failed; /* a binding did not succeed: the next step fails */
};

struct mh_db {
	struct mh_store *store;
	sqlite3 *handle;
	bool writer;
	unsigned depth;	      /* nested snapshots */
	unsigned statements;  /* in use now */
	uint64_t epoch;	      /* the caches' when the snapshot was opened */
	int64_t fail_after;   /* see mh_db_fail_after() */
	bool owned;	      /* by `owner`, from its first use on */
	pthread_t owner;
	struct mh_stmt *buckets[MH_STMT_BUCKETS];
};

/* What mh_tx_after() was told. */
struct mh_tx_hook {
	void (*fn)(void *context);
	void (*undo)(void *context);
	void *context;
};

struct mh_tx {
	struct mh_store *store;
	struct mh_db *db;
	struct mh_arena arena; /* until the batch has ended */
	struct mh_tx_hook *hooks;
	size_t n_hooks, cap_hooks;
	bool broken; /* SQLite gave the whole transaction up */
};

struct mh_store {
	struct mh_executor *executor;
	struct mh_queue *queue;
	char *path;
	struct mh_str server_name; /* borrows from server_name_z */
	char *server_name_z;
	int lock_fd; /* -1 with a test's VFS */
	struct mh_db *writer;
	struct mh_db **readers; /* n_readers, and one more for the opener */
	unsigned n_readers;

	/* the writer's */
	struct mh_tx tx;
	struct mh_write_job *jobs[MH_BATCH_MAX];
	struct mh_task *others[MH_BATCH_MAX];
	int64_t last_group; /* highest number of a state group ever drawn */
	int64_t last_pos, saved_pos;	     /* of the global sequence */
	int64_t backfill_pos, saved_backfill; /* its negative side */
	int wal_frames, checkpoint_at;
	struct mh_timer idle;
	bool idle_set;
	int64_t last_batch; /* mono_ms */
	void (*on_commit)(void *context, int64_t pos);
	void *on_commit_context;

	/* shared */
	struct mh_sweep *sweep; /* the writer's */
	struct mh_names *names;
	struct mh_event_cache *events;
	struct mh_cache *rules;	      /* of rooms, by nid */
	struct mh_cache *groups;      /* whole state groups, by number */
	_Atomic bool any_missing;     /* has the table `missing` rows? */
	_Atomic int64_t position;
	_Atomic uint64_t epoch;
};

/* --- connections (sql.c) ------------------------------------------------ */

int mh_db_open(const char *path, int flags, const char *vfs,
	       struct mh_db **ret, struct mh_error *err);
void mh_db_close(struct mh_db *db);
/* Runs statements without rows or parameters, not prepared, not counted. */
int mh_db_script(struct mh_db *db, const char *sql, struct mh_error *err);
/* The first column of the first row of an unprepared query. */
int mh_db_ask_int(struct mh_db *db, const char *sql, int64_t *ret,
		  struct mh_error *err);
/* Fills `err` from what the connection says went wrong; returns -1. */
int mh_db_fail(struct mh_db *db, int code, struct mh_error *err);

/* --- the writer (writer.c) ---------------------------------------------- */

void mh_writer_init(struct mh_store *store);
/* After the last batch: stops the timer, frees what batches used. */
void mh_writer_release(struct mh_store *store);

/* --- opening (migrate.c) ------------------------------------------------- */

/*
 * Checks that the file is this program's and this server's, and brings it to
 * the newest schema.
 */
int mh_migrate(struct mh_db *db, const struct mh_store_options *options,
	       struct mh_error *err);
/* Fails unless the file is of the schema that this program knows. */
int mh_identify(struct mh_db *db, const char *path, struct mh_error *err);
/* The cheap look for visible damage, afterwards. */
int mh_check(struct mh_db *db, const struct mh_store_options *options,
	     struct mh_error *err);
