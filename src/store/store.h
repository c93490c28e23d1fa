/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: durable facts and the one thread that writes them.
 *
 *   struct mh_store	the database of one node; shared by all threads
 *   struct mh_db	a connection: a worker's (read only) or the writer's
 *   struct mh_tx	a write job that is running on the writer thread
 *
 * Reading. A worker calls mh_store_reader() for its own connection and opens a
 * snapshot around everything that must agree:
 *
 *	MH_SNAPSHOT(snapshot, db);
 *	mh_events_get(db, ...);
 *
 * No snapshot is held across a wait.
 *
 * Writing. There are no room locks. A write job is a function that runs on the
 * writer thread under a SAVEPOINT: it reads (its connection sees the batch),
 * builds, checks and inserts. When it returns -1 its savepoint is rolled back
 * and nobody else is touched. The batch is whatever is queued: one COMMIT with
 * synchronous=FULL, then every job's done(). A failed COMMIT fails every job of
 * the batch. So what done() is told has happened survives power loss.
 *
 * Positions. One global sequence numbers all durable facts that clients or
 * peers follow: mh_tx_next_pos(). Position order is commit order; positions of
 * rolled-back jobs are lost, never reused.
 *
 * Each table family has a header beside this one (names.h, events.h, state.h,
 * rooms.h, accounts.h, ...). Functions that read take struct mh_db *, functions
 * that write take struct mh_tx *; mh_tx_db() lets a job read.
 */
#pragma once

#include "base/error.h"
#include "base/executor.h"

struct mh_store;
struct mh_db;
struct mh_tx;

struct mh_store_options {
	const char *path;	/* the database file; ":memory:" is not allowed */
	const char *server_name;/* recorded at creation, checked afterwards */
	unsigned readers;	/* as many as workers */
	const char *vfs;	/* NULL, or a test's VFS that tears and fails */
	int64_t cache_bytes;	/* page cache over all connections; 0: 8 MiB */
	int64_t memory_bytes;	/* names, events, state in memory; 0: 16 MiB */
};

/*
 * Opens or creates the database: migrates it (keeping a copy of the file
 * before each upgrade), and refuses one that is foreign (another program's or
 * another server name's), newer, or visibly damaged, with a message that says
 * which. The writer's queue is made on `executor`.
 */
int mh_store_open(const struct mh_store_options *options,
		  struct mh_executor *executor, struct mh_store **ret,
		  struct mh_error *err);
/* All queues must have been drained. Checkpoints and closes. */
void mh_store_close(struct mh_store *store);

/* --- reading ------------------------------------------------------------ */

/*
 * The connection of the calling worker (mh_queue_thread_index()), or, outside
 * of queues, of the thread that opened the store: start-up and tests. A
 * connection belongs to the first thread that asked for it (asserted), so
 * queues beside the workers' must not read.
 */
struct mh_db *mh_store_reader(struct mh_store *store);

void mh_db_begin(struct mh_db *db);
void mh_db_end(struct mh_db *db);
MH_DEFINE_CLEANUP(struct mh_db *, mh_db_end)
/* A snapshot for the rest of the scope. Nests: the outermost counts. */
#define MH_SNAPSHOT(name, db)                                                  \
	MH_CLEANUP(mh_db_endp) struct mh_db *name = (db);                      \
	mh_db_begin(name)

/*
 * The last position that is committed: the global sequence. It moves on after
 * the hooks of mh_tx_after(), so that what is kept in memory is never behind
 * it. Any thread.
 */
int64_t mh_store_position(struct mh_store *store);
/* The position that this connection's snapshot shows, exactly. */
int mh_db_position(struct mh_db *db, int64_t *ret, struct mh_error *err);
/*
 * Has `fn` called on the writer thread whenever mh_store_position() has moved
 * on, before any done() of the batch. One listener (the notifier); NULL ends
 * it. Call while nothing is written.
 */
void mh_store_on_commit(struct mh_store *store,
			void (*fn)(void *context, int64_t pos), void *context);

/* --- writing ------------------------------------------------------------ */

struct mh_write_job {
	struct mh_task task; /* the store's */
	/* On the writer thread, in a savepoint. -1 rolls it back. */
	int (*run)(struct mh_write_job *job, struct mh_tx *tx,
		   struct mh_error *err);
	/*
	 * On the writer thread after COMMIT (`err` NULL) or after the job or
	 * its batch failed. Short: reply, submit a task. May free the job.
	 */
	void (*done)(struct mh_write_job *job, struct mh_error *err);
	struct mh_error error; /* the store's */
	bool failed;	       /* the store's */
};

/* Any thread. The job must live until done(). */
void mh_store_write(struct mh_store *store, struct mh_write_job *job);
/* Jobs that wait, for back-pressure. */
size_t mh_store_backlog(struct mh_store *store);

struct mh_db *mh_tx_db(struct mh_tx *tx);
struct mh_store *mh_tx_store(struct mh_tx *tx);
/* Draws the next position of the global sequence. */
int64_t mh_tx_next_pos(struct mh_tx *tx);
/* The position drawn last, in this job or before it. */
int64_t mh_tx_pos(struct mh_tx *tx);

/*
 * Has fn(context) called after COMMIT, in order, on the writer thread, before
 * any done() of the batch; or, if the job or the COMMIT fails, has
 * undo(context) called instead (latest first, at rollback). Either may be NULL.
 * This is how caches and the notifier follow the database: what is seen in
 * memory by others changes in fn, what the writer's own caches assumed within
 * the batch is dropped in undo.
 */
void mh_tx_after(struct mh_tx *tx, void (*fn)(void *context),
		 void (*undo)(void *context), void *context);
/* Memory that lives until the batch has ended, for contexts of mh_tx_after. */
void *mh_tx_alloc(struct mh_tx *tx, size_t size);

/* Draws the next position of a backfilled event: negative, ever smaller. */
int64_t mh_tx_next_backfill_pos(struct mh_tx *tx);

/* --- tests -------------------------------------------------------------- */

/*
 * Has the n-th step of a statement from now on fail (1: the next; 0: none) on
 * this connection, as if the disk had refused: every path out of a function is
 * walked by trying 1, 2, 3 ... until mh_db_failing() says that the n-th was
 * never reached. BEGIN, SAVEPOINT and COMMIT count as well. Set it while the
 * connection is at rest.
 */
void mh_db_fail_after(struct mh_db *db, int64_t n);
bool mh_db_failing(const struct mh_db *db);
/* Has the background sweep begin now; it takes several steps. */
void mh_store_sweep(struct mh_store *store);
/* The writer's connection, for the first two alone. */
struct mh_db *mh_store_writer(struct mh_store *store);

/* --- care --------------------------------------------------------------- */

/*
 * The thorough check, for `mootctl verify`: SQLite's own, then events against
 * their hashes, state against events, nothing unreachable. Calls `report` with
 * one line a finding; returns how many, or -1 when it could not be done.
 * Opens its own connection.
 */
int64_t mh_store_verify(const char *path,
			void (*report)(void *context, const char *finding),
			void *context, struct mh_error *err);
