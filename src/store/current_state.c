/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The current state of each room, as rows: one look-up by key, one range for
 * the whole. rooms.state_group is the same state as a group.
 */
#include "store/state_impl.h"
#include "store/sweep.h"

/* --- changing --------------------------------------------------------------- */

static int set_key(struct mh_tx *tx, mh_nid room,
		   const struct mh_state_item *item, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO current_state (room, type, state_key, event)"
	       " VALUES (?1, ?2, ?3, ?4)"
	       " ON CONFLICT (room, type, state_key) DO UPDATE SET event = ?4");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, item->type);
	mh_sql_int(st, 3, item->state_key);
	mh_sql_int(st, 4, item->event);
	return mh_sql_exec(st, err);
}

static int unset_key(struct mh_tx *tx, mh_nid room,
		     const struct mh_state_item *item, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "DELETE FROM current_state"
	       " WHERE room = ?1 AND type = ?2 AND state_key = ?3");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, item->type);
	mh_sql_int(st, 3, item->state_key);
	return mh_sql_exec(st, err);
}

static int set_group(struct mh_tx *tx, mh_nid room, int64_t group,
		     struct mh_error *err)
{
	MH_SQL(st, tx->db, "UPDATE rooms SET state_group = ?2 WHERE nid = ?1");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, group);
	mh_sweep_mark(tx->store, group);
	return mh_sql_exec(st, err);
}

static int set_create(struct mh_tx *tx, mh_nid room, mh_nid event,
		      struct mh_error *err)
{
	MH_SQL(st, tx->db, "UPDATE rooms SET create_event = ?2 WHERE nid = ?1");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, event);
	return mh_sql_exec(st, err);
}

/* `row` is current at its key from now on. */
static int apply(struct mh_tx *tx, mh_nid room, const struct mh_event_row *row,
		 struct mh_error *err)
{
	struct mh_state_item item = { row->type, row->state_key, row->nid };

	if (set_key(tx, room, &item, err) < 0)
		return -1;
	if (mh_event_is(row->event, "m.room.create", ""))
		return set_create(tx, room, row->nid, err);
	if (mh_event_is(row->event, "m.room.member", NULL))
		return mh_member_set(tx, row, err);
	return 0;
}

int mh_state_current_set(struct mh_tx *tx, const struct mh_event_row *row,
			 struct mh_error *err)
{
	MH_ASSERT(row->state_key);
	if (apply(tx, row->room, row, err) < 0)
		return -1;
	return set_group(tx, row->room, row->state_after, err);
}

static int load_current(struct mh_db *db, mh_nid room, struct mh_arena *arena,
			struct items *ret, struct mh_error *err)
{
	size_t cap = 0;
	int rc;

	MH_SQL(st, db,
	       "SELECT type, state_key, event FROM current_state"
	       " WHERE room = ?1 ORDER BY type, state_key");
	*ret = (struct items){ NULL, 0 };
	mh_sql_int(st, 1, room);
	while ((rc = mh_sql_step(st, err)) > 0) {
		if (ret->n == cap) {
			struct mh_state_item *old = ret->at;

			cap = cap ? 2 * cap : 64;
			ret->at = mh_arena_alloc_array(arena, cap,
						       sizeof(*ret->at));
			if (ret->n)
				memcpy(ret->at, old, ret->n * sizeof(*old));
		}
		ret->at[ret->n++] = (struct mh_state_item){
			mh_sql_col_int(st, 0),
			mh_sql_col_int(st, 1),
			mh_sql_col_int(st, 2),
		};
	}
	return rc;
}

static int replace_key(struct mh_tx *tx, mh_nid room, mh_nid event, int64_t pos,
		       struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc = mh_events_get_nid(tx->db, event, &row, err);

	if (rc == 0)
		rc = mh_fail_internal(err, "database: event %lld is missing",
				      (long long)event);
	if (rc > 0) {
		row.pos = pos; /* when it became current */
		rc = apply(tx, room, &row, err);
	}
	mh_event_row_release(&row);
	return rc;
}

static int remove_key(struct mh_tx *tx, mh_nid room, mh_nid member_type,
		      const struct mh_state_item *item, int64_t pos,
		      struct mh_error *err)
{
	if (unset_key(tx, room, item, err) < 0)
		return -1;
	if (item->type != member_type)
		return 0;
	return mh_member_unset(tx, room, item->state_key, pos, err);
}

static int order_of(const struct items *a, size_t i, const struct items *b,
		    size_t j)
{
	const struct mh_state_item *x = &a->at[i], *y = &b->at[j];

	if (i == a->n || j == b->n)
		return (i == a->n) - (j == b->n);
	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return (x->state_key > y->state_key) - (x->state_key < y->state_key);
}

static int replace_all(struct mh_tx *tx, mh_nid room, struct items old,
		       struct items new, int64_t pos, struct mh_error *err)
{
	mh_nid member_type = mh_name_find(tx->db, MH_STR("m.room.member"), err);
	size_t i = 0, j = 0;

	if (member_type < 0)
		return -1;
	while (i < old.n || j < new.n) {
		int order = order_of(&old, i, &new, j);

		if (order < 0 && remove_key(tx, room, member_type, &old.at[i],
					    pos, err) < 0)
			return -1;
		if (order >= 0 &&
		    (order > 0 || old.at[i].event != new.at[j].event) &&
		    replace_key(tx, room, new.at[j].event, pos, err) < 0)
			return -1;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

int mh_state_current_replace(struct mh_tx *tx, mh_nid room, int64_t group,
			     int64_t pos, struct mh_error *err)
{
	struct items old, new = { NULL, 0 };
	struct mh_arena arena;
	int rc;

	mh_arena_init(&arena);
	rc = load_current(tx->db, room, &arena, &old, err);
	if (rc == 0)
		rc = mh_state_group_load(tx->db, group, &arena, &new.at, &new.n,
					 err);
	if (rc == 0)
		rc = replace_all(tx, room, old, new, pos, err);
	if (rc == 0)
		rc = set_group(tx, room, group, err);
	mh_arena_release(&arena);
	return rc;
}

/* --- asking --------------------------------------------------------------- */

int mh_state_current_get(struct mh_db *db, mh_nid room, const char *type,
			 struct mh_str state_key, struct mh_event_row *ret,
			 struct mh_error *err)
{
	mh_nid type_nid = mh_name_find(db, mh_str(type), err);
	mh_nid key_nid = mh_name_find(db, state_key, err);
	int rc;

	if (type_nid <= 0 || key_nid <= 0)
		return type_nid < 0 || key_nid < 0 ? -1 : 0;

	MH_SQL(st, db,
	       "SELECT event FROM current_state"
	       " WHERE room = ?1 AND type = ?2 AND state_key = ?3");
	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, type_nid);
	mh_sql_int(st, 3, key_nid);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	return mh_events_get_nid(db, mh_sql_col_int(st, 0), ret, err);
}

int mh_state_current_each(struct mh_db *db, mh_nid room, mh_nid type,
			  mh_event_row_fn *each, void *context,
			  struct mh_error *err)
{
	if (type) {
		MH_SQL(one, db,
		       "SELECT " MH_EVENT_COLUMNS " FROM current_state AS c"
		       " CROSS JOIN events AS e ON e.nid = c.event"
		       " WHERE c.room = ?1 AND c.type = ?2"
		       " ORDER BY c.state_key");
		mh_sql_int(one, 1, room);
		mh_sql_int(one, 2, type);
		return mh_event_rows_each(one, each, context, err);
	}

	MH_SQL(all, db,
	       "SELECT " MH_EVENT_COLUMNS " FROM current_state AS c"
	       " CROSS JOIN events AS e ON e.nid = c.event"
	       " WHERE c.room = ?1 ORDER BY c.type, c.state_key");
	mh_sql_int(all, 1, room);
	return mh_event_rows_each(all, each, context, err);
}
