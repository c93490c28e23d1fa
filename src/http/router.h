/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: one row an operation of the spec. The router splits the raw target,
 * decodes each segment with its length (so that %2F and %00 are ordinary bytes
 * of a parameter), finds the row, answers OPTIONS and CORS, authenticates,
 * applies rate limits and bounds, and calls the handler on a worker.
 *
 *	{ MH_METHOD_PUT, "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}",
 *	  MH_AUTH_USER, MH_RATE_MESSAGE, MH_WORKER, client_send_message },
 *
 * An unknown path: 404 M_UNRECOGNIZED; a known path with another method: 405
 * M_UNRECOGNIZED. `/_matrix/client/r0/` is served as v3. HEAD is served as GET.
 *
 * A literal segment is preferred to a {parameter}. A parameter matches an empty
 * segment only at the end of the path (".../state/m.room.name/").
 */
#pragma once

#include "http/request.h"
#include "service/rate_limits.h"

enum mh_route_auth {
	MH_AUTH_NONE,
	MH_AUTH_OPTIONAL, /* who.user is 0 without a token */
	MH_AUTH_USER,	  /* a valid access token; guests too */
	MH_AUTH_NO_GUEST, /* a valid access token, not a guest's */
	MH_AUTH_SOFT,	  /* as USER, but an expired token is let through
			   * (logout, refresh) */
	MH_AUTH_SERVER,	  /* X-Matrix: federation/ */
};

enum mh_route_flags {
	MH_WORKER = 0,		   /* the ordinary case */
	MH_INLINE = 1 << 0,	   /* runs on the transport's thread: short,
				    * never waits, no store */
	MH_BODY_OPTIONAL = 1 << 1, /* an empty body counts as {} */
};

struct mh_route {
	enum mh_method method;
	const char *path;
	enum mh_route_auth auth;
	enum mh_rate rate;
	unsigned flags;
	int (*handler)(struct mh_request *req, struct mh_error *err);
};

struct mh_router;

/*
 * How requests are authenticated: filled in by main's wiring, so that http/
 * knows neither sessions nor federation.
 */
struct mh_router_auth {
	/*
	 * The user behind an access token, or M_UNKNOWN_TOKEN and so on. With
	 * `soft` an expired token will do. What it returns lives in the arena.
	 */
	int (*user)(struct mh_server *server, struct mh_str token, bool soft,
		    struct mh_arena *arena, struct mh_requester *ret,
		    struct mh_error *err);
	/* X-Matrix; NULL on a node that does not federate. */
	int (*server)(struct mh_request *req, struct mh_error *err);
};

struct mh_router *mh_router_new(struct mh_server *server);
void mh_router_set_auth(struct mh_router *router,
			const struct mh_router_auth *auth);
/*
 * Back-pressure: while more than this many requests wait for a worker, or jobs
 * for the writer, new ones are turned away with 503. 0 means no bound.
 */
void mh_router_set_bound(struct mh_router *router, size_t waiting);
void mh_router_free(struct mh_router *router);
/* Adds a table of routes (static storage), before serving begins. */
void mh_router_add(struct mh_router *router, const struct mh_route *routes,
		   size_t n);
/*
 * Handles a request that a transport has filled in. Any thread. The reply comes
 * through req->respond, perhaps before this returns.
 */
void mh_router_handle(struct mh_router *router, struct mh_request *req);
/* The routes one by one, for the test that lists what is not served yet; NULL
 * after the last. */
const struct mh_route *mh_router_at(struct mh_router *router, size_t index);
/* True when there is a route for the method and path (as in a row). */
bool mh_router_serves(const struct mh_router *router, enum mh_method method,
		      const char *path);
