/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

int client_get_wellknown(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	struct mh_server *server = req->server;
	struct mh_str url = mh_str(server->settings->server.public_url);
	MH_STRBUF(body);

	if (url.len == 0)
		url = mh_arena_printf(&req->arena, "https://%.*s",
				      MH_STR_ARG(server->name));
	mh_strbuf_addlit(&body, "{\"m.homeserver\":{\"base_url\":");
	mh_json_add_str(&body, url);
	mh_strbuf_addlit(&body, "}}");
	return mh_reply_buf(req, &body);
}
