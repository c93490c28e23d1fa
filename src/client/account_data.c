/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"

#include "core/canonical_json.h"
#include "core/ids.h"
#include "service/account_data.h"

struct data {
	struct mh_str room_id; /* empty: global */
	struct mh_str type;
	struct mh_str content;
};

/* Types that have endpoints of their own, which keep them consistent. */
static int check_type(struct mh_str type, struct mh_error *err)
{
	static const char *const kept[] = { "m.fully_read", "m.push_rules" };

	for (size_t i = 0; i < MH_ARRAY_LEN(kept); i++)
		if (mh_str_is(type, kept[i]))
			return mh_fail_status(err, 405, MH_M_BAD_JSON,
					      "'%s' cannot be set through "
					      "account data",
					      kept[i]);
	return 0;
}

static int check_room_id(struct mh_str room_id, struct mh_error *err)
{
	if (!mh_room_id_valid(room_id))
		return mh_fail(err, MH_M_INVALID_PARAM, "not a room ID");
	return 0;
}

static int set(struct mh_tx *tx, struct mh_request *req, void *arg,
	       struct mh_error *err)
{
	const struct data *data = arg;
	mh_nid room = 0;

	if (data->room_id.len)
		room = mh_name_intern(tx, data->room_id, err);
	if (room < 0 || mh_account_data_put(req->server, tx, req->who.user,
					    room, data->type, data->content,
					    err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int set_data(struct mh_request *req, struct mh_str room_id,
		    struct mh_str type, struct mh_error *err)
{
	struct data *data = MH_ARENA_NEW(&req->arena, struct data);
	MH_STRBUF(content);
	json_t *body;

	if (check_own_user(req, 0, err) < 0 || check_type(type, err) < 0 ||
	    mh_request_json(req, &body, err) < 0 ||
	    mh_canonical_json(req->body, MH_JSON_TOLERANT, &content, err) < 0)
		return -1;
	data->room_id = room_id;
	data->type = type;
	data->content = mh_arena_str(&req->arena, mh_strbuf_str(&content));
	return mh_request_write(req, set, data);
}

static int get_data(struct mh_request *req, struct mh_str room_id,
		    struct mh_str type, struct mh_error *err)
{
	struct mh_db *db = mh_request_db(req);
	mh_nid room = 0;
	MH_STRBUF(content);
	int rc;

	if (check_own_user(req, 0, err) < 0)
		return -1;
	if (room_id.len)
		room = mh_name_find(db, room_id, err);
	if (room < 0)
		return -1;
	/* A room ID that was never stored has no account data either. */
	rc = room_id.len && room == 0 ?
		     0 :
		     mh_account_data_get(db, req->who.user, room, type,
					 &content, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "there is no such account data");
	return mh_reply_buf(req, &content);
}

int client_set_account_data(struct mh_request *req, struct mh_error *err)
{
	return set_data(req, MH_STR_NONE, mh_request_param(req, 1), err);
}

int client_get_account_data(struct mh_request *req, struct mh_error *err)
{
	return get_data(req, MH_STR_NONE, mh_request_param(req, 1), err);
}

int client_set_account_data_per_room(struct mh_request *req,
				     struct mh_error *err)
{
	if (check_room_id(mh_request_param(req, 1), err) < 0)
		return -1;
	return set_data(req, mh_request_param(req, 1),
			mh_request_param(req, 2), err);
}

int client_get_account_data_per_room(struct mh_request *req,
				     struct mh_error *err)
{
	if (check_room_id(mh_request_param(req, 1), err) < 0)
		return -1;
	return get_data(req, mh_request_param(req, 1),
			mh_request_param(req, 2), err);
}
