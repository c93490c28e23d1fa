/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"
#include "store/short_tokens.h"

#define TOKEN_LETTERS 43
#define LIFETIME_MS (3600 * 1000)

static int store_token(struct mh_tx *tx, struct mh_request *req,
		       void *arg MH_UNUSED, struct mh_error *err)
{
	struct mh_server *server = req->server;
	int64_t now = mh_clock_wall(server->clock);
	char token[TOKEN_LETTERS + 1];
	MH_STRBUF(body);

	mh_random_letters(server->random, token, TOKEN_LETTERS);
	if (mh_short_token_add(tx, "openid", mh_str(token), req->who.user,
			       now + LIFETIME_MS, now, err) < 0)
		return -1;
	mh_strbuf_addf(&body,
		       "{\"access_token\":\"%s\",\"expires_in\":%d,"
		       "\"token_type\":\"Bearer\",\"matrix_server_name\":",
		       token, LIFETIME_MS / 1000);
	mh_json_add_str(&body, server->name);
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

int client_request_open_id_token(struct mh_request *req, struct mh_error *err)
{
	if (check_own_user(req, 0, err) < 0)
		return -1;
	return mh_request_write(req, store_token, NULL);
}
