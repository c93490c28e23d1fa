/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: group commit.
 *
 * Jobs queue up while the last batch is being synced to disk; all of them make
 * the next batch. So under load the cost of a sync is shared, and a lone job
 * never waits for company.
 *
 *	BEGIN IMMEDIATE
 *	  SAVEPOINT  job 1  RELEASE
 *	  SAVEPOINT  job 2  ROLLBACK TO, RELEASE	(it said -1)
 *	  the global sequence, if a position was drawn
 *	COMMIT						(one sync)
 *	the caches, the jobs' hooks, mh_store_position(), on_commit
 *	done() of every job
 *
 * When COMMIT fails (the disk is full, or broken), nothing of the batch has
 * happened: every job fails, every undo is called, and the next batch starts
 * afresh; there is no state that needs repair, so the node recovers as soon as
 * the disk does. SQLite may also give the transaction up within a job; then the
 * whole batch fails at once.
 *
 * A failed sync can leave the batch in the log on disk after all; should the
 * machine die before the next COMMIT overwrites it, a job that was told to
 * have failed has happened. Whoever repeats it with its transaction ID is
 * answered correctly, so this is no worse than a lost reply.
 *
 * Checkpoints are made here as well, between batches: after replies have been
 * given, when the log has grown to CHECKPOINT_FRAMES, and when nothing has
 * been written for a moment.
 */
#include "store/caches.h"

#include "base/log.h"
#include "store/sweep.h"

#include <stdlib.h>

#define CHECKPOINT_FRAMES 10000 /* pages of 4 KiB: about 40 MB */
#define CHECKPOINT_RETRY 2500	/* more, when a reader held the last one up */
#define IDLE_MS 1000

/* Write jobs are recognised by their task's function; it is never called. */
static void job_task(struct mh_task *task)
{
	bool on_another_queue = task != NULL;

	MH_ASSERT(!on_another_queue);
}

void mh_store_write(struct mh_store *store, struct mh_write_job *job)
{
	job->task = (struct mh_task){ .run = job_task };
	mh_error_init(&job->error);
	job->failed = false;
	mh_queue_submit(store->queue, &job->task);
}

size_t mh_store_backlog(struct mh_store *store)
{
	return mh_queue_length(store->queue);
}

struct mh_db *mh_tx_db(struct mh_tx *tx)
{
	return tx->db;
}

struct mh_store *mh_tx_store(struct mh_tx *tx)
{
	return tx->store;
}

int64_t mh_tx_next_pos(struct mh_tx *tx)
{
	return ++tx->store->last_pos;
}

int64_t mh_tx_pos(struct mh_tx *tx)
{
	return tx->store->last_pos;
}

int64_t mh_tx_next_backfill_pos(struct mh_tx *tx)
{
	return --tx->store->backfill_pos;
}

void *mh_tx_alloc(struct mh_tx *tx, size_t size)
{
	return mh_arena_alloc(&tx->arena, size);
}

void mh_tx_after(struct mh_tx *tx, void (*fn)(void *context),
		 void (*undo)(void *context), void *context)
{
	if (tx->n_hooks == tx->cap_hooks) {
		tx->cap_hooks = tx->cap_hooks ? 2 * tx->cap_hooks : 64;
		tx->hooks = mh_realloc_array(tx->hooks, tx->cap_hooks,
					     sizeof(*tx->hooks));
	}
	tx->hooks[tx->n_hooks++] = (struct mh_tx_hook){ fn, undo, context };
}

/* --- one job ------------------------------------------------------------ */

static void undo_hooks(struct mh_tx *tx, size_t from)
{
	while (tx->n_hooks > from) {
		struct mh_tx_hook *hook = &tx->hooks[--tx->n_hooks];

		if (hook->undo)
			hook->undo(hook->context);
	}
}

static int statement(struct mh_db *db, struct mh_stmt *st, struct mh_error *err)
{
	int rc = mh_sql_exec(st, err);

	/* Within SQLite an error may have ended the transaction. */
	if (rc == 0 && sqlite3_get_autocommit(db->handle))
		rc = mh_fail_internal(err, "database: the transaction is gone");
	return rc;
}

static int savepoint(struct mh_db *db, struct mh_error *err)
{
	MH_SQL(st, db, "SAVEPOINT job");

	return statement(db, st, err);
}

static int release(struct mh_db *db, struct mh_error *err)
{
	MH_SQL(st, db, "RELEASE job");

	return statement(db, st, err);
}

/* Not counted by mh_db_fail_after(): what cannot be undone breaks the batch. */
static void roll_back_job(struct mh_tx *tx, size_t hooks)
{
	MH_ERROR(err);

	undo_hooks(tx, hooks);
	if (sqlite3_get_autocommit(tx->db->handle) ||
	    mh_db_script(tx->db, "ROLLBACK TO job; RELEASE job", &err) < 0)
		tx->broken = true;
}

static void run_job(struct mh_tx *tx, struct mh_write_job *job)
{
	size_t hooks = tx->n_hooks;

	if (savepoint(tx->db, &job->error) < 0) {
		job->failed = true;
		tx->broken = sqlite3_get_autocommit(tx->db->handle);
		return;
	}
	if (job->run(job, tx, &job->error) < 0 ||
	    release(tx->db, &job->error) < 0) {
		job->failed = true;
		roll_back_job(tx, hooks);
	}
	MH_ASSERT(tx->db->statements == 0);
}

/* --- a batch ------------------------------------------------------------ */

static int begin(struct mh_db *db, struct mh_error *err)
{
	MH_SQL(st, db, "BEGIN IMMEDIATE");

	return mh_sql_exec(st, err);
}

static int save_sequence(struct mh_store *store, struct mh_error *err)
{
	MH_SQL(st, store->writer,
	       "UPDATE sequence SET last = ?1, backfill = ?2");

	if (store->last_pos == store->saved_pos &&
	    store->backfill_pos == store->saved_backfill)
		return 0;
	mh_sql_int(st, 1, store->last_pos);
	mh_sql_int(st, 2, store->backfill_pos);
	return mh_sql_exec(st, err);
}

static int commit(struct mh_db *db, struct mh_error *err)
{
	MH_SQL(st, db, "COMMIT");

	return mh_sql_exec(st, err);
}

static void roll_back_batch(struct mh_db *db)
{
	MH_ERROR(err);

	if (!sqlite3_get_autocommit(db->handle) &&
	    mh_db_script(db, "ROLLBACK", &err) < 0)
		mh_log_debug("store", "rolling back: %s", err.message);
	MH_ASSERT(sqlite3_get_autocommit(db->handle));
}

/* Runs the jobs within one transaction. 1: committed; 0: every job failed. */
static int write_batch(struct mh_store *store, size_t n, struct mh_error *err)
{
	struct mh_tx *tx = &store->tx;
	struct mh_db *db = store->writer;
	size_t ok = 0;

	tx->broken = false;
	if (begin(db, err) < 0)
		return -1;
	for (size_t i = 0; i < n && !tx->broken; i++) {
		run_job(tx, store->jobs[i]);
		ok += !store->jobs[i]->failed;
	}
	if (tx->broken)
		return mh_fail_internal(
			err, "database: the transaction was lost; try again");
	if (ok == 0) {
		/* Positions that were drawn are lost, and not published. */
		mh_caches_rolled_back(store);
		roll_back_batch(db);
		return 0;
	}
	if (save_sequence(store, err) < 0 || commit(db, err) < 0)
		return -1;
	return 1;
}

static void batch_committed(struct mh_store *store)
{
	struct mh_tx *tx = &store->tx;

	store->saved_pos = store->last_pos;
	store->saved_backfill = store->backfill_pos;
	mh_caches_committed(store);
	for (size_t i = 0; i < tx->n_hooks; i++)
		if (tx->hooks[i].fn)
			tx->hooks[i].fn(tx->hooks[i].context);
	tx->n_hooks = 0;
	if (atomic_exchange(&store->position, store->last_pos) !=
		    store->last_pos &&
	    store->on_commit)
		store->on_commit(store->on_commit_context, store->last_pos);
}

static void batch_failed(struct mh_store *store, size_t n,
			 const struct mh_error *err)
{
	mh_log_debug("store", "a batch of %zu failed: %s", n, err->message);
	undo_hooks(&store->tx, 0);
	mh_caches_rolled_back(store);
	roll_back_batch(store->writer);
	for (size_t i = 0; i < n; i++) {
		struct mh_write_job *job = store->jobs[i];

		if (!job->failed)
			mh_fail_status(&job->error, err->status, err->code,
				       "%s", err->message);
		job->failed = true;
	}
}

static void job_done(struct mh_write_job *job)
{
	MH_ERROR(err);

	mh_error_move(&err, &job->error);
	job->done(job, job->failed ? &err : NULL);
}

static void run_jobs(struct mh_store *store, size_t n)
{
	struct mh_tx *tx = &store->tx;
	int rc;
	MH_ERROR(err);

	mh_arena_init(&tx->arena);
	rc = write_batch(store, n, &err);
	if (rc > 0)
		batch_committed(store);
	else if (rc < 0)
		batch_failed(store, n, &err);
	for (size_t i = 0; i < n; i++)
		job_done(store->jobs[i]);
	mh_arena_release(&tx->arena);
}

/* --- checkpoints -------------------------------------------------------- */

static int wal_grew(void *context, sqlite3 *handle, const char *name, int frames)
{
	struct mh_store *store = context;

	(void)handle;
	(void)name;
	store->wal_frames = frames;
	return SQLITE_OK;
}

static void checkpoint(struct mh_store *store)
{
	int log = 0, moved = 0, code;

	code = sqlite3_wal_checkpoint_v2(store->writer->handle, NULL,
					 SQLITE_CHECKPOINT_PASSIVE, &log,
					 &moved);
	if (code != SQLITE_OK)
		mh_log_debug("store", "checkpoint: %s",
			     sqlite3_errmsg(store->writer->handle));
	if (code == SQLITE_OK && moved == log) {
		store->wal_frames = 0;
		store->checkpoint_at = CHECKPOINT_FRAMES;
	} else {
		store->checkpoint_at = store->wal_frames + CHECKPOINT_RETRY;
	}
}

static void set_idle_timer(struct mh_store *store, int64_t due)
{
	store->idle_set = true;
	mh_timer_set(store->executor, &store->idle, due);
}

static void idle(struct mh_task *task)
{
	struct mh_store *store =
		MH_CONTAINER_OF(task, struct mh_store, idle.task);
	int64_t now = mh_clock_mono(mh_executor_clock(store->executor));

	store->idle_set = false;
	if (store->wal_frames == 0)
		return;
	if (now - store->last_batch < IDLE_MS)
		set_idle_timer(store, store->last_batch + IDLE_MS);
	else
		checkpoint(store);
}

static void after_batch(struct mh_store *store)
{
	store->last_batch = mh_clock_mono(mh_executor_clock(store->executor));
	if (store->wal_frames >= store->checkpoint_at)
		checkpoint(store);
	if (store->wal_frames && !store->idle_set)
		set_idle_timer(store, store->last_batch + IDLE_MS);
}

/* --- the queue ---------------------------------------------------------- */

/* The list is copied first: done() may free a job or submit it again. */
static void run_batch(void *context, struct mh_task *list)
{
	struct mh_store *store = context;
	size_t n_jobs = 0, n_others = 0;

	for (struct mh_task *task = list; task; task = task->next) {
		MH_ASSERT(n_jobs + n_others < MH_BATCH_MAX);
		if (task->run == job_task)
			store->jobs[n_jobs++] = MH_CONTAINER_OF(
				task, struct mh_write_job, task);
		else
			store->others[n_others++] = task;
	}
	if (n_jobs) {
		run_jobs(store, n_jobs);
		after_batch(store);
	}
	for (size_t i = 0; i < n_others; i++)
		store->others[i]->run(store->others[i]);
}

void mh_writer_init(struct mh_store *store)
{
	store->tx.store = store;
	store->tx.db = store->writer;
	store->checkpoint_at = CHECKPOINT_FRAMES;
	sqlite3_wal_hook(store->writer->handle, wal_grew, store);
	store->queue = mh_executor_batch_queue(store->executor, "writer",
					       MH_BATCH_MAX, run_batch, store);
	mh_timer_init(&store->idle, store->queue, idle);
	mh_sweep_init(store);
}

void mh_writer_release(struct mh_store *store)
{
	if (store->queue)
		mh_timer_cancel(store->executor, &store->idle);
	mh_sweep_release(store);
	free(store->tx.hooks);
}
