/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

int client_leave_room(struct mh_request *req, struct mh_error *err)
{
	struct mh_member_change *change;
	mh_nid room;

	if (mh_client_known_room(req, 0, &room, err) < 0 ||
	    mh_client_member_change(req, MH_MEMBER_LEAVE, room, &change, err) <
		    0)
		return -1;
	return mh_client_change_member(req, change, false);
}

static int forget(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	const mh_nid *room = arg;

	if (mh_room_forget(req->server, tx, *room, req->who.user, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_forget_room(struct mh_request *req, struct mh_error *err)
{
	mh_nid *room = MH_ARENA_NEW(&req->arena, mh_nid);

	if (mh_client_known_room(req, 0, room, err) < 0)
		return -1;
	return mh_request_write(req, forget, room);
}
