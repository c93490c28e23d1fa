/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "http/router.h"

static const struct mh_route routes[] = {
#define MH_ROUTE(method, path, auth, rate, flags, handler)                     \
	{ MH_METHOD_##method, path, auth, rate, flags, handler },
#include "client/routes.def"
#undef MH_ROUTE
};

void mh_client_routes(struct mh_router *router)
{
	mh_router_add(router, routes, MH_ARRAY_LEN(routes));
}
