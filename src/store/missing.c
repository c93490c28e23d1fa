/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for events that are not here: backward extremities, redactions
 * that came before their target, relations to an unknown parent. On a server
 * that only talks to itself the table is empty, and a flag in memory says so
 * without a query.
 */
#include "store/events_impl.h"
#include "store/relations.h"

#include "core/relation.h"

int mh_missing_init(struct mh_store *store, struct mh_error *err)
{
	int64_t any;

	if (mh_db_ask_int(store->writer, "SELECT EXISTS (SELECT 1 FROM missing)",
			  &any, err) < 0)
		return -1;
	atomic_store(&store->any_missing, any != 0);
	return 0;
}

int mh_missing_add(struct mh_tx *tx, struct mh_str event_id,
		   enum mh_missing_kind kind, mh_nid event, mh_nid room,
		   struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO missing (event_id, kind, event, room)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");

	mh_sql_text(st, 1, event_id);
	mh_sql_int(st, 2, kind);
	mh_sql_int(st, 3, event);
	mh_sql_int(st, 4, room);
	atomic_store(&tx->store->any_missing, true);
	return mh_sql_exec(st, err);
}

int mh_missing_remove(struct mh_tx *tx, struct mh_str event_id,
		      enum mh_missing_kind kind, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "DELETE FROM missing WHERE event_id = ?1 AND kind = ?2");

	mh_sql_text(st, 1, event_id);
	mh_sql_int(st, 2, kind);
	return mh_sql_exec(st, err);
}

/* --- redactions ----------------------------------------------------------- */

int mh_redactions_await(struct mh_tx *tx, struct mh_str target_id,
			mh_nid redaction, struct mh_error *err)
{
	return mh_missing_add(tx, target_id, MH_MISSING_REDACTED, redaction, 0,
			      err);
}

int mh_redactions_awaiting(struct mh_db *db, struct mh_str target_id,
			   int (*each)(void *context, mh_nid redaction),
			   void *context, struct mh_error *err)
{
	int rc;

	if (!atomic_load(&db->store->any_missing))
		return 0;

	MH_SQL(st, db,
	       "SELECT event FROM missing WHERE event_id = ?1 AND kind = 2"
	       " ORDER BY event");
	mh_sql_text(st, 1, target_id);
	while ((rc = mh_sql_step(st, err)) > 0)
		if (each(context, mh_sql_col_int(st, 0)) <= 0)
			return 0;
	return rc;
}

int mh_redactions_arrived(struct mh_tx *tx, struct mh_str target_id,
			  struct mh_error *err)
{
	return mh_missing_remove(tx, target_id, MH_MISSING_REDACTED, err);
}

/* --- backward extremities ------------------------------------------------- */

int mh_extremities_backward(struct mh_db *db, mh_nid room,
			    int (*each)(void *context, struct mh_str event_id,
					mh_nid child),
			    void *context, struct mh_error *err)
{
	int rc;

	if (!atomic_load(&db->store->any_missing))
		return 0;

	MH_SQL(st, db,
	       "SELECT event_id, event FROM missing"
	       " WHERE room = ?1 AND kind = 1 ORDER BY event DESC");
	mh_sql_int(st, 1, room);
	while ((rc = mh_sql_step(st, err)) > 0)
		if (each(context, mh_sql_col_text(st, 0),
			 mh_sql_col_int(st, 1)) <= 0)
			return 0;
	return rc;
}

/* --- relations to a parent that was not here ------------------------------- */

static int relate(struct mh_tx *tx, mh_nid child, struct mh_error *err)
{
	struct mh_relation relation = MH_RELATION_INIT;
	struct mh_event_row row = { 0 };
	int rc = mh_events_get_nid(tx->db, child, &row, err);

	/* A child that was redacted meanwhile relates to nothing. */
	if (rc > 0 && mh_relation_read(row.event->content, &relation))
		rc = mh_relations_add(tx, &row,
				      mh_strbuf_str(&relation.event_id),
				      mh_strbuf_str(&relation.rel_type),
				      relation.has_key ?
					      mh_strbuf_str(&relation.key) :
					      MH_STR_NONE,
				      err);
	mh_relation_release(&relation);
	mh_event_row_release(&row);
	return rc < 0 ? -1 : 0;
}

static int relate_children(struct mh_tx *tx, struct mh_str parent_id,
			   struct mh_error *err)
{
	int rc;

	MH_SQL(st, tx->db,
	       "SELECT event FROM missing WHERE event_id = ?1 AND kind = 3");
	mh_sql_text(st, 1, parent_id);
	while ((rc = mh_sql_step(st, err)) > 0)
		if (relate(tx, mh_sql_col_int(st, 0), err) < 0)
			return -1;
	return rc;
}

int mh_missing_arrived(struct mh_tx *tx, const struct mh_event_row *row,
		       struct mh_error *err)
{
	struct mh_str event_id = row->event->event_id;

	if (!atomic_load(&tx->store->any_missing))
		return 0;
	if (!(row->flags & MH_EVENT_OUTLIER) &&
	    mh_missing_remove(tx, event_id, MH_MISSING_PREV, err) < 0)
		return -1;
	if (relate_children(tx, event_id, err) < 0)
		return -1;
	return mh_missing_remove(tx, event_id, MH_MISSING_PARENT, err);
}
