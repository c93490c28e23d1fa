/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

int mh_client_room(struct mh_request *req, size_t param, mh_nid *ret,
		   struct mh_error *err)
{
	int rc = mh_room_find(mh_request_db(req), mh_request_param(req, param),
			      ret, err);

	if (rc == 0)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	return rc < 0 ? -1 : 0;
}

int mh_client_known_room(struct mh_request *req, size_t param, mh_nid *ret,
			 struct mh_error *err)
{
	int rc = mh_room_find(mh_request_db(req), mh_request_param(req, param),
			      ret, err);

	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "no such room here");
	return rc < 0 ? -1 : 0;
}

struct mh_alias_user mh_client_alias_user(const struct mh_request *req)
{
	return (struct mh_alias_user){
		.user_id = req->who.user_id,
		.user = req->who.user,
		.is_admin = req->who.is_admin,
	};
}

/* --- memberships ---------------------------------------------------------------- */

static int change_member(struct mh_tx *tx, struct mh_request *req, void *arg,
			 struct mh_error *err)
{
	if (mh_room_change_member(req->server, tx, arg, NULL, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int change_member_of_room(struct mh_tx *tx, struct mh_request *req,
				 void *arg, struct mh_error *err)
{
	const struct mh_member_change *change = arg;
	MH_STRBUF(room_id);
	MH_STRBUF(body);

	if (mh_room_change_member(req->server, tx, change, NULL, err) < 0 ||
	    mh_name_get(mh_tx_db(tx), change->room, &room_id, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"room_id\":");
	mh_json_add_str(&body, mh_strbuf_str(&room_id));
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

int mh_client_change_member(struct mh_request *req,
			    struct mh_member_change *change, bool reply_room)
{
	change->sender = req->who.user_id;
	change->sender_is_guest = req->who.is_guest;
	if (!change->target.len)
		change->target = req->who.user_id;
	return mh_request_write(
		req, reply_room ? change_member_of_room : change_member,
		change);
}

int mh_client_member_change(struct mh_request *req,
			    enum mh_member_action action, mh_nid room,
			    struct mh_member_change **ret, struct mh_error *err)
{
	struct mh_member_change *change =
		MH_ARENA_NEW(&req->arena, struct mh_member_change);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_str(body, "reason", &change->reason, err) < 0)
		return -1;
	change->action = action;
	change->room = room;
	*ret = change;
	return 0;
}

int mh_client_change_other(struct mh_request *req, enum mh_member_action action,
			   struct mh_error *err)
{
	struct mh_member_change *change;
	mh_nid room;

	if (mh_client_room(req, 0, &room, err) < 0 ||
	    mh_client_member_change(req, action, room, &change, err) < 0 ||
	    mh_json_need_str(req->json, "user_id", &change->target, err) < 0)
		return -1;
	return mh_client_change_member(req, change, false);
}
