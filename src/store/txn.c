/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of events is keyed by event, so that rows are added at its end and
 * old ones are swept from its beginning. Of the path a hash is kept: it only
 * tells the few requests of one device with equal IDs apart.
 */
#include "store/txn.h"
#include "store/db.h"

static void bind(struct mh_stmt *st, mh_nid user, int64_t device,
		 struct mh_str key)
{
	ptrdiff_t newline = mh_str_find(key, '\n');
	size_t path = newline < 0 ? 0 : (size_t)newline;
	struct mh_str id = mh_str_from(key, (size_t)(newline + 1));

	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, id.data ? id : MH_STR(""));
	mh_sql_int(st, 4, (int64_t)mh_str_hash(mh_str_first(key, path)));
}

mh_nid mh_txn_event(struct mh_db *db, mh_nid user, int64_t device,
		    struct mh_str key, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT event FROM event_transactions WHERE user = ?1"
	       " AND device = ?2 AND txn_id = ?3 AND scope = ?4");
	bind(st, user, device, key);
	rc = mh_sql_step(st, err);
	return rc > 0 ? mh_sql_col_int(st, 0) : rc;
}

int mh_txn_add_event(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, mh_nid event, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO event_transactions"
	       " (event, user, device, txn_id, scope)"
	       " VALUES (?5, ?1, ?2, ?3, ?4) ON CONFLICT (event) DO NOTHING");

	bind(st, user, device, key);
	mh_sql_int(st, 5, event);
	return mh_sql_exec(st, err);
}

int mh_txn_of_event(struct mh_db *db, mh_nid event, mh_nid user, int64_t device,
		    struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT txn_id FROM event_transactions"
	       " WHERE event = ?1 AND user = ?2 AND device = ?3");
	mh_sql_int(st, 1, event);
	mh_sql_int(st, 2, user);
	mh_sql_int(st, 3, device);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

int mh_txn_reply(struct mh_db *db, mh_nid user, int64_t device,
		 struct mh_str key, struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT reply FROM reply_transactions WHERE user = ?1"
	       " AND device = ?2 AND txn_id = ?3 AND scope = ?4");
	bind(st, user, device, key);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

int mh_txn_add_reply(struct mh_tx *tx, mh_nid user, int64_t device,
		     struct mh_str key, int64_t now_ms, struct mh_str reply,
		     struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO reply_transactions"
	       " (user, device, txn_id, scope, ts, reply)"
	       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

	bind(st, user, device, key);
	mh_sql_int(st, 5, now_ms);
	mh_sql_text(st, 6, reply.data ? reply : MH_STR(""));
	return mh_sql_exec(st, err);
}

int mh_txn_forget_device(struct mh_tx *tx, mh_nid user, int64_t device,
			 struct mh_error *err)
{
	MH_SQL(events, tx->db,
	       "DELETE FROM event_transactions"
	       " WHERE user = ?1 AND device = ?2");
	MH_SQL(replies, tx->db,
	       "DELETE FROM reply_transactions"
	       " WHERE user = ?1 AND device = ?2");

	mh_sql_int(events, 1, user);
	mh_sql_int(events, 2, device);
	mh_sql_int(replies, 1, user);
	mh_sql_int(replies, 2, device);
	if (mh_sql_exec(events, err) < 0)
		return -1;
	return mh_sql_exec(replies, err);
}
