/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "service/keys.h"
#include "service/uia.h"

static int upload(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	if (mh_cross_signing_upload(req->server, tx, &req->who, arg, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int authenticated(struct mh_request *req,
			 const struct mh_uia_done *done MH_UNUSED,
			 struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, upload, body);
}

int client_upload_cross_signing_keys(struct mh_request *req,
				     struct mh_error *err)
{
	json_t *body;
	int needs;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	needs = mh_cross_signing_needs_auth(mh_request_db(req), req->who.user,
					    body, err);
	if (needs < 0)
		return -1;
	if (needs)
		return mh_uia_require(req, MH_UIA_ACCOUNT, authenticated, err);
	return mh_request_write(req, upload, body);
}
