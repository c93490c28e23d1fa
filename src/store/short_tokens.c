/* SPDX-License-Identifier: Apache-2.0 */
#include "store/short_tokens.h"

#include "core/signing.h"
#include "store/sql.h"

static void bind_hash(struct mh_stmt *st, int param, struct mh_str token,
		      unsigned char hash[MH_SHA256])
{
	mh_sha256(token, hash);
	mh_sql_blob(st, param, mh_str_n((const char *)hash, MH_SHA256));
}

int mh_short_token_add(struct mh_tx *tx, const char *use, struct mh_str token,
		       mh_nid user, int64_t expires_ts, int64_t now,
		       struct mh_error *err)
{
	unsigned char hash[MH_SHA256];

	MH_SQL(old, mh_tx_db(tx),
	       "DELETE FROM short_tokens WHERE expires_ts <= ?1");
	mh_sql_int(old, 1, now);
	if (mh_sql_exec(old, err) < 0)
		return -1;
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO short_tokens (hash, use, user, expires_ts)"
	       " VALUES (?1, ?2, ?3, ?4)");
	bind_hash(st, 1, token, hash);
	mh_sql_text(st, 2, mh_str(use));
	mh_sql_int(st, 3, user);
	mh_sql_int(st, 4, expires_ts);
	return mh_sql_exec(st, err);
}

int mh_short_token_get(struct mh_db *db, const char *use, struct mh_str token,
		       int64_t now, mh_nid *ret_user, struct mh_error *err)
{
	unsigned char hash[MH_SHA256];
	int rc;

	MH_SQL(st, db,
	       "SELECT user FROM short_tokens WHERE hash = ?1 AND use = ?2"
	       " AND expires_ts > ?3");
	bind_hash(st, 1, token, hash);
	mh_sql_text(st, 2, mh_str(use));
	mh_sql_int(st, 3, now);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		*ret_user = mh_sql_col_int(st, 0);
	return rc;
}

int mh_short_token_take(struct mh_tx *tx, const char *use, struct mh_str token,
			int64_t now, mh_nid *ret_user, struct mh_error *err)
{
	unsigned char hash[MH_SHA256];
	int rc = mh_short_token_get(mh_tx_db(tx), use, token, now, ret_user,
				    err);

	if (rc <= 0)
		return rc;
	MH_SQL(st, mh_tx_db(tx), "DELETE FROM short_tokens WHERE hash = ?1");
	bind_hash(st, 1, token, hash);
	return mh_sql_exec(st, err) < 0 ? -1 : 1;
}
