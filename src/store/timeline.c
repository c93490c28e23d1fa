/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timeline: pages by position and by depth, and the event nearest to a
 * time. The partial indexes hold just what is shown, so no row is read in vain.
 */
#include "store/events_impl.h"

#define SELECT_BY_POS                                                          \
	"SELECT " MH_EVENT_COLUMNS                                             \
	" FROM events AS e INDEXED BY events_by_pos"                           \
	" WHERE e.room = ?1 AND " MH_EVENT_VISIBLE
#define SELECT_BY_DEPTH                                                        \
	"SELECT " MH_EVENT_COLUMNS                                             \
	" FROM events AS e INDEXED BY events_by_depth"                         \
	" WHERE e.room = ?1 AND " MH_EVENT_VISIBLE

static int run(struct mh_stmt *st, const struct mh_timeline_query *query,
	       mh_event_row_fn *each, void *context, struct mh_error *err)
{
	mh_sql_int(st, 1, query->room);
	mh_sql_int(st, 2, query->pos);
	mh_sql_int(st, 4, query->limit > INT64_MAX ? INT64_MAX :
						     (int64_t)query->limit);
	return mh_event_rows_each(st, each, context, err);
}

static int by_pos(struct mh_db *db, const struct mh_timeline_query *query,
		  mh_event_row_fn *each, void *context, struct mh_error *err)
{
	if (query->backwards) {
		MH_SQL(st, db,
		       SELECT_BY_POS " AND e.pos < ?2 AND e.pos > ?3"
				     " ORDER BY e.pos DESC LIMIT ?4");
		mh_sql_int(st, 3, query->until_pos);
		return run(st, query, each, context, err);
	}

	MH_SQL(st, db,
	       SELECT_BY_POS " AND e.pos > ?2 AND e.pos <= ?3"
			     " ORDER BY e.pos LIMIT ?4");
	mh_sql_int(st, 3, query->until_pos ? query->until_pos : INT64_MAX);
	return run(st, query, each, context, err);
}

static int by_depth(struct mh_db *db, const struct mh_timeline_query *query,
		    mh_event_row_fn *each, void *context, struct mh_error *err)
{
	if (query->backwards) {
		MH_SQL(st, db,
		       SELECT_BY_DEPTH
		       " AND (e.depth, e.pos) < (?3, ?2)"
		       " ORDER BY e.depth DESC, e.pos DESC LIMIT ?4");
		mh_sql_int(st, 3, query->depth);
		return run(st, query, each, context, err);
	}

	MH_SQL(st, db,
	       SELECT_BY_DEPTH " AND (e.depth, e.pos) > (?3, ?2)"
			       " ORDER BY e.depth, e.pos LIMIT ?4");
	mh_sql_int(st, 3, query->depth);
	return run(st, query, each, context, err);
}

int mh_events_timeline(struct mh_db *db, const struct mh_timeline_query *query,
		       mh_event_row_fn *each, void *context,
		       struct mh_error *err)
{
	if (query->order == MH_BY_POS)
		return by_pos(db, query, each, context, err);
	return by_depth(db, query, each, context, err);
}

/* The index alone is walked: it has ts as well. */
static mh_nid nearest_nid(struct mh_stmt *st, mh_nid room, int64_t ts,
			  struct mh_error *err)
{
	int rc;

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, ts);
	rc = mh_sql_step(st, err);
	return rc > 0 ? mh_sql_col_int(st, 0) : rc;
}

int mh_events_nearest(struct mh_db *db, mh_nid room, int64_t ts, bool forwards,
		      struct mh_event_row *ret, struct mh_error *err)
{
	mh_nid nid;

	if (forwards) {
		MH_SQL(st, db,
		       "SELECT e.nid FROM events AS e INDEXED BY events_by_depth"
		       " WHERE e.room = ?1 AND " MH_EVENT_VISIBLE
		       " AND e.ts >= ?2 ORDER BY e.ts, e.depth, e.pos LIMIT 1");
		nid = nearest_nid(st, room, ts, err);
	} else {
		MH_SQL(st, db,
		       "SELECT e.nid FROM events AS e INDEXED BY events_by_depth"
		       " WHERE e.room = ?1 AND " MH_EVENT_VISIBLE
		       " AND e.ts <= ?2"
		       " ORDER BY e.ts DESC, e.depth DESC, e.pos DESC LIMIT 1");
		nid = nearest_nid(st, room, ts, err);
	}
	if (nid <= 0)
		return (int)nid;
	return mh_events_get_nid(db, nid, ret, err);
}
