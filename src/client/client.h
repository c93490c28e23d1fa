/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client-server API: a handler for each operation of routes.def. A handler
 * is a screenful: take the path's parts as typed identifiers, check the body,
 * call one service, reply (http/request.h).
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

#define MH_ROUTE(method, path, auth, rate, flags, handler)                     \
	int handler(struct mh_request *req, struct mh_error *err);
#include "client/routes.def"
#undef MH_ROUTE
