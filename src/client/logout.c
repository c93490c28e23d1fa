/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "service/sessions.h"

static int logout(struct mh_tx *tx, struct mh_request *req,
		  void *arg MH_UNUSED, struct mh_error *err)
{
	if (mh_sessions_end_device(req->server, tx, req->who.user,
				   req->who.device, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_logout(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	return mh_request_write(req, logout, NULL);
}

static int logout_all(struct mh_tx *tx, struct mh_request *req,
		      void *arg MH_UNUSED, struct mh_error *err)
{
	if (mh_sessions_end_user(req->server, tx, req->who.user, 0, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_logout_all(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	return mh_request_write(req, logout_all, NULL);
}
