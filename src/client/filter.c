/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"

#include "core/canonical_json.h"
#include "service/account_data.h"

static int store_filter(struct mh_tx *tx, struct mh_request *req, void *arg,
			struct mh_error *err)
{
	const struct mh_str *json = arg;
	int64_t filter = mh_filters_add(tx, req->who.user, *json, err);
	MH_STRBUF(body);

	if (filter < 0)
		return -1;
	mh_strbuf_addf(&body, "{\"filter_id\":\"%lld\"}", (long long)filter);
	return mh_reply_buf(req, &body);
}

int client_define_filter(struct mh_request *req, struct mh_error *err)
{
	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter = NULL;
	struct mh_str *json = MH_ARENA_NEW(&req->arena, struct mh_str);
	MH_STRBUF(text);
	json_t *body;

	if (check_own_user(req, 0, err) < 0 ||
	    mh_request_json(req, &body, err) < 0 ||
	    mh_canonical_json(req->body, MH_JSON_TOLERANT, &text, err) < 0 ||
	    mh_filter_parse(mh_strbuf_str(&text), &filter, err) < 0)
		return -1;
	*json = mh_arena_str(&req->arena, mh_strbuf_str(&text));
	return mh_request_write(req, store_filter, json);
}

int client_get_filter(struct mh_request *req, struct mh_error *err)
{
	int64_t filter;
	MH_STRBUF(body);
	int rc = 0;

	if (check_own_user(req, 0, err) < 0)
		return -1;
	if (mh_str_to_int(mh_request_param(req, 1), &filter))
		rc = mh_filters_get(mh_request_db(req), req->who.user, filter,
				    &body, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such filter");
	return mh_reply_buf(req, &body);
}
