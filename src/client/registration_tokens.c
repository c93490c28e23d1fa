/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "store/accounts.h"

int client_registration_token_validity(struct mh_request *req,
				       struct mh_error *err)
{
	struct mh_str token;
	MH_STRBUF(body);
	int valid;

	if (!mh_request_query(req, "token", &token))
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "query parameter 'token' is missing");
	if (req->server->settings->registration.mode != MH_REGISTRATION_TOKEN)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "this node takes no registration tokens");
	valid = mh_registration_token_valid(mh_request_db(req), token,
					    mh_clock_wall(req->server->clock),
					    err);
	if (valid < 0)
		return -1;
	mh_strbuf_addf(&body, "{\"valid\":%s}", valid ? "true" : "false");
	return mh_reply_buf(req, &body);
}
