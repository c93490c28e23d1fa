/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"

int client_ban(struct mh_request *req, struct mh_error *err)
{
	return mh_client_change_other(req, MH_MEMBER_BAN, err);
}

int client_unban(struct mh_request *req, struct mh_error *err)
{
	return mh_client_change_other(req, MH_MEMBER_UNBAN, err);
}
