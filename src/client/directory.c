/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/visibility.h"

struct alias_job {
	struct mh_str alias;
	mh_nid room;
};

static int need_alias(struct mh_str alias, struct mh_error *err)
{
	if (mh_room_alias_valid(alias))
		return 0;
	return mh_fail(err, MH_M_INVALID_PARAM, "'%.*s' is not a room alias",
		       MH_STR_ARG(alias));
}

static int set_alias(struct mh_tx *tx, struct mh_request *req, void *arg,
		     struct mh_error *err)
{
	const struct alias_job *job = arg;
	struct mh_alias_user who = mh_client_alias_user(req);

	if (mh_room_alias_put(req->server, tx, job->alias, job->room, &who,
			      err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_set_room_alias(struct mh_request *req, struct mh_error *err)
{
	struct alias_job *job = MH_ARENA_NEW(&req->arena, struct alias_job);
	struct mh_str room_id;
	json_t *body;
	int rc;

	job->alias = mh_request_param(req, 0);
	if (need_alias(job->alias, err) < 0 ||
	    mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "room_id", &room_id, err) < 0)
		return -1;
	if (!mh_room_id_valid(room_id))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%.*s' is not a room ID", MH_STR_ARG(room_id));
	rc = mh_room_find(mh_request_db(req), room_id, &job->room, err);
	if (rc == 0)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	if (rc < 0)
		return -1;
	return mh_request_write(req, set_alias, job);
}

int client_get_room_id_by_alias(struct mh_request *req, struct mh_error *err)
{
	struct mh_str alias = mh_request_param(req, 0);
	struct mh_db *db = mh_request_db(req);
	MH_STRBUF(room_id);
	MH_STRBUF(body);
	mh_nid room;

	/* Aliases of other servers are found through federation. */
	if (need_alias(alias, err) < 0 ||
	    mh_room_resolve(req->server, db, alias, &room, err) < 0 ||
	    mh_name_get(db, room, &room_id, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"room_id\":");
	mh_json_add_str(&body, mh_strbuf_str(&room_id));
	mh_strbuf_addlit(&body, ",\"servers\":[");
	mh_json_add_str(&body, req->server->name);
	mh_strbuf_addlit(&body, "]}");
	return mh_reply_buf(req, &body);
}

static int delete_alias(struct mh_tx *tx, struct mh_request *req, void *arg,
			struct mh_error *err)
{
	const struct alias_job *job = arg;
	struct mh_alias_user who = mh_client_alias_user(req);

	if (mh_room_alias_delete(req->server, tx, job->alias, &who, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_delete_room_alias(struct mh_request *req, struct mh_error *err)
{
	struct alias_job *job = MH_ARENA_NEW(&req->arena, struct alias_job);

	job->alias = mh_request_param(req, 0);
	if (need_alias(job->alias, err) < 0)
		return -1;
	return mh_request_write(req, delete_alias, job);
}

static int add_alias(void *context, struct mh_str alias)
{
	struct mh_strbuf *body = context;

	mh_json_add_comma(body);
	mh_json_add_str(body, alias);
	return 1;
}

/* Members may ask, and everybody where the history is world readable. */
static int need_sight(struct mh_request *req, struct mh_db *db, mh_nid room,
		      struct mh_error *err)
{
	struct mh_visibility *view = mh_visibility_new(db, &req->arena, room,
						       req->who.user);
	MH_ERROR(refused);
	int world;

	if (mh_room_need_joined(db, room, req->who.user, &refused) == 0)
		return 0;
	world = mh_visibility_world_readable(view, err);
	if (world == 0)
		mh_error_move(err, &refused);
	return world > 0 ? 0 : -1;
}

int client_get_local_aliases(struct mh_request *req, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_STRBUF(body);
	mh_nid room;

	mh_strbuf_addlit(&body, "{\"aliases\":[");
	if (mh_client_room(req, 0, &room, err) < 0 ||
	    need_sight(req, db, room, err) < 0 ||
	    mh_alias_list(db, room, add_alias, &body, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "]}");
	return mh_reply_buf(req, &body);
}
