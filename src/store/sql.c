/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and prepared statements. A statement is kept by the address of
 * its literal: finding it is one hash of a pointer. When a literal is in use
 * already (a callback that asks the same question for another room), a second
 * statement of the same text is prepared beside it and kept as well.
 */
#include "store/db.h"

#include "base/log.h"

#include <stdlib.h>

/* --- connections -------------------------------------------------------- */

int mh_db_fail(struct mh_db *db, int code, struct mh_error *err)
{
	const char *what = db && db->handle ? sqlite3_errmsg(db->handle) :
					      sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return mh_fail_internal(err, "database: the disk is full");
	case SQLITE_CORRUPT:
		return mh_fail_internal(err, "database: damaged (%s)", what);
	case SQLITE_NOTADB:
		return mh_fail_internal(err, "database: not a database");
	default:
		return mh_fail_internal(err, "database: %s (%d)", what, code);
	}
}

int mh_db_open(const char *path, int flags, const char *vfs,
	       struct mh_db **ret, struct mh_error *err)
{
	struct mh_db *db = MH_NEW(struct mh_db);
	int code;

	code = sqlite3_open_v2(path, &db->handle,
			       flags | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_EXRESCODE,
			       vfs);
	if (code != SQLITE_OK) {
		mh_fail_internal(err, "cannot open '%s': %s", path,
				 db->handle ? sqlite3_errmsg(db->handle) :
					      sqlite3_errstr(code));
		mh_db_close(db);
		return -1;
	}
	sqlite3_busy_timeout(db->handle, 5000);
	*ret = db;
	return 0;
}

void mh_db_close(struct mh_db *db)
{
	if (!db)
		return;
	MH_ASSERT(db->statements == 0);
	for (size_t i = 0; i < MH_STMT_BUCKETS; i++) {
		struct mh_stmt *st, *next;

		for (st = db->buckets[i]; st; st = next) {
			next = st->next;
			sqlite3_finalize(st->handle);
			free(st);
		}
	}
	sqlite3_close(db->handle);
	free(db);
}

int mh_db_script(struct mh_db *db, const char *sql, struct mh_error *err)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : mh_db_fail(db, code, err);
}

int mh_db_ask_int(struct mh_db *db, const char *sql, int64_t *ret,
		  struct mh_error *err)
{
	sqlite3_stmt *handle = NULL;
	int code = sqlite3_prepare_v2(db->handle, sql, -1, &handle, NULL);
	int rc = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(handle);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(handle, 0);
	else if (code == SQLITE_DONE)
		rc = mh_fail_internal(err, "database: no answer to '%s'", sql);
	else
		rc = mh_db_fail(db, code, err);
	sqlite3_finalize(handle);
	return rc;
}

void mh_db_fail_after(struct mh_db *db, int64_t n)
{
	db->fail_after = n;
}

bool mh_db_failing(const struct mh_db *db)
{
	return db->fail_after > 0;
}

/* --- statements --------------------------------------------------------- */

static struct mh_stmt *prepare(struct mh_db *db, const char *literal)
{
	struct mh_stmt *st = MH_NEW(struct mh_stmt);

	st->db = db;
	st->literal = literal;
	if (sqlite3_prepare_v3(db->handle, literal, -1,
			       SQLITE_PREPARE_PERSISTENT, &st->handle,
			       NULL) != SQLITE_OK) {
		mh_log_debug("store", "cannot prepare '%s': %s", literal,
			     sqlite3_errmsg(db->handle));
		st->handle = NULL;
	}
	return st;
}

static struct mh_stmt **bucket_of(struct mh_db *db, const char *literal)
{
	uint64_t hash = (uint64_t)(uintptr_t)literal * 0x9e3779b97f4a7c15u;

	return &db->buckets[(hash >> 32) & (MH_STMT_BUCKETS - 1)];
}

struct mh_stmt *mh_sql(struct mh_db *db, const char *literal)
{
	struct mh_stmt **bucket = bucket_of(db, literal), *st;

	for (st = *bucket; st; st = st->next)
		if (st->literal == literal && !st->in_use)
			break;
	if (!st) {
		st = prepare(db, literal);
		st->next = *bucket;
		*bucket = st;
	} else if (!st->handle) {
		/* It failed before, perhaps for want of memory or disk. */
		sqlite3_prepare_v3(db->handle, literal, -1,
				   SQLITE_PREPARE_PERSISTENT, &st->handle,
				   NULL);
	}
	st->in_use = true;
	st->failed = false;
	db->statements++;
	return st;
}

void mh_sql_done(struct mh_stmt *st)
{
	if (!st)
		return;
	if (st->handle) {
		sqlite3_reset(st->handle);
		sqlite3_clear_bindings(st->handle);
	}
	st->in_use = false;
	st->db->statements--;
}

/* A parameter that does not exist is a bug; no memory is a failure. */
static void bound(struct mh_stmt *st, int code)
{
	MH_ASSERT(code != SQLITE_RANGE && code != SQLITE_MISUSE);
	if (code != SQLITE_OK)
		st->failed = true;
}

void mh_sql_int(struct mh_stmt *st, int param, int64_t value)
{
	if (st->handle)
		bound(st, sqlite3_bind_int64(st->handle, param, value));
}

void mh_sql_null(struct mh_stmt *st, int param)
{
	if (st->handle)
		bound(st, sqlite3_bind_null(st->handle, param));
}

void mh_sql_text(struct mh_stmt *st, int param, struct mh_str value)
{
	if (st->handle)
		bound(st, sqlite3_bind_text64(st->handle, param, value.data,
					      value.len, SQLITE_STATIC,
					      SQLITE_UTF8));
}

void mh_sql_blob(struct mh_stmt *st, int param, struct mh_str value)
{
	if (st->handle)
		bound(st, sqlite3_bind_blob64(st->handle, param, value.data,
					      value.len, SQLITE_STATIC));
}

int mh_sql_step(struct mh_stmt *st, struct mh_error *err)
{
	struct mh_db *db = st->db;
	int code;

	if (db->fail_after && --db->fail_after == 0)
		return mh_fail_internal(err, "database: made to fail");
	if (!st->handle)
		return mh_fail_internal(err, "database: cannot prepare '%.80s'",
					st->literal);
	if (st->failed)
		return mh_fail_internal(err, "database: out of memory");
	code = sqlite3_step(st->handle);
	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return mh_db_fail(db, code, err);
}

int mh_sql_exec(struct mh_stmt *st, struct mh_error *err)
{
	int rc = mh_sql_step(st, err);

	MH_ASSERT(rc <= 0);
	return rc;
}

int64_t mh_sql_col_int(struct mh_stmt *st, int col)
{
	return sqlite3_column_int64(st->handle, col);
}

bool mh_sql_col_is_null(struct mh_stmt *st, int col)
{
	return sqlite3_column_type(st->handle, col) == SQLITE_NULL;
}

/* An empty value has data "", so that only NULL has none. */
static struct mh_str column(struct mh_stmt *st, int col, const void *data)
{
	size_t len = (size_t)sqlite3_column_bytes(st->handle, col);

	if (data && len)
		return mh_str_n(data, len);
	return mh_sql_col_is_null(st, col) ? MH_STR_NONE : MH_STR("");
}

struct mh_str mh_sql_col_text(struct mh_stmt *st, int col)
{
	return column(st, col, sqlite3_column_text(st->handle, col));
}

struct mh_str mh_sql_col_blob(struct mh_stmt *st, int col)
{
	return column(st, col, sqlite3_column_blob(st->handle, col));
}

int64_t mh_sql_changes(struct mh_db *db)
{
	return sqlite3_changes64(db->handle);
}

int64_t mh_sql_last_rowid(struct mh_db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
