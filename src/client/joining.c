/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

static int join(struct mh_request *req, mh_nid room, struct mh_error *err)
{
	struct mh_member_change *change;
	json_t *body, *third_party;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	/* Only an identity server could have signed one: there is none. */
	if (mh_json_get_object(body, "third_party_signed", &third_party, err))
		return err->code ?
			       -1 :
			       mh_fail(err, MH_M_FORBIDDEN,
				       "no third-party invite matches");
	if (mh_client_member_change(req, MH_MEMBER_JOIN, room, &change, err) <
	    0)
		return -1;
	return mh_client_change_member(req, change, true);
}

int client_join_room_by_id(struct mh_request *req, struct mh_error *err)
{
	mh_nid room;

	if (mh_client_known_room(req, 0, &room, err) < 0)
		return -1;
	return join(req, room, err);
}

int client_join_room(struct mh_request *req, struct mh_error *err)
{
	mh_nid room;

	if (mh_room_resolve(req->server, mh_request_db(req),
			    mh_request_param(req, 0), &room, err) < 0)
		return -1;
	return join(req, room, err);
}
