/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

int client_invite_user(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	/* third_party_membership: the same path with a medium and an address. */
	if (!json_object_get(body, "user_id") &&
	    json_object_get(body, "medium"))
		return mh_fail(err, MH_M_SERVER_NOT_TRUSTED,
			       "this server asks no identity servers; invite by "
			       "user ID");
	return mh_client_change_other(req, MH_MEMBER_INVITE, err);
}
