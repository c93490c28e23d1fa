/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"
#include "store/rooms.h"

int mh_alias_add(struct mh_tx *tx, struct mh_str alias, mh_nid room,
		 mh_nid creator, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO aliases (alias, room, creator)"
	       " VALUES (?1, ?2, ?3) ON CONFLICT (alias) DO NOTHING");

	mh_sql_text(st, 1, alias);
	mh_sql_int(st, 2, room);
	mh_sql_int(st, 3, creator);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	if (mh_sql_changes(tx->db) == 0)
		return mh_fail(err, MH_M_ROOM_IN_USE,
			       "room alias '%.*s' exists already",
			       MH_STR_ARG(alias));
	return 0;
}

int mh_alias_get(struct mh_db *db, struct mh_str alias, mh_nid *ret_room,
		 mh_nid *ret_creator, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db, "SELECT room, creator FROM aliases WHERE alias = ?1");
	mh_sql_text(st, 1, alias);
	rc = mh_sql_step(st, err);
	if (rc > 0) {
		*ret_room = mh_sql_col_int(st, 0);
		if (ret_creator)
			*ret_creator = mh_sql_col_int(st, 1);
	}
	return rc;
}

int mh_alias_remove(struct mh_tx *tx, struct mh_str alias, struct mh_error *err)
{
	MH_SQL(st, tx->db, "DELETE FROM aliases WHERE alias = ?1");

	mh_sql_text(st, 1, alias);
	return mh_sql_exec(st, err);
}

int mh_alias_list(struct mh_db *db, mh_nid room,
		  int (*each)(void *context, struct mh_str alias),
		  void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT alias FROM aliases WHERE room = ?1 ORDER BY alias");
	mh_sql_int(st, 1, room);
	while ((rc = mh_sql_step(st, err)) > 0)
		if (each(context, mh_sql_col_text(st, 0)) <= 0)
			return 0;
	return rc;
}
