/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

int client_knock_room(struct mh_request *req, struct mh_error *err)
{
	struct mh_member_change *change;
	mh_nid room;

	if (mh_room_resolve(req->server, mh_request_db(req),
			    mh_request_param(req, 0), &room, err) < 0 ||
	    mh_client_member_change(req, MH_MEMBER_KNOCK, room, &change, err) <
		    0)
		return -1;
	return mh_client_change_member(req, change, true);
}
