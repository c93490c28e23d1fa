/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"

int check_own_user(const struct mh_request *req, size_t n, struct mh_error *err)
{
	if (!mh_str_eq(mh_request_param(req, n), req->who.user_id))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "the user ID in the path is not your own");
	return 0;
}
