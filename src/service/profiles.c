/* SPDX-License-Identifier: Apache-2.0 */
#include "service/profiles.h"

#include "base/log.h"
#include "core/canonical_json.h"
#include "service/member_content.h"
#include "service/rooms.h"

#include <stdlib.h>

#define FIELD_MAX 255 /* bytes */

/* --- membership events ---------------------------------------------------- */

/* Frees itself after the last room. */
struct spread {
	struct mh_write_job job;
	struct mh_server *server;
	char *user_id;
	mh_nid user;
	mh_nid *rooms;
	size_t n_rooms, at;
};

static void spread_free(struct spread *spread)
{
	free(spread->user_id);
	free(spread->rooms);
	free(spread);
}

/* Sends the membership again if its profile is not the current one. */
static int spread_run(struct mh_write_job *job, struct mh_tx *tx,
		      struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *before = NULL;
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	MH_CLEANUP(mh_event_row_release) struct mh_event_row sent = { 0 };
	struct spread *spread = MH_CONTAINER_OF(job, struct spread, job);
	struct mh_new_event draft = {
		.room = spread->rooms[spread->at],
		.sender = mh_str(spread->user_id),
		.type = MH_STR("m.room.member"),
		.state_key = mh_str(spread->user_id),
	};
	MH_STRBUF(text);
	int rc = mh_state_current_get(mh_tx_db(tx), draft.room,
				      "m.room.member", draft.state_key, &row,
				      err);

	if (rc <= 0)
		return rc;
	if (!mh_str_is(row.event->membership, "join"))
		return 0; /* left meanwhile */
	if (mh_json_parse_object(row.event->content, &before, err) < 0)
		return -1;
	content = json_deep_copy(before);
	if (mh_member_add_profile(spread->server, mh_tx_db(tx), draft.sender,
				  content, err) < 0)
		return -1;
	if (json_equal(before, content))
		return 0;
	/* These were about how the person came. */
	json_object_del(content, "reason");
	json_object_del(content, "join_authorised_via_users_server");
	mh_json_add(&text, content);
	draft.content = mh_strbuf_str(&text);
	return mh_room_send(spread->server, tx, &draft, &sent, err);
}

static void spread_done(struct mh_write_job *job, struct mh_error *err)
{
	struct spread *spread = MH_CONTAINER_OF(job, struct spread, job);

	if (err)
		mh_log_warn("profile", "the profile of '%s' is not in one of "
				       "its rooms: %s",
			    spread->user_id, err->message);
	if (++spread->at < spread->n_rooms)
		mh_store_write(spread->server->store, &spread->job);
	else
		spread_free(spread);
}

static int add_room(void *context, const struct mh_member *member)
{
	struct spread *spread = context;

	if (member->membership != MH_MEMBERSHIP_JOIN)
		return 1;
	spread->rooms = mh_realloc_array(spread->rooms, spread->n_rooms + 1,
					 sizeof(*spread->rooms));
	spread->rooms[spread->n_rooms++] = member->room;
	return 1;
}

static void spread_start(void *context)
{
	struct spread *spread = context;

	if (spread->n_rooms)
		mh_store_write(spread->server->store, &spread->job);
	else
		spread_free(spread);
}

static void spread_drop(void *context)
{
	spread_free(context);
}

static int spread_later(struct mh_server *server, struct mh_tx *tx,
			struct mh_str user_id, mh_nid user,
			struct mh_error *err)
{
	struct spread *spread = MH_NEW(struct spread);

	spread->server = server;
	spread->user_id = mh_str_dup(user_id);
	spread->user = user;
	spread->job.run = spread_run;
	spread->job.done = spread_done;
	if (mh_member_rooms(mh_tx_db(tx), user, add_room, spread, err) < 0) {
		spread_free(spread);
		return -1;
	}
	mh_tx_after(tx, spread_start, spread_drop, spread);
	return 0;
}

/* --- changes --------------------------------------------------------------- */

/* "Common Namespaced Identifier Grammar" (appendices). */
static int check_field(struct mh_str field, struct mh_error *err)
{
	bool good = field.len && field.data[0] >= 'a' && field.data[0] <= 'z';

	if (field.len > FIELD_MAX)
		return mh_fail(err, MH_M_KEY_TOO_LARGE,
			       "the name of a profile field has %d bytes at "
			       "most",
			       FIELD_MAX);
	for (size_t i = 0; good && i < field.len; i++) {
		char c = field.data[i];

		good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		       c == '-' || c == '_' || c == '.';
	}
	if (!good)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the name of a profile field consists of a-z, "
			       "0-9 and -_. and begins with a letter");
	return 0;
}

static bool is_member_field(struct mh_str field)
{
	return mh_str_is(field, "displayname") ||
	       mh_str_is(field, "avatar_url");
}

static int check_value(struct mh_str field, const json_t *value,
		       struct mh_error *err)
{
	if ((is_member_field(field) || mh_str_is(field, "m.tz")) &&
	    !json_is_string(value))
		return mh_fail(err, MH_M_BAD_JSON, "'%.*s' must be a string",
			       MH_STR_ARG(field));
	return 0;
}

static int check_size(struct mh_db *db, mh_nid user, struct mh_error *err)
{
	MH_STRBUF(whole);

	if (mh_profile_json(db, user, &whole, err) < 0)
		return -1;
	if (whole.len > MH_PROFILE_MAX_SIZE)
		return mh_fail(err, MH_M_PROFILE_TOO_LARGE,
			       "a profile has %d bytes at most",
			       MH_PROFILE_MAX_SIZE);
	return 0;
}

int mh_profile_change(struct mh_server *server, struct mh_tx *tx,
		      struct mh_str user_id, struct mh_str field,
		      const json_t *value, struct mh_error *err)
{
	mh_nid user = mh_name_find(mh_tx_db(tx), user_id, err);
	MH_STRBUF(text);

	if (user < 0 || check_field(field, err) < 0)
		return -1;
	/* An empty name or avatar is none. */
	if (is_member_field(field) &&
	    (json_is_null(value) || (json_is_string(value) &&
				     json_string_length(value) == 0)))
		value = NULL;
	if (value) {
		if (check_value(field, value, err) < 0 ||
		    mh_canonical_json_value(value, MH_JSON_TOLERANT, &text,
					    err) < 0 ||
		    mh_profile_set(tx, user, field, mh_strbuf_str(&text), err) <
			    0 ||
		    check_size(mh_tx_db(tx), user, err) < 0)
			return -1;
	} else if (mh_profile_delete(tx, user, field, err) < 0) {
		return -1;
	}
	if (!is_member_field(field))
		return 0;
	return spread_later(server, tx, user_id, user, err);
}
