/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"
#include "service/presence.h"
#include "store/state.h"

int client_set_presence(struct mh_request *req, struct mh_error *err)
{
	struct mh_str presence, status = MH_STR_NONE;
	enum mh_presence_state state;
	json_t *body;

	if (check_own_user(req, 0, err) < 0 ||
	    mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "presence", &presence, err) < 0 ||
	    mh_json_get_str(body, "status_msg", &status, err) < 0)
		return -1;
	if (!mh_presence_from(presence, &state))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'presence' must be online, unavailable or "
			       "offline");
	if (mh_presence_set(req->server, req->who.user, state, status, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_get_presence(struct mh_request *req, struct mh_error *err)
{
	struct mh_db *db = mh_request_db(req);
	mh_nid user = mh_name_find(db, mh_request_param(req, 0), err);
	MH_STRBUF(body);
	int rc = user == req->who.user;

	if (user < 0)
		return -1;
	if (user && !rc)
		rc = mh_member_share_room(db, req->who.user, user, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "you share no room with that user");
	mh_presence_content(req->server, user, &body);
	return mh_reply_buf(req, &body);
}
