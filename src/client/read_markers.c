/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/presence.h"
#include "service/receipts.h"

struct markers {
	mh_nid room;
	struct mh_str fully_read, read, read_private; /* data NULL: not given */
};

static int set_receipt(struct mh_tx *tx, struct mh_request *req,
		       const struct markers *markers, struct mh_str event_id,
		       bool is_private, struct mh_error *err)
{
	const struct mh_receipt_request request = {
		.room = markers->room,
		.user = req->who.user,
		.is_private = is_private,
		.event_id = event_id,
	};

	if (!event_id.data)
		return 0;
	return mh_receipt_set(req->server, tx, &request, err);
}

static int set(struct mh_tx *tx, struct mh_request *req, void *arg,
	       struct mh_error *err)
{
	const struct markers *markers = arg;

	if (mh_room_need_joined(mh_tx_db(tx), markers->room, req->who.user,
				err) < 0)
		return -1;
	if (markers->fully_read.data &&
	    mh_read_marker_set(req->server, tx, markers->room, req->who.user,
			       markers->fully_read, err) < 0)
		return -1;
	if (set_receipt(tx, req, markers, markers->read, false, err) < 0 ||
	    set_receipt(tx, req, markers, markers->read_private, true, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_set_read_marker(struct mh_request *req, struct mh_error *err)
{
	struct markers *markers = MH_ARENA_NEW(&req->arena, struct markers);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_str(body, "m.fully_read", &markers->fully_read, err) <
		    0 ||
	    mh_json_get_str(body, "m.read", &markers->read, err) < 0 ||
	    mh_json_get_str(body, "m.read.private", &markers->read_private,
			    err) < 0 ||
	    mh_client_room(req, 0, &markers->room, err) < 0)
		return -1;
	mh_presence_active(req->server, req->who.user);
	return mh_request_write(req, set, markers);
}
