/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "service/to_device.h"

static int send(struct mh_tx *tx, struct mh_request *req, void *arg,
		struct mh_error *err)
{
	if (mh_to_device_send(req->server, tx, &req->who,
			      mh_request_param(req, 0),
			      mh_request_param(req, 1), arg, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_send_to_device(struct mh_request *req, struct mh_error *err)
{
	json_t *body, *messages;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_object(body, "messages", &messages, err) < 0)
		return -1;
	return mh_request_write(req, send, messages);
}
