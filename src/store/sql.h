/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small language in which the files of store/ speak SQL. Private to
 * store/: no other folder includes it.
 *
 *	MH_SQL(st, db, "SELECT pos, value FROM account_data"
 *		       " WHERE user = ?1 AND pos > ?2");
 *	mh_sql_int(st, 1, user);
 *	mh_sql_int(st, 2, since);
 *	while ((rc = mh_sql_step(st, err)) > 0)
 *		use(mh_sql_col_int(st, 0), mh_sql_col_text(st, 1));
 *	return rc;				0 at the end, -1 on failure
 *
 * A statement is prepared once a connection and found again by the address of
 * its literal. MH_SQL resets it and clears its bindings at the end of the
 * scope, so that no read stays open by accident. A literal that is in use
 * already (by a caller further up) is prepared once more beside it.
 */
#pragma once

#include "base/error.h"

struct mh_db;
struct mh_stmt;

/* Never NULL: a statement that cannot be prepared fails in its first step. */
struct mh_stmt *mh_sql(struct mh_db *db, const char *literal);
void mh_sql_done(struct mh_stmt *st);
MH_DEFINE_CLEANUP(struct mh_stmt *, mh_sql_done)
#define MH_SQL(name, db, literal)                                              \
	MH_CLEANUP(mh_sql_donep) struct mh_stmt *name = mh_sql((db), literal)

/* Bytes are borrowed until the statement is done. Parameters count from 1. */
void mh_sql_int(struct mh_stmt *st, int param, int64_t value);
void mh_sql_null(struct mh_stmt *st, int param);
/* data NULL binds NULL; empty with data binds ''. */
void mh_sql_text(struct mh_stmt *st, int param, struct mh_str value);
void mh_sql_blob(struct mh_stmt *st, int param, struct mh_str value);

/* 1: a row; 0: no more; -1: failed (M_UNKNOWN; disk full says so). */
int mh_sql_step(struct mh_stmt *st, struct mh_error *err);
/* For statements without rows: 0 or -1. */
int mh_sql_exec(struct mh_stmt *st, struct mh_error *err);

/* Columns count from 0; text and blobs are valid until the next step. */
int64_t mh_sql_col_int(struct mh_stmt *st, int col);
bool mh_sql_col_is_null(struct mh_stmt *st, int col);
struct mh_str mh_sql_col_text(struct mh_stmt *st, int col); /* NULL: data NULL */
struct mh_str mh_sql_col_blob(struct mh_stmt *st, int col);

int64_t mh_sql_changes(struct mh_db *db);
int64_t mh_sql_last_rowid(struct mh_db *db);
