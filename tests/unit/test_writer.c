/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer over a disk that fills up, refuses and loses power: what was
 * acknowledged is there, what was not is there whole or not at all, and the
 * store goes on as soon as the disk does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/names.h"
#include "tests/sim/fault_vfs.h"
#include "tests/unit/store_fixture.h"

#include <sqlite3.h>

#define JOBS 12

/* A job that writes two names: both are there, or neither. */
struct pair {
	struct fixture_job job;
	char a[32], b[32];
	int64_t pos;
};

struct life {
	struct fixture f;
	struct fault_disk *disk;
	struct pair pairs[64];
	size_t n, acknowledged;
	int64_t last_pos; /* of what was acknowledged */
};

static int write_pair(struct mh_tx *tx, void *context, struct mh_error *err)
{
	struct pair *pair = context;

	pair->pos = mh_tx_next_pos(tx);
	if (mh_name_intern(tx, mh_str(pair->a), err) < 0)
		return -1;
	return mh_name_intern(tx, mh_str(pair->b), err) < 0 ? -1 : 0;
}

/* Padding makes batches of several pages, so that they can tear. */
static void submit(struct life *life)
{
	struct pair *pair = &life->pairs[life->n++];

	snprintf(pair->a, sizeof(pair->a), "first %zu", life->n);
	snprintf(pair->b, sizeof(pair->b), "second %zu", life->n);
	fixture_submit(&life->f, &pair->job, write_pair, pair);
}

/* `jobs` jobs in batches of 1, 2, 3, 1, ... */
static void work(struct life *life, size_t jobs)
{
	size_t end = life->n + jobs;

	while (life->n < end) {
		size_t batch = 1 + life->n % 3;

		while (batch-- && life->n < end)
			submit(life);
		mh_executor_run_until_idle(life->f.executor);
	}
}

static void life_init(struct life *life, uint64_t seed)
{
	memset(life, 0, sizeof(*life));
	life->disk = fault_disk_new(seed);
	life->f.vfs = fault_disk_name(life->disk);
	snprintf(life->f.path, sizeof(life->f.path), "node.db");
}

static void life_release(struct life *life)
{
	if (life->f.store)
		fixture_shut(&life->f);
	fault_disk_free(life->disk);
}

static bool life_open(struct life *life)
{
	MH_ERROR(err);

	return fixture_try_open(&life->f, "a.example", &err) == 0;
}

static bool has(struct life *life, const char *name)
{
	MH_ERROR(err);
	mh_nid nid = mh_name_find(life->f.db, mh_str(name), &err);

	assert_true(nid >= 0);
	return nid > 0;
}

static void expect_intact(struct life *life)
{
	sqlite3 *handle = NULL;
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_open_v2(life->f.path, &handle,
					 SQLITE_OPEN_READONLY, life->f.vfs),
			 SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(handle, "PRAGMA integrity_check",
					    -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	sqlite3_close(handle);
}

/* Compares what there is with what the jobs were told. */
static void check(struct life *life)
{
	life->acknowledged = 0;
	for (size_t i = 0; i < life->n; i++) {
		struct pair *pair = &life->pairs[i];
		bool a = has(life, pair->a);

		assert_int_equal(a, has(life, pair->b));
		assert_true(pair->job.done);
		if (pair->job.result == 0) {
			assert_true(a);
			assert_true(mh_store_position(life->f.store) >=
				    pair->pos);
			life->acknowledged++;
		}
	}
	expect_intact(life);
}

/* --- power loss at every sync -------------------------------------------------- */

static void die_and_come_back(uint64_t seed, int64_t at, bool *ret_died)
{
	struct life life;
	bool open;

	life_init(&life, seed);
	fault_disk_die_at_sync(life.disk, at);
	open = life_open(&life);
	if (open) {
		work(&life, JOBS);
		mh_executor_advance(life.f.executor, 5000); /* a checkpoint */
		work(&life, JOBS);
		fixture_shut(&life.f);
	}
	*ret_died = fault_disk_is_dead(life.disk);
	fault_disk_reboot(life.disk, FAULT_POWER_LOSS);
	if (!life_open(&life))
		fail_msg("seed %d: no database after dying at sync %d",
			 (int)seed, (int)at);
	check(&life);
	work(&life, JOBS);
	check(&life);
	assert_true(life.acknowledged >= JOBS);
	life_release(&life);
}

static void test_power_loss_at_every_sync(void **state MH_UNUSED)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		bool died = true;

		for (int64_t at = 1; died; at++) {
			assert_true(at < 200);
			die_and_come_back(seed, at, &died);
		}
	}
}

static void test_a_kill_loses_nothing_that_was_written(void **state MH_UNUSED)
{
	struct life life;

	life_init(&life, 1);
	assert_true(life_open(&life));
	work(&life, JOBS);
	fault_disk_die(life.disk);
	work(&life, 3);
	fixture_shut(&life.f);
	fault_disk_reboot(life.disk, FAULT_KILL);
	assert_true(life_open(&life));
	check(&life);
	assert_int_equal(life.acknowledged, JOBS);
	life_release(&life);
}

/* --- a call that fails once ------------------------------------------------------ */

static bool fail_once(uint64_t seed, int64_t at)
{
	struct life life;
	bool failed;

	life_init(&life, seed);
	assert_true(life_open(&life));
	fault_disk_fail_at(life.disk, at);
	work(&life, JOBS);
	mh_executor_advance(life.f.executor, 5000);
	work(&life, 3);
	failed = fault_disk_has_failed(life.disk);
	fault_disk_fail_at(life.disk, 0);
	work(&life, JOBS);
	for (size_t i = life.n - JOBS; i < life.n; i++)
		if (life.pairs[i].job.result)
			fail_msg("seed %d: call %d was not got over: %s",
				 (int)seed, (int)at,
				 life.pairs[i].job.message);
	check(&life);
	/* And so it is on the platter. */
	fault_disk_die(life.disk);
	fixture_shut(&life.f);
	fault_disk_reboot(life.disk, FAULT_POWER_LOSS);
	assert_true(life_open(&life));
	check(&life);
	life_release(&life);
	return failed;
}

static void test_each_call_to_the_disk_may_fail(void **state MH_UNUSED)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (int64_t at = 1; fail_once(seed, at); at++)
			assert_true(at < 1000);
}

/* --- a full disk ------------------------------------------------------------------ */

static void test_a_full_disk_is_said_and_got_over(void **state MH_UNUSED)
{
	struct life life;
	size_t failed = 0;

	life_init(&life, 1);
	assert_true(life_open(&life));
	fault_disk_set_capacity(life.disk,
				fault_disk_used(life.disk) + 64 * 1024);
	work(&life, 48);
	for (size_t i = 0; i < life.n; i++) {
		if (!life.pairs[i].job.result)
			continue;
		failed++;
		assert_string_equal(life.pairs[i].job.message,
				    "database: the disk is full");
	}
	assert_true(failed > 0);
	check(&life);
	fault_disk_set_capacity(life.disk, 0);
	work(&life, JOBS);
	for (size_t i = life.n - JOBS; i < life.n; i++)
		assert_int_equal(life.pairs[i].job.result, 0);
	check(&life);
	life_release(&life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_loss_at_every_sync),
		cmocka_unit_test(test_a_kill_loses_nothing_that_was_written),
		cmocka_unit_test(test_each_call_to_the_disk_may_fail),
		cmocka_unit_test(test_a_full_disk_is_said_and_got_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
