/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "core/room_version.h"

static void add_room_versions(struct mh_strbuf *body, const char *version)
{
	const struct mh_room_rules *rules;

	mh_strbuf_addlit(body, "\"m.room_versions\":{\"default\":");
	mh_json_add_str(body, mh_str(version));
	mh_strbuf_addlit(body, ",\"available\":{");
	for (size_t i = 0; (rules = mh_room_rules_at(i)); i++) {
		mh_json_add_key(body, mh_str(rules->version));
		mh_strbuf_addlit(body, "\"stable\"");
	}
	mh_strbuf_addlit(body, "}}");
}

int client_get_capabilities(struct mh_request *req,
			    struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"capabilities\":{");
	add_room_versions(&body, req->server->settings->rooms.default_version);
	mh_strbuf_addlit(&body, ",\"m.change_password\":{\"enabled\":true}"
				",\"m.set_displayname\":{\"enabled\":true}"
				",\"m.set_avatar_url\":{\"enabled\":true}"
				",\"m.profile_fields\":{\"enabled\":true}"
				",\"m.get_login_token\":{\"enabled\":true}"
				",\"m.3pid_changes\":{\"enabled\":false}}}");
	return mh_reply_buf(req, &body);
}
