/* SPDX-License-Identifier: Apache-2.0 */
#include "store/receipts.h"

#include "store/sql.h"

int mh_receipts_set(struct mh_tx *tx, const struct mh_receipt *receipt,
		    struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(tx);

	MH_SQL(st, db,
	       "INSERT INTO receipts"
	       " (room, user, private, thread, event, event_pos, ts, pos)"
	       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	       " ON CONFLICT (room, user, private, thread) DO UPDATE"
	       " SET event = ?5, event_pos = ?6, ts = ?7, pos = ?8"
	       " WHERE event <> ?5 AND (?6 = 0 OR event_pos < ?6)");
	mh_sql_int(st, 1, receipt->room);
	mh_sql_int(st, 2, receipt->user);
	mh_sql_int(st, 3, receipt->is_private);
	mh_sql_text(st, 4, receipt->thread.len ? receipt->thread : MH_STR(""));
	mh_sql_text(st, 5, receipt->event_id);
	mh_sql_int(st, 6, receipt->event_pos);
	mh_sql_int(st, 7, receipt->ts);
	mh_sql_int(st, 8, mh_tx_next_pos(tx));
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(db) > 0;
}

typedef int (*receipt_fn)(void *context, const struct mh_receipt *receipt,
			  struct mh_error *err);

/* Columns: user, private, thread, event, event_pos, ts, pos. */
static int each_row(struct mh_stmt *st, mh_nid room, receipt_fn each,
		    void *context, struct mh_error *err)
{
	int rc;

	while ((rc = mh_sql_step(st, err)) > 0) {
		const struct mh_receipt receipt = {
			.room = room,
			.user = mh_sql_col_int(st, 0),
			.is_private = mh_sql_col_int(st, 1) != 0,
			.thread = mh_sql_col_text(st, 2),
			.event_id = mh_sql_col_text(st, 3),
			.event_pos = mh_sql_col_int(st, 4),
			.ts = mh_sql_col_int(st, 5),
			.pos = mh_sql_col_int(st, 6),
		};

		rc = each(context, &receipt, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_receipts_changed(struct mh_db *db, mh_nid room, int64_t from, int64_t to,
			receipt_fn each, void *context, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT user, private, thread, event, event_pos, ts, pos"
	       " FROM receipts WHERE room = ?1 AND pos > ?2 AND pos <= ?3"
	       " ORDER BY pos");
	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, from);
	mh_sql_int(st, 3, to);
	return each_row(st, room, each, context, err);
}

int mh_receipts_of_user(struct mh_db *db, mh_nid room, mh_nid user,
			receipt_fn each, void *context, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT user, private, thread, event, event_pos, ts, pos"
	       " FROM receipts WHERE room = ?1 AND user = ?2");
	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, user);
	return each_row(st, room, each, context, err);
}
