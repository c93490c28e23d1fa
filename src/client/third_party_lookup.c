/* SPDX-License-Identifier: Apache-2.0 */
/* There are no bridges, so there are no protocols and nothing to find. */
#include "client/client.h"

int client_get_protocols(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	return mh_reply_empty(req);
}

static int unknown(struct mh_error *err)
{
	return mh_fail(err, MH_M_NOT_FOUND,
		       "this node has no bridges to other networks");
}

int client_get_protocol_metadata(struct mh_request *req MH_UNUSED,
				 struct mh_error *err)
{
	return unknown(err);
}

int client_query_location_by_protocol(struct mh_request *req MH_UNUSED,
				      struct mh_error *err)
{
	return unknown(err);
}

int client_query_user_by_protocol(struct mh_request *req MH_UNUSED,
				  struct mh_error *err)
{
	return unknown(err);
}

int client_query_location_by_alias(struct mh_request *req MH_UNUSED,
				   struct mh_error *err)
{
	return unknown(err);
}

int client_query_user_by_id(struct mh_request *req MH_UNUSED,
			    struct mh_error *err)
{
	return unknown(err);
}
