/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thorough check. SQLite's own says whether the pages hang together; the
 * questions in `queries` whether the rows do; then every event is read and
 * compared with its hashes, and every room's current state with its group and
 * its members.
 *
 * It reads through the same functions as everybody, with a store that has
 * caches but no writer's queue, on a connection that cannot write.
 */
#include "store/caches.h"
#include "store/rooms.h"
#include "store/state_impl.h"

#include "base/base64.h"
#include "core/signing.h"

#include <stdlib.h>

#define CACHE_BYTES (16 << 20)

struct verify {
	struct mh_store store; /* what the reading functions need of one */
	struct mh_db *db;
	void (*report)(void *context, const char *finding);
	void *context;
	int64_t findings;
};

static void report(struct verify *v, const char *format, ...) MH_PRINTF(2, 3);

static void report(struct verify *v, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v->findings++;
	v->report(v->context, text);
}

/* --- questions to the tables ---------------------------------------------------- */

/* Each row is a finding. */
static const char *const queries[] = {
	"SELECT integrity_check FROM pragma_integrity_check(100)"
	" WHERE integrity_check <> 'ok'",

	"SELECT printf('the sequence is at %lld, behind event %lld at %lld',"
	" s.last, e.nid, e.pos) FROM sequence AS s, events AS e"
	" WHERE e.pos > s.last OR e.pos < s.backfill",
	"SELECT printf('the sequence is at %lld, behind a receipt at %lld',"
	" s.last, r.pos) FROM sequence AS s, receipts AS r"
	" WHERE r.pos > s.last",

	/* names */
	"SELECT printf('event %lld has a name that is missing', nid)"
	" FROM events WHERE NOT EXISTS"
	" (SELECT 1 FROM names AS n WHERE n.nid = events.type)"
	" OR NOT EXISTS (SELECT 1 FROM names AS n WHERE n.nid = events.sender)"
	" OR state_key IS NOT NULL AND NOT EXISTS"
	" (SELECT 1 FROM names AS n WHERE n.nid = events.state_key)",
	"SELECT printf('event %lld is of room %lld, which is missing', nid,"
	" room) FROM events WHERE NOT EXISTS"
	" (SELECT 1 FROM rooms AS r WHERE r.nid = events.room)",
	"SELECT printf('room %lld has no name', nid) FROM rooms WHERE NOT EXISTS"
	" (SELECT 1 FROM names AS n WHERE n.nid = rooms.nid)",

	/* what refers to events */
	"SELECT printf('event %lld has auth event %lld, which is missing',"
	" event, auth) FROM event_auth AS a WHERE NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = a.event) OR NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = a.auth)",
	"SELECT printf('room %lld has leaf %lld, which is missing', room, event)"
	" FROM extremities AS x WHERE NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = x.event)",
	"SELECT printf('event %lld relates to %lld; one is missing', child,"
	" parent) FROM relations AS r WHERE NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = r.child) OR NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = r.parent)",
	"SELECT printf('thread %lld has %lld replies, not %lld', root,"
	" (SELECT count(*) FROM relations AS r WHERE r.parent = t.root"
	" AND r.rel_type = n.nid), replies) FROM threads AS t, names AS n"
	" WHERE n.text = 'm.thread' AND replies <>"
	" (SELECT count(*) FROM relations AS r WHERE r.parent = t.root"
	" AND r.rel_type = n.nid)",
	"SELECT printf('a transaction made event %lld, which is missing', event)"
	" FROM event_transactions AS t WHERE NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = t.event)",
	"SELECT printf('event %lld waits for %s, but is missing', event,"
	" event_id) FROM missing AS m WHERE NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = m.event)",

	/* state groups */
	"SELECT printf('event %lld has state groups %lld and %lld; one is"
	" missing', nid, state_before, state_after) FROM events AS e"
	" WHERE state_before <> 0 AND NOT EXISTS"
	" (SELECT 1 FROM state_groups AS g WHERE g.id = e.state_before)"
	" OR state_after <> 0 AND NOT EXISTS"
	" (SELECT 1 FROM state_groups AS g WHERE g.id = e.state_after)",
	"SELECT printf('room %lld has state group %lld, which is missing', nid,"
	" state_group) FROM rooms AS r WHERE state_group <> 0 AND NOT EXISTS"
	" (SELECT 1 FROM state_groups AS g WHERE g.id = r.state_group)",
	"SELECT printf('state group %lld does not fit its base %lld', g.id,"
	" g.base) FROM state_groups AS g LEFT JOIN state_groups AS b"
	" ON b.id = g.base WHERE iif(g.base = 0, g.depth <> 0, b.id IS NULL"
	" OR b.id >= g.id OR b.depth >= g.depth OR b.room <> g.room)",
	"SELECT printf('an item of state group %lld refers to nothing',"
	" state_group) FROM state_items AS i WHERE NOT EXISTS"
	" (SELECT 1 FROM state_groups AS g WHERE g.id = i.state_group)"
	" OR event <> 0 AND NOT EXISTS"
	" (SELECT 1 FROM events AS e WHERE e.nid = i.event)",
	"WITH RECURSIVE needed (id) AS (SELECT state_before FROM events"
	" UNION SELECT state_after FROM events"
	" UNION SELECT state_group FROM rooms UNION SELECT g.base"
	" FROM needed CROSS JOIN state_groups AS g ON g.id = needed.id)"
	" SELECT printf('state group %lld is unreachable; the sweep has not"
	" come to it', id) FROM state_groups WHERE id NOT IN needed",

	/* members */
	"SELECT printf('room %lld counts %lld joined members (%lld local) and"
	" %lld invited, and has others', nid, joined, joined_local, invited)"
	" FROM rooms AS r WHERE (joined, joined_local, invited) <>"
	" (SELECT count(*) FILTER (WHERE membership = 2),"
	" count(*) FILTER (WHERE membership = 2 AND local),"
	" count(*) FILTER (WHERE membership = 1)"
	" FROM members AS m WHERE m.room = r.nid)",
	"SELECT printf('user %lld of room %lld has a member event that is not"
	" current', m.user, m.room) FROM members AS m WHERE membership = 2"
	" AND NOT EXISTS (SELECT 1 FROM current_state AS c, names AS n"
	" WHERE n.text = 'm.room.member' AND c.room = m.room"
	" AND c.type = n.nid AND c.state_key = m.user AND c.event = m.event)",
};

/* Not through mh_sql(): it runs once. */
static int ask(struct verify *v, const char *query, struct mh_error *err)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(v->db->handle, query, -1, &st, NULL);

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(st);
		if (code == SQLITE_ROW)
			report(v, "%s", (const char *)sqlite3_column_text(st,
									 0));
	}
	sqlite3_finalize(st);
	if (code == SQLITE_DONE)
		return 0;
	/* Damage that keeps a question from its end is a finding itself. */
	if ((code & 0xff) == SQLITE_CORRUPT) {
		report(v, "%s", sqlite3_errmsg(v->db->handle));
		return 0;
	}
	return mh_db_fail(v->db, code, err);
}

/* --- events ----------------------------------------------------------------- */

static bool hash_in_id_is_right(const struct mh_event *event)
{
	unsigned char hash[MH_SHA256];
	MH_STRBUF(id);

	if (event->rules->event_id_format == MH_EVENT_ID_DOMAIN)
		return true;
	mh_event_reference_hash(event->rules, event->json, hash);
	mh_strbuf_addch(&id, '$');
	mh_base64_encode(event->rules->event_id_format == MH_EVENT_ID_HASH_STD ?
				 MH_BASE64_STD :
				 MH_BASE64_URL,
			 hash, sizeof(hash), &id);
	return mh_str_eq(mh_strbuf_str(&id), event->event_id);
}

static bool content_hash_is_right(const struct mh_event *event)
{
	struct mh_str claimed = mh_json_slice(
		mh_json_slice(event->json, "hashes"), "sha256");
	unsigned char want[MH_SHA256], have[MH_SHA256];
	size_t len;
	MH_STRBUF(text);

	mh_event_content_hash(event->json, want);
	return claimed.data && mh_json_unescape(claimed, &text) &&
	       mh_base64_decode(MH_BASE64_STD, mh_strbuf_str(&text), have,
				sizeof(have), &len) &&
	       len == sizeof(have) && !memcmp(want, have, sizeof(have));
}

/* A peer's event whose content hash was wrong is kept in its redacted form. */
static bool is_redacted_form(const struct mh_event *event)
{
	MH_STRBUF(redacted);

	mh_event_redact_json(event->rules, event->json, &redacted);
	return mh_str_eq(mh_strbuf_str(&redacted), event->json);
}

static int check_name(struct verify *v, const struct mh_event_row *row,
		      mh_nid nid, struct mh_str text, const char *what,
		      struct mh_error *err)
{
	mh_nid have = mh_name_find(v->db, text, err);

	if (have < 0)
		return -1;
	if (have != nid)
		report(v, "event %lld is filed under another %s than it has",
		       (long long)row->nid, what);
	return 0;
}

static int check_row(struct verify *v, const struct mh_event_row *row,
		     struct mh_error *err)
{
	const struct mh_event *event = row->event;
	mh_nid in_state;

	if (!hash_in_id_is_right(event))
		report(v, "event %lld is not the one its ID names",
		       (long long)row->nid);
	if (!content_hash_is_right(event) && !is_redacted_form(event))
		report(v, "event %lld does not have its content hash",
		       (long long)row->nid);
	if (check_name(v, row, row->room, event->room_id, "room", err) < 0 ||
	    check_name(v, row, row->type, event->type, "type", err) < 0 ||
	    check_name(v, row, row->sender, event->sender, "sender", err) < 0)
		return -1;
	if (mh_event_is_state(event) != (row->state_key != 0)) {
		report(v, "event %lld is filed as what it is not",
		       (long long)row->nid);
		return 0;
	}
	if (!row->state_key)
		return 0;
	if (check_name(v, row, row->state_key, event->state_key, "state key",
		       err) < 0)
		return -1;
	if (row->flags & (MH_EVENT_OUTLIER | MH_EVENT_REJECTED))
		return 0;
	in_state = mh_state_group_get(v->db, row->state_after, row->type,
				      row->state_key, err);
	if (in_state < 0)
		return -1;
	if (in_state != row->nid)
		report(v, "event %lld is not in the state after it",
		       (long long)row->nid);
	return 0;
}

/* A row that cannot be read is a finding; the others go on. */
static int check_events(struct verify *v, struct mh_error *err)
{
	int rc;

	MH_SQL(st, v->db,
	       "SELECT " MH_EVENT_COLUMNS " FROM events AS e ORDER BY e.nid");
	while ((rc = mh_sql_step(st, err)) > 0) {
		struct mh_event_row row;

		if (mh_event_row_read(st, &row, err) < 0) {
			report(v, "%s", err->message);
			mh_error_release(err);
			continue;
		}
		rc = check_row(v, &row, err);
		mh_event_row_release(&row);
		if (rc < 0) {
			report(v, "%s", err->message);
			mh_error_release(err);
		}
	}
	return rc;
}

/* --- rooms ------------------------------------------------------------------ */

struct current {
	struct verify *v;
	const struct mh_state_item *items; /* of the group */
	size_t n, at;
	bool same;
};

static int next_current(void *context, const struct mh_event_row *row,
			struct mh_error *err)
{
	struct current *current = context;
	const struct mh_state_item *item = current->items + current->at++;

	(void)err;
	if (current->at > current->n || item->type != row->type ||
	    item->state_key != row->state_key || item->event != row->nid)
		current->same = false;
	return current->same;
}

static int check_room(struct verify *v, const struct mh_room *room,
		      struct mh_error *err)
{
	struct current current = { .v = v, .same = true };
	struct mh_state_item *items;
	struct mh_arena arena;
	int rc;

	mh_arena_init(&arena);
	rc = mh_state_group_load(v->db, room->state, &arena, &items,
				 &current.n, err);
	current.items = items;
	if (rc == 0)
		rc = mh_state_current_each(v->db, room->nid, 0, next_current,
					   &current, err);
	if (rc == 0 && (!current.same || current.at != current.n))
		report(v,
		       "the current state of room %lld is not state group %lld",
		       (long long)room->nid, (long long)room->state);
	mh_arena_release(&arena);
	return rc;
}

struct rooms {
	struct verify *v;
	struct mh_error *err;
};

static int next_room(void *context, const struct mh_room *room)
{
	struct rooms *rooms = context;

	if (check_room(rooms->v, room, rooms->err) < 0) {
		report(rooms->v, "room %lld: %s", (long long)room->nid,
		       rooms->err->message);
		mh_error_release(rooms->err);
	}
	return 1;
}

/* --- all -------------------------------------------------------------------- */

static int check_all(struct verify *v, struct mh_error *err)
{
	struct rooms rooms = { v, err };

	for (size_t i = 0; i < MH_ARRAY_LEN(queries); i++)
		if (ask(v, queries[i], err) < 0)
			return -1;
	if (check_events(v, err) < 0)
		return -1;
	return mh_rooms_each(v->db, next_room, &rooms, err);
}

static int open_for_reading(struct verify *v, const char *path,
			    struct mh_error *err)
{
	/* Not SQLITE_OPEN_READONLY, which cannot make the WAL's index. */
	if (mh_db_open(path, SQLITE_OPEN_READWRITE, NULL, &v->db, err) < 0)
		return -1;
	sqlite3_db_config(v->db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
			  NULL);
	v->db->store = &v->store;
	v->store.writer = v->db;
	if (mh_identify(v->db, path, err) < 0 ||
	    mh_db_script(v->db, "PRAGMA query_only = 1; BEGIN", err) < 0)
		return -1;
	return mh_caches_init(&v->store, CACHE_BYTES, err);
}

int64_t mh_store_verify(const char *path,
			void (*report_fn)(void *context, const char *finding),
			void *context, struct mh_error *err)
{
	struct verify *v = MH_NEW(struct verify);
	int64_t findings = -1;

	v->report = report_fn;
	v->context = context;
	if (open_for_reading(v, path, err) == 0 && check_all(v, err) == 0)
		findings = v->findings;
	mh_db_close(v->db);
	mh_caches_release(&v->store);
	free(v);
	return findings;
}
