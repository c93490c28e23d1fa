/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials by the "TURN REST API" that coturn and others understand. */
#include "client/client.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

int client_get_turn_server(struct mh_request *req, struct mh_error *err)
{
	struct mh_server *server = req->server;
	const struct mh_setting_list *uris = &server->settings->voip.turn_uris;
	struct mh_str secret =
		mh_str(server->settings->voip.turn_shared_secret);
	int64_t ttl = server->settings->voip.turn_lifetime / 1000;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len;
	MH_STRBUF(username);
	MH_STRBUF(body);

	if (uris->count == 0 || secret.len == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "this node has no TURN server");
	mh_strbuf_addf(&username, "%lld:%.*s",
		       (long long)(mh_clock_wall(server->clock) / 1000 + ttl),
		       MH_STR_ARG(req->who.user_id));
	if (!HMAC(EVP_sha1(), secret.data, (int)secret.len,
		  (const unsigned char *)username.data, username.len, mac,
		  &mac_len))
		return mh_fail_internal(err, "HMAC-SHA1 fails");
	mh_strbuf_addlit(&body, "{\"password\":\"");
	mh_base64_encode(MH_BASE64_STD, mac, mac_len, &body);
	mh_strbuf_addlit(&body, "=\",\"uris\":["); /* 20 bytes: one pad */
	for (size_t i = 0; i < uris->count; i++) {
		mh_json_add_comma(&body);
		mh_json_add_str(&body, mh_str(uris->items[i]));
	}
	mh_strbuf_addf(&body, "],\"ttl\":%lld,\"username\":", (long long)ttl);
	mh_json_add_str(&body, mh_strbuf_str(&username));
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}
