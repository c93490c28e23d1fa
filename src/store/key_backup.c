/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_backup.h"

#include "base/arena.h"
#include "store/sql.h"

int64_t mh_backup_create(struct mh_tx *tx, mh_nid user, struct mh_str algorithm,
			 struct mh_str auth_data, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO key_backups"
	       " (user, version, algorithm, auth_data, etag, deleted)"
	       " SELECT ?1, 1 + coalesce(max(version), 0), ?2, ?3, 0, 0"
	       " FROM key_backups WHERE user = ?1 RETURNING version");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, algorithm);
	mh_sql_text(st, 3, auth_data);
	return mh_sql_step(st, err) < 0 ? -1 : mh_sql_col_int(st, 0);
}

static int count_sessions(struct mh_db *db, mh_nid user, int64_t version,
			  int64_t *ret, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT count(*) FROM key_backup_sessions"
	       " WHERE user = ?1 AND version = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	if (mh_sql_step(st, err) < 0)
		return -1;
	*ret = mh_sql_col_int(st, 0);
	return 0;
}

int mh_backup_get(struct mh_db *db, mh_nid user, int64_t version,
		  struct mh_arena *arena, struct mh_backup *ret,
		  struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT version, algorithm, auth_data, etag, deleted"
	       " FROM key_backups WHERE user = ?1"
	       " AND (version = ?2 OR (?2 = 0 AND NOT deleted))"
	       " ORDER BY version DESC LIMIT 1");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	ret->version = mh_sql_col_int(st, 0);
	ret->algorithm = mh_arena_str(arena, mh_sql_col_text(st, 1));
	ret->auth_data = mh_arena_str(arena, mh_sql_col_text(st, 2));
	ret->etag = mh_sql_col_int(st, 3);
	ret->deleted = mh_sql_col_int(st, 4);
	return count_sessions(db, user, ret->version, &ret->count, err) < 0 ?
		       -1 :
		       1;
}

int mh_backup_set_auth_data(struct mh_tx *tx, mh_nid user, int64_t version,
			    struct mh_str auth_data, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE key_backups SET auth_data = ?3"
	       " WHERE user = ?1 AND version = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	mh_sql_text(st, 3, auth_data);
	return mh_sql_exec(st, err);
}

int mh_backup_delete(struct mh_tx *tx, mh_nid user, int64_t version,
		     struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE key_backups SET deleted = 1"
	       " WHERE user = ?1 AND version = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_backup_session_delete(tx, user, version, 0, MH_STR_NONE,
					err) < 0 ?
		       -1 :
		       0;
}

int mh_backup_session_put(struct mh_tx *tx, mh_nid user, int64_t version,
			  const struct mh_backup_session *session,
			  struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO key_backup_sessions (user, version, room, session,"
	       " first_message_index, forwarded_count, is_verified,"
	       " session_data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	       " ON CONFLICT (user, version, room, session) DO UPDATE SET"
	       " first_message_index = ?5, forwarded_count = ?6,"
	       " is_verified = ?7, session_data = ?8"
	       " WHERE (?7, -?5, -?6) > (is_verified, -first_message_index,"
	       "  -forwarded_count)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	mh_sql_int(st, 3, session->room);
	mh_sql_text(st, 4, session->session);
	mh_sql_int(st, 5, session->first_message_index);
	mh_sql_int(st, 6, session->forwarded_count);
	mh_sql_int(st, 7, session->is_verified);
	mh_sql_text(st, 8, session->session_data);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx)) > 0;
}

int mh_backup_session_each(struct mh_db *db, mh_nid user, int64_t version,
			   mh_nid room, struct mh_str session,
			   int (*each)(void *context,
				       const struct mh_backup_session *session,
				       struct mh_error *err),
			   void *context, struct mh_error *err)
{
	struct mh_backup_session row;
	int rc;

	MH_SQL(st, db,
	       "SELECT room, session, first_message_index, forwarded_count,"
	       " is_verified, session_data FROM key_backup_sessions"
	       " WHERE user = ?1 AND version = ?2 AND (?3 = 0 OR room = ?3)"
	       " AND (?4 IS NULL OR session = ?4)"
	       " ORDER BY room, session");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	mh_sql_int(st, 3, room);
	mh_sql_text(st, 4, session);
	while ((rc = mh_sql_step(st, err)) > 0) {
		row = (struct mh_backup_session){
			.room = mh_sql_col_int(st, 0),
			.session = mh_sql_col_text(st, 1),
			.first_message_index = mh_sql_col_int(st, 2),
			.forwarded_count = mh_sql_col_int(st, 3),
			.is_verified = mh_sql_col_int(st, 4),
			.session_data = mh_sql_col_text(st, 5),
		};
		rc = each(context, &row, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int64_t mh_backup_session_delete(struct mh_tx *tx, mh_nid user, int64_t version,
				 mh_nid room, struct mh_str session,
				 struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM key_backup_sessions"
	       " WHERE user = ?1 AND version = ?2 AND (?3 = 0 OR room = ?3)"
	       " AND (?4 IS NULL OR session = ?4)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	mh_sql_int(st, 3, room);
	mh_sql_text(st, 4, session);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx));
}

int mh_backup_touch(struct mh_tx *tx, mh_nid user, int64_t version,
		    struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE key_backups SET etag = etag + 1"
	       " WHERE user = ?1 AND version = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, version);
	return mh_sql_exec(st, err);
}
