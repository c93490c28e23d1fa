/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema. It grows by numbered steps, schema/NNN_name.sql, that are never
 * changed once released; a database says how far it is in PRAGMA user_version
 * and whose it is in PRAGMA application_id and in meta.server_name.
 *
 * All steps that are missing are made in one transaction. Before that the old
 * database is copied to "<path>.v<old>", so that an administrator can go back
 * to the old program.
 */
#include "store/db.h"
#include "store/schema.h"

#include <stdlib.h>

#define APPLICATION_ID 0x4d486c6c /* "MHll" */
#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x

static int newest(void)
{
	int number = 0;

	for (const struct mh_schema_step *step = mh_schema_steps; step->number;
	     step++)
		number = step->number;
	return number;
}

/* --- refusals ----------------------------------------------------------- */

/* Sets *ret_version; 0 means an empty file. */
static int identify(struct mh_db *db, const char *path, int64_t *ret_version,
		    struct mh_error *err)
{
	int64_t application, version, tables;

	if (mh_db_ask_int(db, "PRAGMA application_id", &application, err) < 0 ||
	    mh_db_ask_int(db, "PRAGMA user_version", &version, err) < 0 ||
	    mh_db_ask_int(db, "SELECT count(*) FROM sqlite_schema", &tables,
			  err) < 0) {
		MH_ERROR(why);

		mh_error_move(&why, err);
		return mh_fail_internal(
			err, "'%s' is damaged or no database at all (%s);"
			     " restore a backup",
			path, why.message);
	}
	if (application == 0 && version == 0 && tables == 0) {
		*ret_version = 0;
		return 0;
	}
	if (application != APPLICATION_ID || version <= 0)
		return mh_fail_internal(
			err, "'%s' is the database of another program", path);
	if (version > newest())
		return mh_fail_internal(
			err, "'%s' was written by a newer version (schema %lld,"
			     " this program knows %d); upgrade the program",
			path, (long long)version, newest());
	*ret_version = version;
	return 0;
}

int mh_identify(struct mh_db *db, const char *path, struct mh_error *err)
{
	int64_t version;

	if (identify(db, path, &version, err) < 0)
		return -1;
	if (version != newest())
		return mh_fail_internal(
			err, "'%s' has schema %lld; start the daemon once to"
			     " bring it to %d",
			path, (long long)version, newest());
	return 0;
}

static int check_name(struct mh_db *db, const struct mh_store_options *options,
		      struct mh_error *err)
{
	MH_SQL(st, db, "SELECT value FROM meta WHERE key = 'server_name'");
	struct mh_str name;
	int rc = mh_sql_step(st, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail_internal(err, "'%s' is damaged: it has no server"
					     " name; restore a backup",
					options->path);
	name = mh_sql_col_text(st, 0);
	if (!mh_str_is(name, options->server_name))
		return mh_fail_internal(
			err, "'%s' belongs to the server '%.*s', not to '%s';"
			     " a server's name cannot be changed",
			options->path, MH_STR_ARG(name), options->server_name);
	return 0;
}

/* --- what a truncated or overwritten file shows at a glance --------------- */

static int damaged(const char *path, struct mh_error *err)
{
	MH_ERROR(why);

	mh_error_move(&why, err);
	return mh_fail_internal(
		err, "'%s' is damaged (%s); run 'mootctl verify' or restore a"
		     " backup",
		path, why.message);
}

/* Reads the first and the last row of every table: a few pages each. */
static int touch_tables(struct mh_db *db, struct mh_error *err)
{
	sqlite3_stmt *list = NULL;
	int code, rc = 0;

	code = sqlite3_prepare_v2(
		db->handle,
		"SELECT printf('SELECT count(*) FROM (SELECT * FROM %w LIMIT"
		" 1)', name) FROM sqlite_schema WHERE type = 'table'"
		" UNION ALL SELECT printf('SELECT count(*) FROM (SELECT *"
		" FROM %w ORDER BY rowid DESC LIMIT 1)', name)"
		" FROM sqlite_schema WHERE type = 'table'"
		" AND sql NOT LIKE '%WITHOUT ROWID%'",
		-1, &list, NULL);
	if (code != SQLITE_OK)
		return mh_db_fail(db, code, err);
	while (rc == 0 && (code = sqlite3_step(list)) == SQLITE_ROW) {
		int64_t ignored;

		rc = mh_db_ask_int(db, (const char *)sqlite3_column_text(list,
									 0),
				   &ignored, err);
	}
	if (rc == 0 && code != SQLITE_DONE)
		rc = mh_db_fail(db, code, err);
	sqlite3_finalize(list);
	return rc;
}

/*
 * With an empty log the file must have the pages its header counts. (While
 * there are pages in the log the file may be shorter.)
 */
static int check_size(struct mh_db *db, const char *path, struct mh_error *err)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 size = 0;
	int64_t pages, page_size;
	int log = 0, moved = 0;

	if (sqlite3_wal_checkpoint_v2(db->handle, NULL,
				      SQLITE_CHECKPOINT_PASSIVE, &log,
				      &moved) != SQLITE_OK ||
	    moved != log)
		return 0; /* no room for a checkpoint now is no damage */
	if (mh_db_ask_int(db, "PRAGMA page_count", &pages, err) < 0 ||
	    mh_db_ask_int(db, "PRAGMA page_size", &page_size, err) < 0)
		return -1;
	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER,
				 &file) != SQLITE_OK ||
	    file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return mh_fail_internal(err, "cannot read the size of '%s'",
					path);
	if (size < pages * page_size)
		return mh_fail_internal(err, "%lld bytes are missing at the end",
					(long long)(pages * page_size - size));
	return 0;
}

int mh_check(struct mh_db *db, const struct mh_store_options *options,
	     struct mh_error *err)
{
	int64_t rows;

	if (touch_tables(db, err) < 0 ||
	    check_size(db, options->path, err) < 0 ||
	    mh_db_ask_int(db, "SELECT count(*) FROM sequence", &rows, err) < 0)
		return damaged(options->path, err);
	if (rows != 1) {
		mh_fail_internal(err, "the sequence has %lld rows",
				 (long long)rows);
		return damaged(options->path, err);
	}
	return 0;
}

/* --- the copy before an upgrade ------------------------------------------ */

static int copy_pages(struct mh_db *from, struct mh_db *to, struct mh_error *err)
{
	sqlite3_backup *backup;
	int code;

	backup = sqlite3_backup_init(to->handle, "main", from->handle, "main");
	if (!backup)
		return mh_db_fail(to, sqlite3_errcode(to->handle), err);
	code = sqlite3_backup_step(backup, -1);
	sqlite3_backup_finish(backup);
	return code == SQLITE_DONE ? 0 : mh_db_fail(to, code, err);
}

/* A copy that is there already is from an upgrade that did not succeed. */
static int keep_copy(struct mh_db *db, const struct mh_store_options *options,
		     int64_t version, struct mh_error *err)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(options->vfs);
	struct mh_db *copy = NULL;
	int rc, exists = 0;
	MH_STRBUF(path);

	mh_strbuf_addf(&path, "%s.v%lld", options->path, (long long)version);
	if (vfs->xAccess(vfs, path.data, SQLITE_ACCESS_EXISTS, &exists) !=
		    SQLITE_OK ||
	    (exists && vfs->xDelete(vfs, path.data, 1) != SQLITE_OK))
		return mh_fail_internal(err, "cannot replace '%s'", path.data);
	if (mh_db_open(path.data, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		       options->vfs, &copy, err) < 0)
		return -1;
	rc = mh_db_script(copy, "PRAGMA synchronous = FULL", err);
	if (rc == 0)
		rc = copy_pages(db, copy, err);
	mh_db_close(copy);
	if (rc < 0) {
		MH_ERROR(why);

		mh_error_move(&why, err);
		vfs->xDelete(vfs, path.data, 0);
		return mh_fail_internal(
			err, "cannot copy the database to '%s' before its "
			     "upgrade: %s",
			path.data, why.message);
	}
	return 0;
}

/* --- upgrading ----------------------------------------------------------- */

static int record_identity(struct mh_db *db,
			   const struct mh_store_options *options,
			   struct mh_error *err)
{
	MH_SQL(st, db, "INSERT INTO meta (key, value)"
		       " VALUES ('server_name', ?1)");

	mh_sql_text(st, 1, mh_str(options->server_name));
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_db_script(
		db, "PRAGMA application_id = " TEXT_OF(APPLICATION_ID), err);
}

static int apply_steps(struct mh_db *db, int64_t version, struct mh_error *err)
{
	MH_STRBUF(sql);

	for (const struct mh_schema_step *step = mh_schema_steps; step->number;
	     step++) {
		if (step->number <= version)
			continue;
		if (mh_db_script(db, step->sql, err) < 0) {
			MH_ERROR(why);

			mh_error_move(&why, err);
			return mh_fail_internal(err, "%s: %s", step->name,
						why.message);
		}
	}
	mh_strbuf_addf(&sql, "PRAGMA user_version = %d", newest());
	return mh_db_script(db, sql.data, err);
}

static int upgrade(struct mh_db *db, const struct mh_store_options *options,
		   int64_t version, struct mh_error *err)
{
	if (mh_db_script(db, "BEGIN EXCLUSIVE", err) < 0)
		return -1;
	if (apply_steps(db, version, err) < 0 ||
	    (version == 0 && record_identity(db, options, err) < 0) ||
	    mh_db_script(db, "COMMIT", err) < 0) {
		if (!sqlite3_get_autocommit(db->handle))
			sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	return 0;
}

int mh_migrate(struct mh_db *db, const struct mh_store_options *options,
	       struct mh_error *err)
{
	int64_t version;

	if (identify(db, options->path, &version, err) < 0)
		return -1;
	if (version > 0 && check_name(db, options, err) < 0)
		return -1;
	if (version == newest())
		return 0;
	if (version > 0 && keep_copy(db, options, version, err) < 0)
		return -1;
	return upgrade(db, options, version, err);
}
