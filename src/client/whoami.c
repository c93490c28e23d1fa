/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

int client_get_token_owner(struct mh_request *req,
			   struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"user_id\":");
	mh_json_add_str(&body, req->who.user_id);
	if (req->who.device_id.len) {
		mh_strbuf_addlit(&body, ",\"device_id\":");
		mh_json_add_str(&body, req->who.device_id);
	}
	mh_strbuf_addf(&body, ",\"is_guest\":%s}",
		       req->who.is_guest ? "true" : "false");
	return mh_reply_buf(req, &body);
}
