/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/messages.h"

static int read_direction(struct mh_request *req, bool *backwards,
			  struct mh_error *err)
{
	struct mh_str dir;

	if (!mh_request_query(req, "dir", &dir))
		return mh_fail(err, MH_M_MISSING_PARAM, "'dir' is missing");
	*backwards = mh_str_is(dir, "b");
	if (!*backwards && !mh_str_is(dir, "f"))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'dir' must be b or f");
	return 0;
}

/* The filter and the limit, of which the smaller one counts. */
static int read_filter(struct mh_request *req, struct mh_event_filter *filter,
		       size_t *limit, struct mh_error *err)
{
	struct mh_str json;
	int64_t asked;
	int rc;

	if (mh_request_query(req, "filter", &json) &&
	    mh_event_filter_parse(json, &req->arena, filter, err) < 0)
		return -1;
	*limit = mh_event_filter_limit(filter, MH_MESSAGES_DEFAULT,
				       MH_MESSAGES_MAX);
	rc = mh_request_query_int(req, "limit", &asked, err);
	if (rc <= 0)
		return rc;
	if (asked < 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'limit' must be a number from 0");
	if (!filter->has_limit || (size_t)asked < *limit)
		*limit = asked > MH_MESSAGES_MAX ? MH_MESSAGES_MAX :
						   (size_t)asked;
	return 0;
}

int client_get_room_events(struct mh_request *req, struct mh_error *err)
{
	struct mh_event_filter filter = { 0 };
	struct mh_messages_query query = { .who = &req->who,
					   .filter = &filter };
	MH_STRBUF(reply);

	if (read_direction(req, &query.backwards, err) < 0 ||
	    read_filter(req, &filter, &query.limit, err) < 0)
		return -1;
	mh_request_query(req, "from", &query.from);
	mh_request_query(req, "to", &query.to);
	MH_SNAPSHOT(db, mh_request_db(req));
	if (mh_client_room(req, 0, &query.room, err) < 0 ||
	    mh_messages_page(req->server, db, &query, &req->arena, &reply,
			     err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}
