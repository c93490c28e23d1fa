/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "service/sessions.h"

static int refresh(struct mh_tx *tx, struct mh_request *req, void *arg,
		   struct mh_error *err)
{
	const struct mh_str *token = arg;
	MH_TOKENS(tokens);
	MH_STRBUF(body);
	bool ended;

	if (mh_sessions_refresh(req->server, tx, *token, &tokens, &ended, err) <
	    0)
		return -1;
	if (ended) {
		MH_ERROR(reused);

		/* A reply, not a failure: the end of the session must stay. */
		mh_fail(&reused, MH_M_UNKNOWN_TOKEN,
			"the refresh token was used before");
		mh_strbuf_addlit(&reused.extra, "\"soft_logout\":true");
		mh_reply_error(req, &reused);
		return 0;
	}
	mh_strbuf_addch(&body, '{');
	mh_tokens_json(&tokens, &body);
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

int client_refresh(struct mh_request *req, struct mh_error *err)
{
	struct mh_str *token = MH_ARENA_NEW(&req->arena, struct mh_str);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "refresh_token", token, err) < 0)
		return -1;
	return mh_request_write(req, refresh, token);
}
