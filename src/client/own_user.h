/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that begin with /user/{userId}: only one's own. */
#pragma once

#include "client/client.h"

/* M_FORBIDDEN unless the n-th parameter is the user ID of who asks. */
int check_own_user(const struct mh_request *req, size_t n,
		   struct mh_error *err);
