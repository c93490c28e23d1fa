/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, refusing, upgrading; batches, savepoints, hooks; names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "store/names.h"
#include "store/schema.h"
#include "tests/unit/store_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* --- opening ------------------------------------------------------------ */

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *handle = NULL;

	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(handle);
}

static void expect_refusal(struct fixture *f, const char *name,
			   const char *why)
{
	MH_ERROR(err);

	assert_int_equal(fixture_try_open(f, name, &err), -1);
	if (!strstr(err.message, why))
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static void test_a_new_database_is_private_and_opens_again(void **state MH_UNUSED)
{
	struct fixture f;
	struct stat st;

	fixture_open(&f);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(mh_store_position(f.store), 0);
	fixture_reopen(&f);
	fixture_close(&f);
}

static void test_another_server_name_is_refused(void **state MH_UNUSED)
{
	struct fixture f;

	fixture_open(&f);
	fixture_shut(&f);
	expect_refusal(&f, "b.example", "belongs to the server 'a.example'");
	fixture_close(&f);
}

static void test_a_foreign_database_is_refused(void **state MH_UNUSED)
{
	struct fixture f;

	fixture_folder(&f);
	run_sql(f.path, "CREATE TABLE t (x)");
	expect_refusal(&f, "a.example", "another program");
	fixture_close(&f);
}

static void test_a_file_that_is_no_database_is_refused(void **state MH_UNUSED)
{
	struct fixture f;
	FILE *file;

	fixture_folder(&f);
	file = fopen(f.path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is a diary\n", file);
	fclose(file);
	expect_refusal(&f, "a.example", "is damaged or no database");
	fixture_close(&f);
}

static void test_a_newer_database_is_refused(void **state MH_UNUSED)
{
	struct fixture f;

	fixture_open(&f);
	fixture_shut(&f);
	run_sql(f.path, "PRAGMA user_version = 999");
	expect_refusal(&f, "a.example", "newer version (schema 999");
	fixture_close(&f);
}

static void test_a_truncated_database_is_refused(void **state MH_UNUSED)
{
	struct fixture f;
	struct stat st;

	fixture_open(&f);
	fixture_shut(&f);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(truncate(f.path, st.st_size - 4096), 0);
	expect_refusal(&f, "a.example", "is damaged");
	fixture_close(&f);
}

static void test_a_second_opener_is_refused(void **state MH_UNUSED)
{
	struct fixture f, second;

	fixture_open(&f);
	second = f;
	expect_refusal(&second, "a.example", "in use by another process");
	fixture_close(&f);
}

/* --- jobs --------------------------------------------------------------- */

static int intern(struct mh_tx *tx, void *context, struct mh_error *err)
{
	mh_tx_next_pos(tx);
	return mh_name_intern(tx, mh_str(context), err) < 0 ? -1 : 0;
}

static int intern_and_fail(struct mh_tx *tx, void *context,
			   struct mh_error *err)
{
	if (intern(tx, context, err) < 0)
		return -1;
	return mh_fail(err, MH_M_FORBIDDEN, "no");
}

static mh_nid find(struct fixture *f, const char *name)
{
	MH_ERROR(err);
	mh_nid nid = mh_name_find(f->db, mh_str(name), &err);

	assert_true(nid >= 0);
	return nid;
}

static void test_a_failing_job_leaves_the_others_alone(void **state MH_UNUSED)
{
	struct fixture f;
	struct fixture_job a, b, c;

	fixture_open(&f);
	fixture_submit(&f, &a, intern, (char *)"one");
	fixture_submit(&f, &b, intern_and_fail, (char *)"two");
	fixture_submit(&f, &c, intern, (char *)"three");
	mh_executor_run_until_idle(f.executor);
	assert_true(a.done && b.done && c.done);
	assert_int_equal(a.result, 0);
	assert_int_equal(b.result, -1);
	assert_string_equal(b.message, "no");
	assert_int_equal(c.result, 0);
	assert_true(find(&f, "one") > 0);
	assert_int_equal(find(&f, "two"), 0);
	assert_true(find(&f, "three") > 0);
	fixture_close(&f);
}

static void test_positions_are_never_reused(void **state MH_UNUSED)
{
	struct fixture f;
	int64_t position;

	fixture_open(&f);
	assert_int_equal(fixture_write(&f, intern_and_fail, (char *)"a"), -1);
	assert_int_equal(mh_store_position(f.store), 0);
	assert_int_equal(fixture_write(&f, intern, (char *)"b"), 0);
	position = mh_store_position(f.store);
	assert_int_equal(position, 2);
	fixture_reopen(&f);
	assert_int_equal(mh_store_position(f.store), position);
	assert_int_equal(fixture_write(&f, intern, (char *)"c"), 0);
	assert_int_equal(mh_store_position(f.store), position + 1);
	fixture_close(&f);
}

struct trace {
	struct mh_strbuf text;
	struct mh_store *store;
	int64_t seen; /* mh_store_position() in the hook */
	char name;
	bool fail;
};

static struct trace *trace_of;

static void hook_fn(void *context)
{
	const char *name = context;

	mh_strbuf_addf(&trace_of->text, "+%c", *name);
	trace_of->seen = mh_store_position(trace_of->store);
}

static void hook_undo(void *context)
{
	const char *name = context;

	mh_strbuf_addf(&trace_of->text, "-%c", *name);
}

static int two_hooks(struct mh_tx *tx, void *context, struct mh_error *err)
{
	const char *names = context;
	char *copy = mh_tx_alloc(tx, 2);

	memcpy(copy, names, 2);
	mh_tx_next_pos(tx);
	mh_tx_after(tx, hook_fn, hook_undo, &copy[0]);
	mh_tx_after(tx, hook_fn, hook_undo, &copy[1]);
	if (mh_name_intern(tx, mh_str(names), err) < 0)
		return -1;
	return names[2] == '!' ? mh_fail(err, MH_M_FORBIDDEN, "no") : 0;
}

static void test_hooks_follow_what_happens(void **state MH_UNUSED)
{
	struct fixture f;
	struct fixture_job a, b, c;
	struct trace trace = { .text = MH_STRBUF_INIT };

	fixture_open(&f);
	trace_of = &trace;
	trace.store = f.store;
	fixture_submit(&f, &a, two_hooks, (char *)"ab");
	fixture_submit(&f, &b, two_hooks, (char *)"cd!");
	fixture_submit(&f, &c, two_hooks, (char *)"ef");
	mh_executor_run_until_idle(f.executor);
	assert_string_equal(trace.text.data, "-d-c+a+b+e+f");
	assert_int_equal(trace.seen, 0); /* it moves on afterwards */
	assert_int_equal(mh_store_position(f.store), 3);
	mh_strbuf_release(&trace.text);
	fixture_close(&f);
}

/* Every statement of a batch fails in turn; what a job was told is true. */
static void test_each_statement_fails_cleanly(void **state MH_UNUSED)
{
	struct fixture f;
	bool more = true;

	fixture_open(&f);
	for (int64_t n = 1; more; n++) {
		struct trace trace = { .text = MH_STRBUF_INIT };
		struct fixture_job a, b;
		char first[16], second[16];
		bool undone;

		assert_true(n < 100);
		trace_of = &trace;
		trace.store = f.store;
		snprintf(first, sizeof(first), "ab %d", (int)n);
		snprintf(second, sizeof(second), "cd %d", (int)n);
		mh_db_fail_after(mh_store_writer(f.store), n);
		fixture_submit(&f, &a, two_hooks, first);
		fixture_submit(&f, &b, two_hooks, second);
		mh_executor_run_until_idle(f.executor);
		more = !mh_db_failing(mh_store_writer(f.store));
		mh_db_fail_after(mh_store_writer(f.store), 0);
		assert_true(a.done && b.done);
		assert_int_equal(find(&f, first) > 0, a.result == 0);
		assert_int_equal(find(&f, second) > 0, b.result == 0);
		undone = strstr(trace.text.data, "+a") == NULL;
		assert_int_equal(undone, a.result != 0);
		undone = strstr(trace.text.data, "+c") == NULL;
		assert_int_equal(undone, b.result != 0);
		assert_int_equal(more, a.result || b.result);
		mh_strbuf_release(&trace.text);
	}
	fixture_close(&f);
}

/* --- names -------------------------------------------------------------- */

static int intern_twice(struct mh_tx *tx, void *context, struct mh_error *err)
{
	mh_nid a = mh_name_intern(tx, mh_str(context), err);
	mh_nid b = mh_name_intern(tx, mh_str(context), err);
	MH_STRBUF(text);

	if (a < 0 || mh_name_get(mh_tx_db(tx), a, &text, err) < 0)
		return -1;
	assert_int_equal(a, b);
	assert_string_equal(text.data, context);
	return 0;
}

static void test_names_keep_their_number(void **state MH_UNUSED)
{
	struct fixture f;
	struct mh_arena arena;
	struct mh_str back;
	mh_nid alice, nobody;
	MH_ERROR(err);

	fixture_open(&f);
	mh_arena_init(&arena);
	assert_int_equal(fixture_write(&f, intern_twice, (char *)"@alice:a"), 0);
	assert_int_equal(fixture_write(&f, intern_twice, (char *)""), 0);
	alice = find(&f, "@alice:a");
	nobody = find(&f, "");
	assert_true(alice > 0 && nobody > 0 && alice != nobody);
	fixture_reopen(&f);
	assert_int_equal(find(&f, "@alice:a"), alice);
	assert_int_equal(find(&f, ""), nobody);
	assert_int_equal(mh_name_get_str(f.db, alice, &arena, &back, &err), 0);
	assert_true(mh_str_is(back, "@alice:a"));
	assert_int_equal(mh_name_get_str(f.db, 4711, &arena, &back, &err), -1);
	mh_arena_release(&arena);
	fixture_close(&f);
}

static void test_a_name_of_a_failed_job_is_made_anew(void **state MH_UNUSED)
{
	struct fixture f;
	struct fixture_job a, b;

	fixture_open(&f);
	fixture_submit(&f, &a, intern_and_fail, (char *)"x");
	fixture_submit(&f, &b, intern, (char *)"x");
	mh_executor_run_until_idle(f.executor);
	assert_int_equal(b.result, 0);
	assert_true(find(&f, "x") > 0);
	fixture_close(&f);
}

/* --- an upgrade ------------------------------------------------------------- */

static void test_an_upgrade_keeps_a_copy(void **state MH_UNUSED)
{
	struct fixture f;
	char copy[80];

	/* A database that has made the first step only. */
	fixture_folder(&f);
	run_sql(f.path, mh_schema_steps[0].sql);
	run_sql(f.path, "INSERT INTO meta VALUES ('server_name', 'a.example');"
			"PRAGMA application_id = 0x4d486c6c;"
			"PRAGMA user_version = 1");
	expect_refusal(&f, "b.example", "belongs to the server 'a.example'");
	snprintf(copy, sizeof(copy), "%s.v1", f.path);
	assert_int_equal(access(copy, F_OK), -1);
	fixture_reopen(&f);
	assert_int_equal(fixture_write(&f, intern, (char *)"x"), 0);
	fixture_shut(&f);

	/* The copy is whole, and of the old schema. */
	assert_int_equal(access(copy, F_OK), 0);
	run_sql(copy, "CREATE TEMP TABLE t (x CHECK (x));"
		      "INSERT INTO t SELECT user_version = 1"
		      " FROM pragma_user_version;"
		      "INSERT INTO t SELECT integrity_check = 'ok'"
		      " FROM pragma_integrity_check;"
		      "INSERT INTO t SELECT count(*) = 0 FROM names");
	fixture_reopen(&f);
	assert_true(find(&f, "x") > 0);
	fixture_close(&f);
}

static void test_an_upgrade_that_fails_changes_nothing(void **state MH_UNUSED)
{
	struct fixture f;

	fixture_folder(&f);
	run_sql(f.path, mh_schema_steps[0].sql);
	run_sql(f.path, "INSERT INTO meta VALUES ('server_name', 'a.example');"
			"CREATE TABLE accounts (in_the_way);"
			"PRAGMA application_id = 0x4d486c6c;"
			"PRAGMA user_version = 1");
	expect_refusal(&f, "a.example", "002_accounts.sql");
	run_sql(f.path, "DROP TABLE accounts");
	fixture_reopen(&f);
	fixture_close(&f);
}

/* --- threads ------------------------------------------------------------------ */

#define READS 300
#define WRITES 200

struct threaded {
	struct mh_store *store;
	struct reader {
		struct mh_task task;
		struct threaded *all;
	} readers[4];
	struct fixture_job jobs[WRITES];
	char names[WRITES][16];
};

/* What is found is right, and stays. */
static void read_names(struct mh_task *task)
{
	struct reader *reader = MH_CONTAINER_OF(task, struct reader, task);
	struct threaded *all = reader->all;
	struct mh_db *db = mh_store_reader(all->store);

	for (size_t i = 0; i < READS; i++) {
		const char *name = all->names[(i * 7) % WRITES];
		int64_t before, now;
		MH_STRBUF(back);
		MH_ERROR(err);
		MH_SNAPSHOT(snapshot, db);
		mh_nid nid;

		assert_int_equal(mh_db_position(snapshot, &before, &err), 0);
		nid = mh_name_find(snapshot, mh_str(name), &err);
		assert_true(nid >= 0);
		assert_int_equal(mh_db_position(snapshot, &now, &err), 0);
		assert_int_equal(before, now);
		if (!nid)
			continue;
		assert_int_equal(mh_name_get(snapshot, nid, &back, &err), 0);
		assert_string_equal(back.data, name);
	}
}

static void test_readers_beside_the_writer(void **state MH_UNUSED)
{
	struct threaded *all = MH_NEW(struct threaded);
	struct mh_executor *executor =
		mh_executor_threads_new(mh_clock_real());
	struct mh_store_options options = { .server_name = "a.example",
					    .readers = 2 };
	struct mh_queue *workers = mh_executor_queue(executor, "worker", 2);
	struct fixture f;
	MH_ERROR(err);

	fixture_folder(&f);
	options.path = f.path;
	assert_int_equal(mh_store_open(&options, executor, &all->store, &err),
			 0);
	f.store = all->store;
	for (size_t i = 0; i < MH_ARRAY_LEN(all->readers); i++) {
		all->readers[i].all = all;
		all->readers[i].task.run = read_names;
	}
	for (size_t i = 0; i < WRITES; i++)
		snprintf(all->names[i], sizeof(all->names[i]), "name %zu", i);
	for (size_t i = 0; i < WRITES; i++) {
		fixture_submit(&f, &all->jobs[i], intern, all->names[i]);
		if (i % 50 == 0)
			mh_queue_submit(workers, &all->readers[i / 50].task);
	}
	mh_executor_stop(executor);
	for (size_t i = 0; i < WRITES; i++)
		assert_true(all->jobs[i].done && all->jobs[i].result == 0);
	assert_int_equal(mh_store_position(all->store), WRITES);
	mh_store_close(all->store);
	mh_executor_free(executor);
	f.store = NULL;
	fixture_close(&f);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_database_is_private_and_opens_again),
		cmocka_unit_test(test_another_server_name_is_refused),
		cmocka_unit_test(test_a_foreign_database_is_refused),
		cmocka_unit_test(test_a_file_that_is_no_database_is_refused),
		cmocka_unit_test(test_a_newer_database_is_refused),
		cmocka_unit_test(test_a_truncated_database_is_refused),
		cmocka_unit_test(test_a_second_opener_is_refused),
		cmocka_unit_test(test_a_failing_job_leaves_the_others_alone),
		cmocka_unit_test(test_positions_are_never_reused),
		cmocka_unit_test(test_hooks_follow_what_happens),
		cmocka_unit_test(test_each_statement_fails_cleanly),
		cmocka_unit_test(test_names_keep_their_number),
		cmocka_unit_test(test_a_name_of_a_failed_job_is_made_anew),
		cmocka_unit_test(test_an_upgrade_keeps_a_copy),
		cmocka_unit_test(test_an_upgrade_that_fails_changes_nothing),
		cmocka_unit_test(test_readers_beside_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
