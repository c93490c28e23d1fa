/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep: a write job now and then that takes away what nobody needs any
 * more, a bounded step at a time.
 *
 *	transaction IDs	that are older than MH_TXN_KEEP_MS
 *	state groups	that no event and no room refers to, nor another group
 *			that is needed: left over from state resolutions that
 *			were overtaken
 *
 * State groups are found by marking: from the rooms, then from all events in
 * the order of their nids, then from group to base, the highest number first
 * (a base is older than what is built on it), deleting what has no mark when
 * it is passed. That takes many steps, between which jobs write. Therefore
 * whoever writes a reference marks the group as well (mh_sweep_mark), and
 * groups made since the pass began are left alone. A mark too many, of a job
 * that is rolled back, leaves a group until the next pass.
 *
 * The disadvantage is that a pass reads the whole table of events, if slowly.
 */
#include "store/sweep.h"

#include "base/log.h"
#include "store/txn.h"

#include <stdlib.h>

#define FIRST_MS INT64_C(600000)     /* after opening */
#define STEP_MS 20		     /* between two steps */
#define PASS_MS INT64_C(21600000)    /* between two passes */
#define STEP_ROWS 500
#define STEP_DELETES 1000

enum phase { SWEEP_TXNS, SWEEP_ROOMS, SWEEP_EVENTS, SWEEP_GROUPS, SWEEP_DONE };

struct mh_sweep {
	struct mh_store *store;
	struct mh_write_job job;
	struct mh_timer timer;
	bool busy; /* the job is queued */
	enum phase phase;
	int64_t cursor;
	unsigned char *marks; /* a bit a group; NULL between passes */
	int64_t max_group;    /* the last one with a mark */
};

void mh_sweep_mark(struct mh_store *store, int64_t group)
{
	struct mh_sweep *sweep = store->sweep;

	if (sweep && sweep->marks && group > 0 && group <= sweep->max_group)
		sweep->marks[group / 8] |= (unsigned char)(1 << (group % 8));
}

static bool is_marked(const struct mh_sweep *sweep, int64_t group)
{
	return group > sweep->max_group ||
	       sweep->marks[group / 8] & (1 << (group % 8));
}

/* --- transaction IDs ------------------------------------------------------------ */

/* The highest of the oldest rows up to the first that is young; 0: none. */
static int old_rows(struct mh_stmt *st, int64_t before, int64_t *ret,
		    struct mh_error *err)
{
	int rc;

	*ret = 0;
	while ((rc = mh_sql_step(st, err)) > 0) {
		if (mh_sql_col_int(st, 1) >= before)
			return 0;
		*ret = mh_sql_col_int(st, 0);
	}
	return rc;
}

static int sweep_events_txns(struct mh_tx *tx, int64_t before, bool *ret_more,
			     struct mh_error *err)
{
	int64_t last;

	MH_SQL(old, tx->db,
	       "SELECT t.event, e.ts FROM (SELECT event FROM event_transactions"
	       " ORDER BY event LIMIT 500) AS t"
	       " CROSS JOIN events AS e ON e.nid = t.event ORDER BY t.event");
	MH_SQL(st, tx->db, "DELETE FROM event_transactions WHERE event <= ?1");
	if (old_rows(old, before, &last, err) < 0)
		return -1;
	mh_sql_int(st, 1, last);
	if (last && mh_sql_exec(st, err) < 0)
		return -1;
	*ret_more |= last != 0;
	return 0;
}

static int sweep_reply_txns(struct mh_tx *tx, int64_t before, bool *ret_more,
			    struct mh_error *err)
{
	int64_t last;

	MH_SQL(old, tx->db,
	       "SELECT id, ts FROM reply_transactions ORDER BY id LIMIT 500");
	MH_SQL(st, tx->db, "DELETE FROM reply_transactions WHERE id <= ?1");
	if (old_rows(old, before, &last, err) < 0)
		return -1;
	mh_sql_int(st, 1, last);
	if (last && mh_sql_exec(st, err) < 0)
		return -1;
	*ret_more |= last != 0;
	return 0;
}

static int sweep_txns(struct mh_sweep *sweep, struct mh_tx *tx,
		      struct mh_error *err)
{
	struct mh_clock *clock = mh_executor_clock(sweep->store->executor);
	int64_t before = mh_clock_wall(clock) - MH_TXN_KEEP_MS;
	bool more = false;

	if (sweep_events_txns(tx, before, &more, err) < 0 ||
	    sweep_reply_txns(tx, before, &more, err) < 0)
		return -1;
	if (!more) {
		sweep->phase = SWEEP_ROOMS;
		sweep->cursor = 0;
		sweep->max_group = sweep->store->last_group;
		sweep->marks = mh_alloc0((size_t)sweep->max_group / 8 + 1);
	}
	return 0;
}

/* --- state groups ------------------------------------------------------------- */

static int mark_rooms(struct mh_sweep *sweep, struct mh_tx *tx,
		      struct mh_error *err)
{
	int rc, n = 0;

	MH_SQL(st, tx->db,
	       "SELECT nid, state_group FROM rooms WHERE nid > ?1"
	       " ORDER BY nid LIMIT ?2");
	mh_sql_int(st, 1, sweep->cursor);
	mh_sql_int(st, 2, STEP_ROWS);
	while ((rc = mh_sql_step(st, err)) > 0) {
		sweep->cursor = mh_sql_col_int(st, 0);
		mh_sweep_mark(sweep->store, mh_sql_col_int(st, 1));
		n++;
	}
	if (rc == 0 && n < STEP_ROWS) {
		sweep->phase = SWEEP_EVENTS;
		sweep->cursor = 0;
	}
	return rc;
}

static int mark_events(struct mh_sweep *sweep, struct mh_tx *tx,
		       struct mh_error *err)
{
	int rc, n = 0;

	MH_SQL(st, tx->db,
	       "SELECT nid, state_before, state_after FROM events"
	       " WHERE nid > ?1 ORDER BY nid LIMIT ?2");
	mh_sql_int(st, 1, sweep->cursor);
	mh_sql_int(st, 2, STEP_ROWS);
	while ((rc = mh_sql_step(st, err)) > 0) {
		sweep->cursor = mh_sql_col_int(st, 0);
		mh_sweep_mark(sweep->store, mh_sql_col_int(st, 1));
		mh_sweep_mark(sweep->store, mh_sql_col_int(st, 2));
		n++;
	}
	if (rc == 0 && n < STEP_ROWS) {
		sweep->phase = SWEEP_GROUPS;
		sweep->cursor = INT64_MAX;
	}
	return rc;
}

static int delete_group(struct mh_tx *tx, int64_t group, int64_t *deletes,
			struct mh_error *err)
{
	MH_SQL(items, tx->db, "DELETE FROM state_items WHERE state_group = ?1");
	MH_SQL(st, tx->db, "DELETE FROM state_groups WHERE id = ?1");

	mh_sql_int(items, 1, group);
	mh_sql_int(st, 1, group);
	if (mh_sql_exec(items, err) < 0)
		return -1;
	*deletes += mh_sql_changes(tx->db) + 1;
	return mh_sql_exec(st, err);
}

static int sweep_groups(struct mh_sweep *sweep, struct mh_tx *tx,
			struct mh_error *err)
{
	int64_t deletes = 0;
	int rc = 1;

	MH_SQL(st, tx->db,
	       "SELECT id, base FROM state_groups WHERE id < ?1"
	       " ORDER BY id DESC LIMIT ?2");
	mh_sql_int(st, 1, sweep->cursor);
	mh_sql_int(st, 2, STEP_ROWS);
	for (int n = 0; n < STEP_ROWS && deletes < STEP_DELETES; n++) {
		rc = mh_sql_step(st, err);
		if (rc <= 0)
			break;
		sweep->cursor = mh_sql_col_int(st, 0);
		if (is_marked(sweep, sweep->cursor))
			mh_sweep_mark(sweep->store, mh_sql_col_int(st, 1));
		else if (delete_group(tx, sweep->cursor, &deletes, err) < 0)
			return -1;
	}
	if (deletes)
		mh_log_debug("store", "swept %lld rows of state groups",
			     (long long)deletes);
	if (rc == 0)
		sweep->phase = SWEEP_DONE;
	return rc < 0 ? -1 : 0;
}

/* --- steps -------------------------------------------------------------------- */

static int step(struct mh_write_job *job, struct mh_tx *tx,
		struct mh_error *err)
{
	struct mh_sweep *sweep = MH_CONTAINER_OF(job, struct mh_sweep, job);

	switch (sweep->phase) {
	case SWEEP_TXNS:
		return sweep_txns(sweep, tx, err);
	case SWEEP_ROOMS:
		return mark_rooms(sweep, tx, err);
	case SWEEP_EVENTS:
		return mark_events(sweep, tx, err);
	case SWEEP_GROUPS:
		return sweep_groups(sweep, tx, err);
	case SWEEP_DONE:
		break;
	}
	return 0;
}

static void end_pass(struct mh_sweep *sweep)
{
	free(sweep->marks);
	sweep->marks = NULL;
	sweep->phase = SWEEP_TXNS;
}

/* After a failure the pass begins anew, later. */
static void step_done(struct mh_write_job *job, struct mh_error *err)
{
	struct mh_sweep *sweep = MH_CONTAINER_OF(job, struct mh_sweep, job);
	struct mh_store *store = sweep->store;
	int64_t now = mh_clock_mono(mh_executor_clock(store->executor));
	bool over = err || sweep->phase == SWEEP_DONE;

	if (err)
		mh_log_debug("store", "the sweep failed: %s", err->message);
	sweep->busy = false;
	if (over)
		end_pass(sweep);
	mh_timer_set(store->executor, &sweep->timer,
		     now + (over ? PASS_MS : STEP_MS));
}

static void due(struct mh_task *task)
{
	struct mh_sweep *sweep =
		MH_CONTAINER_OF(task, struct mh_sweep, timer.task);

	if (sweep->busy)
		return;
	sweep->busy = true;
	mh_store_write(sweep->store, &sweep->job);
}

void mh_store_sweep(struct mh_store *store)
{
	mh_timer_set(store->executor, &store->sweep->timer,
		     mh_clock_mono(mh_executor_clock(store->executor)));
}

void mh_sweep_init(struct mh_store *store)
{
	struct mh_sweep *sweep = MH_NEW(struct mh_sweep);

	store->sweep = sweep;
	sweep->store = store;
	sweep->job.run = step;
	sweep->job.done = step_done;
	mh_timer_init(&sweep->timer, store->queue, due);
	mh_timer_set(store->executor, &sweep->timer,
		     mh_clock_mono(mh_executor_clock(store->executor)) +
			     FIRST_MS);
}

void mh_sweep_release(struct mh_store *store)
{
	if (!store->sweep)
		return;
	mh_timer_cancel(store->executor, &store->sweep->timer);
	free(store->sweep->marks);
	free(store->sweep);
}
