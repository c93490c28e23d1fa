/* SPDX-License-Identifier: Apache-2.0 */
#include "store/profiles.h"

#include "core/json.h"
#include "store/sql.h"

int mh_profile_set(struct mh_tx *tx, mh_nid user, struct mh_str field,
		   struct mh_str value, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO profiles (user, field, value) VALUES (?1, ?2, ?3)"
	       " ON CONFLICT (user, field) DO UPDATE SET value = ?3");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, field);
	mh_sql_text(st, 3, value);
	return mh_sql_exec(st, err);
}

int mh_profile_delete(struct mh_tx *tx, mh_nid user, struct mh_str field,
		      struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM profiles WHERE user = ?1 AND field = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, field);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx)) > 0;
}

int mh_profile_get(struct mh_db *db, mh_nid user, struct mh_str field,
		   struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT value FROM profiles WHERE user = ?1 AND field = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, field);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

int mh_profile_json(struct mh_db *db, mh_nid user, struct mh_strbuf *out,
		    struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT field, value FROM profiles WHERE user = ?1"
	       " ORDER BY field");
	mh_sql_int(st, 1, user);
	mh_strbuf_addch(out, '{');
	while ((rc = mh_sql_step(st, err)) > 0) {
		mh_json_add_key(out, mh_sql_col_text(st, 0));
		mh_strbuf_addstr(out, mh_sql_col_text(st, 1));
	}
	mh_strbuf_addch(out, '}');
	return rc;
}
