/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"
#include "client/room_params.h"
#include "service/presence.h"
#include "service/typing.h"

int client_set_typing(struct mh_request *req, struct mh_error *err)
{
	int64_t timeout = MH_TYPING_DEFAULT_MS;
	bool typing = false;
	mh_nid room;
	json_t *body;
	int rc;

	if (check_own_user(req, 1, err) < 0 ||
	    mh_request_json(req, &body, err) < 0)
		return -1;
	rc = mh_json_get_bool(body, "typing", &typing, err);
	if (rc == 0)
		return mh_fail(err, MH_M_MISSING_PARAM, "'typing' is missing");
	if (rc < 0 || mh_json_get_int(body, "timeout", &timeout, err) < 0 ||
	    mh_client_room(req, 0, &room, err) < 0 ||
	    mh_room_need_joined(mh_request_db(req), room, req->who.user, err) <
		    0)
		return -1;
	if (!typing || timeout < 0)
		timeout = 0;
	mh_typing_set(req->server, room, req->who.user, req->who.user_id,
		      timeout);
	mh_presence_active(req->server, req->who.user);
	return mh_reply_empty(req);
}
