/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rooms.h"
#include "store/caches.h"
#include "store/events_impl.h"

/* --- the rules of a room -------------------------------------------------- */

/* Values are rows of core's table; nids are not reused: never wrong. */
static void release_nothing(void *value)
{
	(void)value;
}

static bool take_rules(void *context, const void *value)
{
	*(const struct mh_room_rules **)context = value;
	return true;
}

int mh_room_rules_init(struct mh_store *store, size_t bytes)
{
	store->rules = mh_cache_new(bytes, &store->epoch, release_nothing);
	return 0;
}

void mh_room_rules_release(struct mh_store *store)
{
	mh_cache_free(store->rules);
}

static const struct mh_room_rules *rules_from(struct mh_db *db, mh_nid room,
					      struct mh_str version,
					      struct mh_error *err)
{
	const struct mh_room_rules *rules = mh_room_rules_find(version);

	if (!rules) {
		mh_fail_internal(err, "database: room %lld has version '%.*s'",
				 (long long)room, MH_STR_ARG(version));
		return NULL;
	}
	mh_cache_put(db->store->rules, (uint64_t)room, (void *)(uintptr_t)rules,
		     sizeof(rules), atomic_load(&db->store->epoch));
	return rules;
}

const struct mh_room_rules *mh_room_rules_of(struct mh_db *db, mh_nid room,
					     struct mh_error *err)
{
	const struct mh_room_rules *rules = NULL;
	int rc;

	if (mh_cache_get(db->store->rules, (uint64_t)room, take_rules, &rules))
		return rules;

	MH_SQL(st, db, "SELECT version FROM rooms WHERE nid = ?1");
	mh_sql_int(st, 1, room);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		return rules_from(db, room, mh_sql_col_text(st, 0), err);
	if (rc == 0)
		mh_fail_internal(err, "database: room %lld is missing",
				 (long long)room);
	return NULL;
}

/* --- rooms -------------------------------------------------------------- */

int mh_rooms_create(struct mh_tx *tx, struct mh_str room_id,
		    const struct mh_room_rules *rules, mh_nid *ret_room,
		    struct mh_error *err)
{
	mh_nid room = mh_name_intern(tx, room_id, err);

	if (room < 0)
		return -1;

	MH_SQL(st, tx->db, "INSERT INTO rooms (nid, version) VALUES (?1, ?2)");
	mh_sql_int(st, 1, room);
	mh_sql_text(st, 2, mh_str(rules->version));
	if (mh_sql_exec(st, err) < 0)
		return -1;
	*ret_room = room;
	return 0;
}

#define ROOM_COLUMNS                                                           \
	"r.nid, r.version, r.create_event, r.state_group, r.is_public,"        \
	" (SELECT e.pos FROM events AS e INDEXED BY events_by_pos"             \
	" WHERE e.room = r.nid AND " MH_EVENT_VISIBLE                          \
	" ORDER BY e.pos DESC LIMIT 1)"

static int read_room(struct mh_db *db, struct mh_stmt *st, struct mh_room *ret,
		     struct mh_error *err)
{
	ret->nid = mh_sql_col_int(st, 0);
	ret->rules = rules_from(db, ret->nid, mh_sql_col_text(st, 1), err);
	ret->create_event = mh_sql_col_int(st, 2);
	ret->state = mh_sql_col_int(st, 3);
	ret->is_public = mh_sql_col_int(st, 4) != 0;
	ret->latest_pos = mh_sql_col_int(st, 5);
	return ret->rules ? 0 : -1;
}

int mh_rooms_get(struct mh_db *db, mh_nid room, struct mh_room *ret,
		 struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT " ROOM_COLUMNS " FROM rooms AS r WHERE r.nid = ?1");
	mh_sql_int(st, 1, room);
	rc = mh_sql_step(st, err);
	if (rc > 0 && read_room(db, st, ret, err) < 0)
		return -1;
	return rc;
}

int mh_rooms_set_public(struct mh_tx *tx, mh_nid room, bool is_public,
			struct mh_error *err)
{
	MH_SQL(st, tx->db, "UPDATE rooms SET is_public = ?2 WHERE nid = ?1");

	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, is_public);
	return mh_sql_exec(st, err);
}

int mh_rooms_public(struct mh_db *db,
		    int (*each)(void *context, mh_nid room, int64_t joined,
				struct mh_error *err),
		    void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT nid, joined FROM rooms WHERE is_public"
	       " ORDER BY joined DESC, nid DESC");
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0), mh_sql_col_int(st, 1),
			  err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_rooms_each(struct mh_db *db,
		  int (*each)(void *context, const struct mh_room *room),
		  void *context, struct mh_error *err)
{
	struct mh_room room;
	int rc;

	MH_SQL(st, db,
	       "SELECT " ROOM_COLUMNS " FROM rooms AS r ORDER BY r.nid");
	while ((rc = mh_sql_step(st, err)) > 0) {
		if (read_room(db, st, &room, err) < 0)
			return -1;
		if (each(context, &room) <= 0)
			return 0;
	}
	return rc;
}
