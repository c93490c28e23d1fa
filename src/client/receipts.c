/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/presence.h"
#include "service/receipts.h"

struct receipt {
	struct mh_receipt_request request;
	bool fully_read;
};

static int set(struct mh_tx *tx, struct mh_request *req, void *arg,
	       struct mh_error *err)
{
	const struct receipt *receipt = arg;
	const struct mh_receipt_request *request = &receipt->request;
	int rc;

	if (mh_room_need_joined(mh_tx_db(tx), request->room, request->user,
				err) < 0)
		return -1;
	if (receipt->fully_read)
		rc = mh_read_marker_set(req->server, tx, request->room,
					request->user, request->event_id, err);
	else
		rc = mh_receipt_set(req->server, tx, request, err);
	return rc < 0 ? -1 : mh_reply_empty(req);
}

static int parse_type(struct mh_str type, struct receipt *receipt,
		      struct mh_error *err)
{
	if (mh_str_is(type, "m.fully_read"))
		receipt->fully_read = true;
	else if (mh_str_is(type, "m.read.private"))
		receipt->request.is_private = true;
	else if (!mh_str_is(type, "m.read"))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the receipt type must be m.read, "
			       "m.read.private or m.fully_read");
	return 0;
}

/* The thread's problems are M_INVALID_PARAM, its type included. */
static int parse_thread(const json_t *body, struct receipt *receipt,
			struct mh_error *err)
{
	json_t *thread = json_object_get(body, "thread_id");

	if (!thread)
		return 0;
	receipt->request.thread = mh_json_str(thread);
	if (!json_is_string(thread) || receipt->request.thread.len == 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'thread_id' must be a non-empty string");
	if (receipt->fully_read)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "m.fully_read takes no 'thread_id'");
	return 0;
}

int client_post_receipt(struct mh_request *req, struct mh_error *err)
{
	struct receipt *receipt = MH_ARENA_NEW(&req->arena, struct receipt);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    parse_type(mh_request_param(req, 1), receipt, err) < 0 ||
	    parse_thread(body, receipt, err) < 0 ||
	    mh_client_room(req, 0, &receipt->request.room, err) < 0)
		return -1;
	receipt->request.user = req->who.user;
	receipt->request.event_id = mh_request_param(req, 2);
	mh_presence_active(req->server, req->who.user);
	return mh_request_write(req, set, receipt);
}
