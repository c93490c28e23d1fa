/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client-server API: a handler for each operation of routes.def. A handler
 * is a screenful: take the path's parts as typed identifiers, check the body,
 * call one service, reply (http/request.h).
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

/*
 * The router of a node: its operations, and how their users are authenticated.
 * The daemon and the tests make theirs here, so that both serve the same.
 */
struct mh_router *mh_client_router_new(struct mh_server *server);

#define MH_ROUTE(method, path, auth, rate, flags, handler)                     \
	int handler(struct mh_request *req, struct mh_error *err);
#include "client/routes.def"
#undef MH_ROUTE
