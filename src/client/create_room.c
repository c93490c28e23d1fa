/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/room_create.h"

static int create(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	MH_STRBUF(room_id);
	MH_STRBUF(body);
	mh_nid room;

	if (mh_room_create(req->server, tx, arg, &room, err) < 0 ||
	    mh_name_get(mh_tx_db(tx), room, &room_id, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"room_id\":");
	mh_json_add_str(&body, mh_strbuf_str(&room_id));
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

/* --- reading the body ------------------------------------------------------------ */

static int read_version(struct mh_request *req, struct mh_room_spec *spec,
			struct mh_error *err)
{
	struct mh_str version =
		mh_str(req->server->settings->rooms.default_version);

	if (mh_json_get_str(req->json, "room_version", &version, err) < 0)
		return -1;
	spec->rules = mh_room_rules_find(version);
	if (!spec->rules)
		return mh_fail(err, MH_M_UNSUPPORTED_ROOM_VERSION,
			       "room version '%.*s' is not known here",
			       MH_STR_ARG(version));
	return 0;
}

/* Without a preset the visibility decides. */
static int read_visibility(const json_t *body, struct mh_room_spec *spec,
			   struct mh_error *err)
{
	struct mh_str visibility = MH_STR("private"), preset;
	int rc;

	if (mh_json_get_str(body, "visibility", &visibility, err) < 0)
		return -1;
	spec->is_public = mh_str_is(visibility, "public");
	if (!spec->is_public && !mh_str_is(visibility, "private"))
		return mh_fail(err, MH_M_BAD_JSON,
			       "'visibility' must be 'public' or 'private'");
	spec->preset = spec->is_public ? MH_PRESET_PUBLIC : MH_PRESET_PRIVATE;
	rc = mh_json_get_str(body, "preset", &preset, err);
	if (rc <= 0)
		return rc;
	return mh_room_preset_find(preset, &spec->preset, err);
}

static bool is_listed(const struct mh_str *ids, size_t n, struct mh_str id)
{
	for (size_t i = 0; i < n; i++)
		if (mh_str_eq(ids[i], id))
			return true;
	return false;
}

static int read_invites(struct mh_request *req, struct mh_room_spec *spec,
			struct mh_error *err)
{
	json_t *invites = NULL, *by_3pid = NULL;
	struct mh_str *ids;
	const json_t *each;
	size_t i;

	if (mh_json_get_array(req->json, "invite", &invites, err) < 0 ||
	    mh_json_get_array(req->json, "invite_3pid", &by_3pid, err) < 0)
		return -1;
	if (json_array_size(by_3pid))
		return mh_fail(err, MH_M_SERVER_NOT_TRUSTED,
			       "this server asks no identity servers; invite by "
			       "user ID");
	if (json_array_size(invites) > MH_INVITES_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "at most %d people can be invited at once",
			       MH_INVITES_MAX);
	ids = mh_arena_alloc_array(&req->arena, json_array_size(invites) + 1,
				   sizeof(*ids));
	json_array_foreach(invites, i, each) {
		struct mh_str id = mh_json_str(each);

		if (!mh_user_id_valid(id))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "'invite' must hold user IDs");
		if (!is_listed(ids, spec->n_invites, id))
			ids[spec->n_invites++] = id;
	}
	spec->invites = ids;
	return 0;
}

static int read_contents(const json_t *body, struct mh_room_spec *spec,
			 struct mh_error *err)
{
	json_t *creation = NULL, *levels = NULL, *state = NULL;

	if (mh_json_get_object(body, "creation_content", &creation, err) < 0 ||
	    mh_json_get_object(body, "power_level_content_override", &levels,
			       err) < 0 ||
	    mh_json_get_array(body, "initial_state", &state, err) < 0)
		return -1;
	spec->creation_content = creation;
	spec->power_levels = levels;
	spec->initial_state = state;
	return 0;
}

int client_create_room(struct mh_request *req, struct mh_error *err)
{
	struct mh_room_spec *spec =
		MH_ARENA_NEW(&req->arena, struct mh_room_spec);
	json_t *body;

	spec->creator = req->who.user_id;
	if (mh_request_json(req, &body, err) < 0 ||
	    read_version(req, spec, err) < 0 ||
	    read_visibility(body, spec, err) < 0 ||
	    read_invites(req, spec, err) < 0 ||
	    read_contents(body, spec, err) < 0 ||
	    mh_json_get_str(body, "room_alias_name", &spec->alias_name, err) <
		    0 ||
	    mh_json_get_str(body, "name", &spec->name, err) < 0 ||
	    mh_json_get_str(body, "topic", &spec->topic, err) < 0 ||
	    mh_json_get_bool(body, "is_direct", &spec->is_direct, err) < 0)
		return -1;
	return mh_request_write(req, create, spec);
}
