/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "service/uia.h"
#include "service/users.h"

static int deactivate(struct mh_tx *tx, struct mh_request *req,
		      void *arg MH_UNUSED, struct mh_error *err)
{
	MH_STRBUF(body);

	if (mh_user_deactivate(req->server, tx, req->who.user, err) < 0)
		return -1;
	/* The node knows no identity server from which to unbind anything. */
	mh_strbuf_addlit(&body, "{\"id_server_unbind_result\":\"no-support\"}");
	return mh_reply_buf(req, &body);
}

static int authenticated(struct mh_request *req,
			 const struct mh_uia_done *done MH_UNUSED,
			 struct mh_error *err MH_UNUSED)
{
	return mh_request_write(req, deactivate, NULL);
}

int client_deactivate_account(struct mh_request *req, struct mh_error *err)
{
	return mh_uia_require(req, MH_UIA_ACCOUNT, authenticated, err);
}
