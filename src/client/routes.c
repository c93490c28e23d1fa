/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "http/router.h"
#include "service/sessions.h"

static const struct mh_route routes[] = {
#define MH_ROUTE(method, path, auth, rate, flags, handler)                     \
	{ MH_METHOD_##method, path, auth, rate, flags, handler },
#include "client/routes.def"
#undef MH_ROUTE
};

struct mh_router *mh_client_router_new(struct mh_server *server)
{
	static const struct mh_router_auth auth = {
		.user = mh_sessions_authenticate,
	};
	struct mh_router *router = mh_router_new(server);

	mh_router_set_auth(router, &auth);
	mh_router_add(router, routes, MH_ARRAY_LEN(routes));
	return router;
}
