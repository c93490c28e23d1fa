/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-interactive authentication (client-server API, "User-Interactive
 * Authentication API"). A handler asks for it and goes on in another function:
 *
 *	int client_delete_device(struct mh_request *req, struct mh_error *err)
 *	{
 *		return mh_uia_require(req, MH_UIA_ACCOUNT, delete_device, err);
 *	}
 *
 * An attempt is bound to what is asked: the route, its parameters, who asks,
 * and the body without `auth`. (To /register it is bound by the route alone:
 * clients ask for the flows before the person has chosen a name.) It can be
 * completed once, expires, and the oldest is forgotten when there are too
 * many. Attempts are in memory: after a restart the client is asked again.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

enum mh_uia_kind {
	MH_UIA_ACCOUNT,	 /* the password of the requester */
	MH_UIA_REGISTER, /* as [registration] says */
};

struct mh_uia_done {
	struct mh_str registration_token; /* data NULL: none was asked for */
};

struct mh_uia *mh_uia_new(struct mh_server *server);
void mh_uia_free(struct mh_uia *uia);

/*
 * In a handler, on a worker: calls `then`, as a handler and with `done` in the
 * request's arena, when the request is authenticated. Otherwise -1 with the 401
 * that says what is missing, M_FORBIDDEN when registration is closed, or
 * M_LIMIT_EXCEEDED.
 */
int mh_uia_require(struct mh_request *req, enum mh_uia_kind kind,
		   int (*then)(struct mh_request *req,
			       const struct mh_uia_done *done,
			       struct mh_error *err),
		   struct mh_error *err);
