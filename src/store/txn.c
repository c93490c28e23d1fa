/* SPDX-License-Identifier: Apache-2.0 */
#include "store/txn.h"

#include "store/sql.h"

mh_nid mh_txn_event(struct mh_db *db, mh_nid user, int64_t device,
		    struct mh_str key, struct mh_error *err)
{
	MH_SQL(st, db, "SELECT event FROM event_transactions"
		       " WHERE device = ?1 AND user = ?2 AND key = ?3");
	int rc;

	mh_sql_int(st, 1, device);
	mh_sql_int(st, 2, user);
	mh_sql_text(st, 3, key);
	rc = mh_sql_step(st, err);
	return rc > 0 ? mh_sql_col_int(st, 0) : rc;
}

int mh_txn_add_event(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, mh_nid event, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO event_transactions (event, user, device, key)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (event) DO NOTHING");

	mh_sql_int(st, 1, event);
	mh_sql_int(st, 2, user);
	mh_sql_int(st, 3, device);
	mh_sql_text(st, 4, key);
	return mh_sql_exec(st, err);
}

int mh_txn_of_event(struct mh_db *db, mh_nid event, mh_nid user, int64_t device,
		    struct mh_strbuf *out, struct mh_error *err)
{
	MH_SQL(st, db, "SELECT key FROM event_transactions"
		       " WHERE event = ?1 AND user = ?2 AND device = ?3");
	int rc;

	mh_sql_int(st, 1, event);
	mh_sql_int(st, 2, user);
	mh_sql_int(st, 3, device);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}
