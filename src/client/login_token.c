/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "service/uia.h"
#include "store/short_tokens.h"

#define TOKEN_LETTERS 43

static int store_token(struct mh_tx *tx, struct mh_request *req,
		       void *arg MH_UNUSED, struct mh_error *err)
{
	struct mh_server *server = req->server;
	int64_t lifetime = server->settings->auth.login_token_lifetime;
	int64_t now = mh_clock_wall(server->clock);
	char token[TOKEN_LETTERS + 1];
	MH_STRBUF(body);

	mh_random_letters(server->random, token, TOKEN_LETTERS);
	if (mh_short_token_add(tx, "login", mh_str(token), req->who.user,
			       now + lifetime, now, err) < 0)
		return -1;
	mh_strbuf_addf(&body, "{\"expires_in_ms\":%lld,\"login_token\":\"%s\"}",
		       (long long)lifetime, token);
	return mh_reply_buf(req, &body);
}

static int authenticated(struct mh_request *req,
			 const struct mh_uia_done *done MH_UNUSED,
			 struct mh_error *err MH_UNUSED)
{
	return mh_request_write(req, store_token, NULL);
}

int client_generate_login_token(struct mh_request *req, struct mh_error *err)
{
	return mh_uia_require(req, MH_UIA_ACCOUNT, authenticated, err);
}
