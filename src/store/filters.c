/* SPDX-License-Identifier: Apache-2.0 */
#include "store/filters.h"

#include "store/sql.h"

#define FILTERS_MAX 1000 /* of one user */

int64_t mh_filters_add(struct mh_tx *tx, mh_nid user, struct mh_str json,
		       struct mh_error *err)
{
	int64_t next;
	int rc;

	MH_SQL(find, mh_tx_db(tx),
	       "SELECT filter FROM filters WHERE user = ?1 AND json = ?2");
	mh_sql_int(find, 1, user);
	mh_sql_text(find, 2, json);
	rc = mh_sql_step(find, err);
	if (rc != 0)
		return rc < 0 ? -1 : mh_sql_col_int(find, 0);

	MH_SQL(last, mh_tx_db(tx),
	       "SELECT coalesce(max(filter), 0) + 1 FROM filters"
	       " WHERE user = ?1");
	mh_sql_int(last, 1, user);
	if (mh_sql_step(last, err) < 0)
		return -1;
	next = mh_sql_col_int(last, 0);
	if (next > FILTERS_MAX)
		return mh_fail(err, MH_M_RESOURCE_LIMIT_EXCEEDED,
			       "this account has %d filters already",
			       FILTERS_MAX);

	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO filters (user, filter, json) VALUES (?1, ?2, ?3)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, next);
	mh_sql_text(st, 3, json);
	return mh_sql_exec(st, err) < 0 ? -1 : next;
}

int mh_filters_get(struct mh_db *db, mh_nid user, int64_t filter,
		   struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT json FROM filters WHERE user = ?1 AND filter = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, filter);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}
