/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of events: inserting, looking up, redacting.
 *
 * An insertion is one statement for a message: the row with its three indexes
 * (the event ID; the two orders of the timeline). State events have their auth
 * edges as well. An event that was known as an outlier and now takes its place
 * in the timeline keeps its row and nid.
 */
#include "store/events_impl.h"

#include "store/event_cache.h"
#include "store/sweep.h"

/* --- reading rows --------------------------------------------------------- */

static int load_event(struct mh_stmt *st, struct mh_event_row *row,
		      struct mh_error *err)
{
	const struct mh_room_rules *rules;
	MH_ERROR(why);

	rules = mh_room_rules_of(st->db, row->room, err);
	if (!rules)
		return -1;
	if (mh_event_load(rules, mh_sql_col_text(st, 1),
			  mh_sql_col_text(st, 11), &row->event, &why) < 0)
		return mh_fail_internal(err, "database: event %lld: %s",
					(long long)row->nid, why.message);
	return 0;
}

int mh_event_row_read(struct mh_stmt *st, struct mh_event_row *ret,
		      struct mh_error *err)
{
	struct mh_event_row row = { .nid = mh_sql_col_int(st, 0) };
	enum mh_cached cached = mh_event_cache_nid(st->db, row.nid, ret);

	if (cached == MH_CACHED)
		return 0;
	row.room = mh_sql_col_int(st, 2);
	row.type = mh_sql_col_int(st, 3);
	row.state_key = mh_sql_col_int(st, 4);
	row.sender = mh_sql_col_int(st, 5);
	row.pos = mh_sql_col_int(st, 6);
	row.state_before = mh_sql_col_int(st, 7);
	row.state_after = mh_sql_col_int(st, 8);
	row.flags = (unsigned)mh_sql_col_int(st, 9);
	row.redacted_by = mh_sql_col_int(st, 10);
	if (load_event(st, &row, err) < 0)
		return -1;
	if (cached == MH_CACHED_NOT)
		mh_event_cache_put(st->db, &row);
	*ret = row;
	return 0;
}

int mh_event_rows_each(struct mh_stmt *st, mh_event_row_fn *each, void *context,
		       struct mh_error *err)
{
	int rc;

	while ((rc = mh_sql_step(st, err)) > 0) {
		struct mh_event_row row;

		if (mh_event_row_read(st, &row, err) < 0)
			return -1;
		rc = each(context, &row, err);
		mh_event_row_release(&row);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

/* --- looking up ----------------------------------------------------------- */

int mh_events_get(struct mh_db *db, struct mh_str event_id,
		  struct mh_event_row *ret, struct mh_error *err)
{
	int rc;

	if (event_id.len == 0)
		return 0;
	if (mh_event_cache_id(db, event_id, ret))
		return 1;

	MH_SQL(st, db,
	       "SELECT " MH_EVENT_COLUMNS " FROM events AS e"
	       " WHERE e.event_id = ?1");
	mh_sql_text(st, 1, event_id);
	rc = mh_sql_step(st, err);
	if (rc > 0 && mh_event_row_read(st, ret, err) < 0)
		return -1;
	return rc;
}

int mh_events_get_nid(struct mh_db *db, mh_nid event, struct mh_event_row *ret,
		      struct mh_error *err)
{
	int rc;

	if (mh_event_cache_nid(db, event, ret) == MH_CACHED)
		return 1;

	MH_SQL(st, db,
	       "SELECT " MH_EVENT_COLUMNS " FROM events AS e"
	       " WHERE e.nid = ?1");
	mh_sql_int(st, 1, event);
	rc = mh_sql_step(st, err);
	if (rc > 0 && mh_event_row_read(st, ret, err) < 0)
		return -1;
	return rc;
}

/* The nid with the flags. */
static mh_nid find(struct mh_db *db, struct mh_str event_id, unsigned *ret_flags,
		   struct mh_error *err)
{
	struct mh_event_row row;
	mh_nid nid;
	int rc;

	if (event_id.len == 0)
		return 0;
	nid = mh_event_cache_id(db, event_id, &row);
	if (nid) {
		*ret_flags = row.flags;
		mh_event_row_release(&row);
		return nid;
	}

	MH_SQL(st, db, "SELECT nid, flags FROM events WHERE event_id = ?1");
	mh_sql_text(st, 1, event_id);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	*ret_flags = (unsigned)mh_sql_col_int(st, 1);
	return mh_sql_col_int(st, 0);
}

mh_nid mh_events_find(struct mh_db *db, struct mh_str event_id,
		      struct mh_error *err)
{
	unsigned flags;

	return find(db, event_id, &flags, err);
}

int mh_events_auth_edges(struct mh_db *db, mh_nid event,
			 int (*each)(void *context, mh_nid auth_event),
			 void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db, "SELECT auth FROM event_auth WHERE event = ?1");
	mh_sql_int(st, 1, event);
	while ((rc = mh_sql_step(st, err)) > 0)
		if (each(context, mh_sql_col_int(st, 0)) <= 0)
			return 0;
	return rc;
}

/* --- inserting ------------------------------------------------------------ */

/* Names are interned even for an event that has its nid. */
static int intern_names(struct mh_tx *tx, struct mh_event_row *row,
			struct mh_error *err)
{
	const struct mh_event *event = row->event;

	row->type = mh_name_intern(tx, event->type, err);
	if (row->type < 0)
		return -1;
	row->sender = mh_name_intern(tx, event->sender, err);
	if (row->sender < 0)
		return -1;
	row->state_key = 0;
	if (!mh_event_is_state(event))
		return 0;
	row->state_key = mh_name_intern(tx, event->state_key, err);
	return row->state_key < 0 ? -1 : 0;
}

/* The nid of the same event as an outlier; 0 when it is new. */
static mh_nid find_outlier(struct mh_tx *tx, const struct mh_event_row *row,
			   struct mh_error *err)
{
	unsigned flags = 0;
	mh_nid known = find(tx->db, row->event->event_id, &flags, err);

	if (known > 0 && (!(flags & MH_EVENT_OUTLIER) ||
			  row->flags & MH_EVENT_OUTLIER))
		return mh_fail_internal(err, "event %.*s is stored already",
					MH_STR_ARG(row->event->event_id));
	return known;
}

/*
 * An outlier keeps its nid when it takes its place in the timeline. For a
 * message that is found out by inserting it, which saves a look-up.
 */
int mh_events_reserve(struct mh_tx *tx, struct mh_event_row *row,
		      struct mh_error *err)
{
	mh_nid known = 0;

	if (row->nid)
		return 0;
	if (intern_names(tx, row, err) < 0)
		return -1;
	if (row->state_key)
		known = find_outlier(tx, row, err);
	if (known < 0)
		return -1;
	row->nid = known ? known : mh_event_next_nid(tx->store);
	return 0;
}

/* No change is counted when an event of this ID is there already. */
static int insert_row(struct mh_tx *tx, const struct mh_event_row *row,
		      struct mh_error *err)
{
	const struct mh_event *event = row->event;

	MH_SQL(st, tx->db,
	       "INSERT INTO events (nid, event_id, room, type, state_key,"
	       " sender, pos, depth, ts, state_before, state_after, flags,"
	       " redacted_by, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	       " ?9, ?10, ?11, ?12, ?13, ?14)"
	       " ON CONFLICT (event_id) DO NOTHING");
	mh_sql_int(st, 1, row->nid);
	mh_sql_text(st, 2, event->event_id);
	mh_sql_int(st, 3, row->room);
	mh_sql_int(st, 4, row->type);
	if (row->state_key)
		mh_sql_int(st, 5, row->state_key);
	mh_sql_int(st, 6, row->sender);
	if (row->pos)
		mh_sql_int(st, 7, row->pos);
	mh_sql_int(st, 8, event->depth);
	mh_sql_int(st, 9, event->origin_server_ts);
	mh_sql_int(st, 10, row->state_before);
	mh_sql_int(st, 11, row->state_after);
	mh_sql_int(st, 12, row->flags);
	mh_sql_int(st, 13, row->redacted_by);
	mh_sql_text(st, 14, event->json);
	return mh_sql_exec(st, err);
}

static int update_outlier(struct mh_tx *tx, const struct mh_event_row *row,
			  struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "UPDATE events SET pos = ?2, state_before = ?3, state_after = ?4,"
	       " flags = ?5, redacted_by = ?6, json = ?7 WHERE nid = ?1");

	mh_sql_int(st, 1, row->nid);
	if (row->pos)
		mh_sql_int(st, 2, row->pos);
	mh_sql_int(st, 3, row->state_before);
	mh_sql_int(st, 4, row->state_after);
	mh_sql_int(st, 5, row->flags);
	mh_sql_int(st, 6, row->redacted_by);
	mh_sql_text(st, 7, row->event->json);
	return mh_sql_exec(st, err);
}

static int insert_or_update(struct mh_tx *tx, struct mh_event_row *row,
			    struct mh_error *err)
{
	mh_nid known;

	if (insert_row(tx, row, err) < 0)
		return -1;
	if (mh_sql_changes(tx->db))
		return 0;
	known = find_outlier(tx, row, err);
	if (known < 0)
		return -1;
	/* What conflicts is there; and who named the nid has looked first. */
	MH_ASSERT(known && (!row->state_key || known == row->nid));
	row->nid = known;
	return update_outlier(tx, row, err);
}

static int insert_auth_edge(struct mh_tx *tx, mh_nid event, mh_nid auth,
			    struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO event_auth (event, auth) VALUES (?1, ?2)"
	       " ON CONFLICT DO NOTHING");

	mh_sql_int(st, 1, event);
	mh_sql_int(st, 2, auth);
	return mh_sql_exec(st, err);
}

/* Auth events that are not stored have no edge: the caller sees to them. */
static int insert_auth_edges(struct mh_tx *tx, const struct mh_event_row *row,
			     struct mh_error *err)
{
	const struct mh_event *event = row->event;

	for (size_t i = 0; i < event->n_auth_events; i++) {
		mh_nid auth = mh_events_find(tx->db, event->auth_events[i],
					     err);

		if (auth < 0 ||
		    (auth && insert_auth_edge(tx, row->nid, auth, err) < 0))
			return -1;
	}
	return 0;
}

/* The prev events that are not here are the DAG's backward extremities. */
static int note_missing_prevs(struct mh_tx *tx, const struct mh_event_row *row,
			      struct mh_error *err)
{
	const struct mh_event *event = row->event;

	for (size_t i = 0; i < event->n_prev_events; i++) {
		unsigned flags = 0;
		mh_nid prev = find(tx->db, event->prev_events[i], &flags, err);

		if (prev < 0)
			return -1;
		if ((!prev || flags & MH_EVENT_OUTLIER) &&
		    mh_missing_add(tx, event->prev_events[i], MH_MISSING_PREV,
				   row->nid, row->room, err) < 0)
			return -1;
	}
	return 0;
}

int mh_events_insert(struct mh_tx *tx, struct mh_event_row *row,
		     struct mh_error *err)
{
	if (mh_events_reserve(tx, row, err) < 0 ||
	    insert_or_update(tx, row, err) < 0)
		return -1;
	mh_event_changed(tx, row);
	mh_sweep_mark(tx->store, row->state_before);
	mh_sweep_mark(tx->store, row->state_after);
	if (row->state_key && insert_auth_edges(tx, row, err) < 0)
		return -1;
	if (!(row->flags & MH_EVENT_OUTLIER) &&
	    note_missing_prevs(tx, row, err) < 0)
		return -1;
	return mh_missing_arrived(tx, row, err);
}

/* --- changing ------------------------------------------------------------- */

static int update_redacted(struct mh_tx *tx, const struct mh_event_row *row,
			   struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "UPDATE events SET flags = ?2, redacted_by = ?3, json = ?4"
	       " WHERE nid = ?1");

	mh_sql_int(st, 1, row->nid);
	mh_sql_int(st, 2, row->flags);
	mh_sql_int(st, 3, row->redacted_by);
	mh_sql_text(st, 4, row->event->json);
	return mh_sql_exec(st, err);
}

int mh_events_redact(struct mh_tx *tx, const struct mh_event_row *target,
		     mh_nid redaction, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *redacted =
		mh_event_redact(target->event);
	struct mh_event_row row = *target;

	row.event = redacted;
	row.flags |= MH_EVENT_REDACTED;
	row.redacted_by = redaction;
	if (update_redacted(tx, &row, err) < 0)
		return -1;
	mh_event_changed(tx, &row);
	return mh_relations_remove(tx, row.nid, err);
}

int mh_events_unhide(struct mh_tx *tx, mh_nid event, int64_t pos,
		     struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc = mh_events_get_nid(tx->db, event, &row, err);

	if (rc == 0)
		rc = mh_fail_internal(err, "database: event %lld is missing",
				      (long long)event);
	if (rc > 0) {
		MH_SQL(st, tx->db,
		       "UPDATE events SET flags = ?2, pos = ?3 WHERE nid = ?1");
		row.flags &= ~(unsigned)MH_EVENT_HIDDEN;
		row.pos = pos;
		mh_sql_int(st, 1, event);
		mh_sql_int(st, 2, row.flags);
		mh_sql_int(st, 3, pos);
		rc = mh_sql_exec(st, err);
		if (rc == 0)
			mh_event_changed(tx, &row);
	}
	mh_event_row_release(&row);
	return rc < 0 ? -1 : 0;
}
