/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_data.h"

#include "store/sql.h"

int mh_account_data_set(struct mh_tx *tx, mh_nid user, mh_nid room,
			struct mh_str type, struct mh_str content, int64_t pos,
			struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO account_data (user, room, type, pos, content)"
	       " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user, room, type)"
	       " DO UPDATE SET pos = ?4, content = ?5");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	mh_sql_text(st, 3, type);
	mh_sql_int(st, 4, pos);
	mh_sql_text(st, 5, content);
	return mh_sql_exec(st, err);
}

int mh_account_data_get(struct mh_db *db, mh_nid user, mh_nid room,
			struct mh_str type, struct mh_strbuf *out,
			struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT content FROM account_data WHERE user = ?1 AND room = ?2"
	       " AND type = ?3");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	mh_sql_text(st, 3, type);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

static int give_rows(struct mh_stmt *st,
		     int (*each)(void *context, mh_nid room, struct mh_str type,
				 struct mh_str content, struct mh_error *err),
		     void *context, struct mh_error *err)
{
	int rc;

	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0),
			  mh_sql_col_text(st, 1), mh_sql_col_text(st, 2), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_account_data_each(struct mh_db *db, mh_nid user, int64_t from,
			 int64_t to,
			 int (*each)(void *context, mh_nid room,
				     struct mh_str type, struct mh_str content,
				     struct mh_error *err),
			 void *context, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT room, type, content FROM account_data WHERE user = ?1"
	       " AND pos > ?2 AND pos <= ?3 ORDER BY pos");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, from);
	mh_sql_int(st, 3, to);
	return give_rows(st, each, context, err);
}

int mh_account_data_room(struct mh_db *db, mh_nid user, mh_nid room,
			 int (*each)(void *context, mh_nid of_room,
				     struct mh_str type, struct mh_str content,
				     struct mh_error *err),
			 void *context, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT room, type, content FROM account_data WHERE user = ?1"
	       " AND room = ?2 ORDER BY type");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	return give_rows(st, each, context, err);
}

int64_t mh_account_data_count(struct mh_db *db, mh_nid user,
			      struct mh_error *err)
{
	MH_SQL(st, db, "SELECT count(*) FROM account_data WHERE user = ?1");
	mh_sql_int(st, 1, user);
	if (mh_sql_step(st, err) < 0)
		return -1;
	return mh_sql_col_int(st, 0);
}

int mh_account_data_forget(struct mh_tx *tx, mh_nid user, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx), "DELETE FROM account_data WHERE user = ?1");
	mh_sql_int(st, 1, user);
	return mh_sql_exec(st, err);
}
