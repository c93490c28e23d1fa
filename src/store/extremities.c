/* SPDX-License-Identifier: Apache-2.0 */
/* Forward extremities: the leaves of each room's DAG. */
#include "store/events_impl.h"

int mh_extremities_get(struct mh_db *db, mh_nid room, struct mh_arena *arena,
		       struct mh_extremity **ret, size_t *ret_n,
		       struct mh_error *err)
{
	struct mh_extremity *list;
	size_t n = 0;
	int rc;

	MH_SQL(st, db,
	       "SELECT e.nid, e.depth, e.state_after, e.event_id"
	       " FROM extremities AS x CROSS JOIN events AS e ON e.nid = x.event"
	       " WHERE x.room = ?1 ORDER BY e.depth DESC, e.nid DESC LIMIT 20");
	mh_sql_int(st, 1, room);
	list = mh_arena_alloc_array(arena, MH_EVENT_MAX_PREV, sizeof(*list));
	while ((rc = mh_sql_step(st, err)) > 0) {
		list[n].event = mh_sql_col_int(st, 0);
		list[n].depth = mh_sql_col_int(st, 1);
		list[n].state_after = mh_sql_col_int(st, 2);
		list[n++].event_id =
			mh_arena_str(arena, mh_sql_col_text(st, 3));
	}
	if (rc < 0)
		return -1;
	*ret = list;
	*ret_n = n;
	return 0;
}

static int remove_leaf(struct mh_tx *tx, mh_nid room, mh_nid event,
		       struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "DELETE FROM extremities WHERE room = ?1 AND event = ?2");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, event);
	return mh_sql_exec(st, err);
}

/* The usual case, one leaf that follows another, is one statement. */
static int replace_leaf(struct mh_tx *tx, mh_nid room, mh_nid old, mh_nid new,
			bool *ret_replaced, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "UPDATE extremities SET event = ?3"
	       " WHERE room = ?1 AND event = ?2");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, old);
	mh_sql_int(st, 3, new);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	*ret_replaced = mh_sql_changes(tx->db) > 0;
	return 0;
}

static int add_leaf(struct mh_tx *tx, mh_nid room, mh_nid event,
		    struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO extremities (room, event) VALUES (?1, ?2)"
	       " ON CONFLICT DO NOTHING");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, event);
	return mh_sql_exec(st, err);
}

int mh_extremities_advance(struct mh_tx *tx, mh_nid room,
			   const struct mh_event_row *row, struct mh_error *err)
{
	const struct mh_event *event = row->event;
	bool replaced = false;

	for (size_t i = 0; i < event->n_prev_events; i++) {
		mh_nid prev = mh_events_find(tx->db, event->prev_events[i],
					     err);
		int rc = prev < 0 ? -1 : 0;

		if (prev > 0 && replaced)
			rc = remove_leaf(tx, room, prev, err);
		else if (prev > 0)
			rc = replace_leaf(tx, room, prev, row->nid, &replaced,
					  err);
		if (rc < 0)
			return -1;
	}
	return replaced ? 0 : add_leaf(tx, room, row->nid, err);
}
