/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "service/keys.h"
#include "service/sync.h"

static int upload(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	MH_STRBUF(reply);

	if (mh_keys_upload(req->server, tx, &req->who, arg, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

int client_upload_keys(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, upload, body);
}

int client_query_keys(struct mh_request *req, struct mh_error *err)
{
	MH_STRBUF(reply);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	MH_SNAPSHOT(db, mh_request_db(req));
	if (mh_keys_query(req->server, db, &req->who, body, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

static int claim(struct mh_tx *tx, struct mh_request *req, void *arg,
		 struct mh_error *err)
{
	MH_STRBUF(reply);

	if (mh_keys_claim(req->server, tx, arg, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

int client_claim_keys(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, claim, body);
}

static int upload_signatures(struct mh_tx *tx, struct mh_request *req,
			     void *arg, struct mh_error *err)
{
	MH_STRBUF(reply);

	if (mh_signatures_upload(req->server, tx, &req->who, arg, &reply,
				 err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

int client_upload_cross_signing_signatures(struct mh_request *req,
					   struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, upload_signatures, body);
}

static int change_token(struct mh_request *req, const char *name,
			struct mh_sync_token *ret, struct mh_error *err)
{
	struct mh_str text;

	if (!mh_request_query(req, name, &text))
		return mh_fail(err, MH_M_MISSING_PARAM, "'%s' is missing",
			       name);
	return mh_sync_token_parse(req->server, text, ret, err);
}

int client_get_keys_changes(struct mh_request *req, struct mh_error *err)
{
	struct mh_sync_token from, to;
	MH_STRBUF(reply);

	if (change_token(req, "from", &from, err) < 0 ||
	    change_token(req, "to", &to, err) < 0)
		return -1;
	MH_SNAPSHOT(db, mh_request_db(req));
	if (mh_keys_sync_lists(db, &req->who, from.pos, to.pos, &reply, err) <
	    0)
		return -1;
	return mh_reply_buf(req, &reply);
}
