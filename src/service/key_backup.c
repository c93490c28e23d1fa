/* SPDX-License-Identifier: Apache-2.0 */
#include "service/key_backup.h"

#include "core/canonical_json.h"
#include "core/ids.h"

int64_t mh_backup_version_parse(struct mh_str text)
{
	int64_t version;

	return mh_str_to_int(text, &version) && version > 0 ? version : 0;
}

/* A backup that is there: 0, or -1 with M_NOT_FOUND. */
static int find(struct mh_db *db, mh_nid user, int64_t version,
		struct mh_arena *arena, struct mh_backup *ret,
		struct mh_error *err)
{
	int rc = mh_backup_get(db, user, version, arena, ret, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || ret->deleted)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such backup");
	return 0;
}

/* --- versions ---------------------------------------------------------------- */

static void add_state(const struct mh_backup *backup, struct mh_strbuf *out)
{
	mh_json_add_key(out, MH_STR("count"));
	mh_strbuf_addint(out, backup->count);
	mh_json_add_key(out, MH_STR("etag"));
	mh_strbuf_addf(out, "\"%lld\"", (long long)backup->etag);
}

int mh_backup_describe(struct mh_db *db, mh_nid user, int64_t version,
		       struct mh_strbuf *reply, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_backup backup;

	if (find(db, user, version, &arena, &backup, err) < 0)
		return -1;
	mh_strbuf_addlit(reply, "{\"algorithm\":");
	mh_json_add_str(reply, backup.algorithm);
	mh_json_add_key(reply, MH_STR("auth_data"));
	mh_strbuf_addstr(reply, backup.auth_data);
	add_state(&backup, reply);
	mh_json_add_key(reply, MH_STR("version"));
	mh_strbuf_addf(reply, "\"%lld\"}", (long long)backup.version);
	return 0;
}

static int read_version(const json_t *body, struct mh_str *algorithm,
			struct mh_strbuf *auth_data, struct mh_error *err)
{
	json_t *data;

	if (mh_json_need_str(body, "algorithm", algorithm, err) < 0 ||
	    mh_json_need_object(body, "auth_data", &data, err) < 0 ||
	    mh_canonical_json_value(data, MH_JSON_TOLERANT, auth_data, err) < 0)
		return -1;
	if (auth_data->len > MH_BACKUP_SESSION_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "'auth_data' is too large");
	return 0;
}

int mh_backup_start(struct mh_tx *tx, mh_nid user, const json_t *body,
		    struct mh_strbuf *reply, struct mh_error *err)
{
	struct mh_str algorithm;
	MH_STRBUF(auth_data);
	int64_t version;

	if (read_version(body, &algorithm, &auth_data, err) < 0)
		return -1;
	version = mh_backup_create(tx, user, algorithm,
				   mh_strbuf_str(&auth_data), err);
	if (version < 0)
		return -1;
	mh_strbuf_addf(reply, "{\"version\":\"%lld\"}", (long long)version);
	return 0;
}

int mh_backup_update(struct mh_tx *tx, mh_nid user, int64_t version,
		     const json_t *body, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_str algorithm, told;
	struct mh_backup backup;
	MH_STRBUF(auth_data);
	int rc;

	if (find(mh_tx_db(tx), user, version, &arena, &backup, err) < 0 ||
	    read_version(body, &algorithm, &auth_data, err) < 0)
		return -1;
	rc = mh_json_get_str(body, "version", &told, err);
	if (rc < 0)
		return -1;
	if (rc > 0 && mh_backup_version_parse(told) != version)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'version' is not that of the path");
	if (!mh_str_eq(algorithm, backup.algorithm))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the algorithm of a backup cannot change");
	return mh_backup_set_auth_data(tx, user, version,
				       mh_strbuf_str(&auth_data), err);
}

int mh_backup_end(struct mh_tx *tx, mh_nid user, int64_t version,
		  struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_backup backup;
	int rc = mh_backup_get(mh_tx_db(tx), user, version, &arena, &backup,
			       err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such backup");
	return backup.deleted ? 0 : mh_backup_delete(tx, user, version, err);
}

/* --- reading keys --------------------------------------------------------------- */

struct reading {
	struct mh_db *db;
	const struct mh_backup_selection *selection;
	struct mh_strbuf *out;
	mh_nid room; /* whose sessions are open; 0: none */
	int64_t n;
};

static void add_session(const struct mh_backup_session *session,
			struct mh_strbuf *out)
{
	mh_strbuf_addf(out,
		       "{\"first_message_index\":%lld,\"forwarded_count\":%lld,"
		       "\"is_verified\":%s,\"session_data\":",
		       (long long)session->first_message_index,
		       (long long)session->forwarded_count,
		       session->is_verified ? "true" : "false");
	mh_strbuf_addstr(out, session->session_data);
	mh_strbuf_addch(out, '}');
}

/* Sessions come sorted by room: closes one and opens the next. */
static int open_room(struct reading *reading, mh_nid room, struct mh_error *err)
{
	MH_STRBUF(room_id);

	if (reading->room)
		mh_strbuf_addlit(reading->out, "}}");
	reading->room = room;
	if (mh_name_get(reading->db, room, &room_id, err) < 0)
		return -1;
	mh_json_add_key(reading->out, mh_strbuf_str(&room_id));
	mh_strbuf_addlit(reading->out, "{\"sessions\":{");
	return 0;
}

static int read_session(void *context, const struct mh_backup_session *session,
			struct mh_error *err)
{
	struct reading *reading = context;

	reading->n++;
	if (!reading->selection->room_id.len &&
	    session->room != reading->room &&
	    open_room(reading, session->room, err) < 0)
		return -1;
	if (!reading->selection->session.len)
		mh_json_add_key(reading->out, session->session);
	add_session(session, reading->out);
	return 1;
}

/* The room's nid; -1 failed; 0 for all rooms, or for one that never was. */
static mh_nid room_of(struct mh_db *db,
		      const struct mh_backup_selection *selection,
		      struct mh_error *err)
{
	return selection->room_id.len ?
		       mh_name_find(db, selection->room_id, err) :
		       0;
}

static struct mh_str session_of(const struct mh_backup_selection *selection)
{
	return selection->session.len ? selection->session : MH_STR_NONE;
}

int mh_backup_read(struct mh_db *db, mh_nid user,
		   const struct mh_backup_selection *selection,
		   struct mh_strbuf *reply, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct reading reading = { .db = db,
				   .selection = selection,
				   .out = reply };
	bool one = selection->session.len, room = selection->room_id.len;
	mh_nid nid = room_of(db, selection, err);
	struct mh_backup backup;

	if (nid < 0 || find(db, user, selection->version, &arena, &backup,
			    err) < 0)
		return -1;
	if (!one && room)
		mh_strbuf_addlit(reply, "{\"sessions\":{");
	else if (!room)
		mh_strbuf_addlit(reply, "{\"rooms\":{");
	if ((nid || !room) &&
	    mh_backup_session_each(db, user, selection->version, nid,
				   session_of(selection), read_session,
				   &reading, err) < 0)
		return -1;
	if (one && !reading.n)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such key");
	if (reading.room)
		mh_strbuf_addlit(reply, "}}");
	if (!one)
		mh_strbuf_addlit(reply, "}}");
	return 0;
}

/* --- writing keys ----------------------------------------------------------------- */

struct writing {
	struct mh_tx *tx;
	mh_nid user;
	int64_t version;
	bool changed;
};

static int need_index(const json_t *key, const char *name, int64_t *ret,
		      struct mh_error *err)
{
	int rc = mh_json_get_int(key, name, ret, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || *ret < 0)
		return mh_fail(err, rc ? MH_M_BAD_JSON : MH_M_MISSING_PARAM,
			       "'%s' must be a number from 0", name);
	return 0;
}

static int write_session(struct writing *writing, struct mh_str room_id,
			 struct mh_str id, const json_t *key,
			 struct mh_error *err)
{
	struct mh_backup_session session = { .session = id };
	MH_STRBUF(text);
	json_t *data;
	int rc;

	if (!mh_room_id_valid(room_id))
		return mh_fail(err, MH_M_INVALID_PARAM, "not a room ID");
	if (id.len > MH_ID_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a session ID has at most %d bytes", MH_ID_MAX);
	if (!json_is_object(key))
		return mh_fail(err, MH_M_BAD_JSON, "a key must be an object");
	rc = mh_json_get_bool(key, "is_verified", &session.is_verified, err);
	if (rc < 0 ||
	    need_index(key, "first_message_index",
		       &session.first_message_index, err) < 0 ||
	    need_index(key, "forwarded_count", &session.forwarded_count, err) <
		    0 ||
	    mh_json_need_object(key, "session_data", &data, err) < 0 ||
	    mh_canonical_json_value(data, MH_JSON_TOLERANT, &text, err) < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "'is_verified' is missing");
	if (text.len > MH_BACKUP_SESSION_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "a key is over %d bytes",
			       MH_BACKUP_SESSION_SIZE);
	session.session_data = mh_strbuf_str(&text);
	session.room = mh_name_intern(writing->tx, room_id, err);
	if (session.room < 0)
		return -1;
	rc = mh_backup_session_put(writing->tx, writing->user,
				   writing->version, &session, err);
	writing->changed = writing->changed || rc > 0;
	return rc < 0 ? -1 : 0;
}

static int write_room(struct writing *writing, struct mh_str room_id,
		      const json_t *body, struct mh_error *err)
{
	json_t *sessions, *key;
	const char *id;

	if (mh_json_need_object(body, "sessions", &sessions, err) < 0)
		return -1;
	json_object_foreach (sessions, id, key)
		if (write_session(writing, room_id, mh_str(id), key, err) < 0)
			return -1;
	return 0;
}

static int write_rooms(struct writing *writing, const json_t *body,
		       struct mh_error *err)
{
	const char *room_id;
	json_t *rooms, *room;

	if (mh_json_need_object(body, "rooms", &rooms, err) < 0)
		return -1;
	json_object_foreach (rooms, room_id, room)
		if (write_room(writing, mh_str(room_id), room, err) < 0)
			return -1;
	return 0;
}

/* Etag and count, after the etag has grown if keys changed. */
static int reply_state(struct mh_tx *tx, mh_nid user, int64_t version,
		       bool changed, struct mh_strbuf *reply,
		       struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_backup backup;

	if ((changed && mh_backup_touch(tx, user, version, err) < 0) ||
	    find(mh_tx_db(tx), user, version, &arena, &backup, err) < 0)
		return -1;
	mh_strbuf_addch(reply, '{');
	add_state(&backup, reply);
	mh_strbuf_addch(reply, '}');
	return 0;
}

static int check_latest(struct mh_db *db, mh_nid user, int64_t version,
			struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_backup latest;

	if (find(db, user, 0, &arena, &latest, err) < 0)
		return -1;
	if (latest.version == version)
		return 0;
	mh_fail(err, MH_M_WRONG_ROOM_KEYS_VERSION,
		"the backup's version is not the current one");
	mh_strbuf_addf(&err->extra, "\"current_version\":\"%lld\"",
		       (long long)latest.version);
	return -1;
}

int mh_backup_write(struct mh_tx *tx, mh_nid user,
		    const struct mh_backup_selection *selection,
		    const json_t *body, struct mh_strbuf *reply,
		    struct mh_error *err)
{
	struct writing writing = { .tx = tx,
				   .user = user,
				   .version = selection->version };
	int rc = check_latest(mh_tx_db(tx), user, selection->version, err);

	if (rc == 0 && selection->session.len)
		rc = write_session(&writing, selection->room_id,
				   selection->session, body, err);
	else if (rc == 0 && selection->room_id.len)
		rc = write_room(&writing, selection->room_id, body, err);
	else if (rc == 0)
		rc = write_rooms(&writing, body, err);
	if (rc < 0)
		return -1;
	return reply_state(tx, user, selection->version, writing.changed,
			   reply, err);
}

int mh_backup_erase(struct mh_tx *tx, mh_nid user,
		    const struct mh_backup_selection *selection,
		    struct mh_strbuf *reply, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_db *db = mh_tx_db(tx);
	mh_nid room = room_of(db, selection, err);
	struct mh_backup backup;
	int64_t n = 0;

	if (room < 0 || find(db, user, selection->version, &arena, &backup,
			     err) < 0)
		return -1;
	if (room || !selection->room_id.len)
		n = mh_backup_session_delete(tx, user, selection->version, room,
					     session_of(selection), err);
	if (n < 0)
		return -1;
	return reply_state(tx, user, selection->version, n > 0, reply, err);
}
