/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes are a tree of path segments: a node has literal children, sorted,
 * at most one child for any {parameter}, and one route a method. Looking up
 * tries the literal first and comes back for the parameter, so that the cost is
 * a few comparisons a segment and the order of the rows means nothing.
 *
 * A request goes through here in the transport's thread up to the submission to
 * the workers: nothing on the way reads the store or waits.
 */
#include "http/router.h"

#include "http/uri.h"
#include "service/server.h"
#include "store/store.h"

#include <stdlib.h>

#define MAX_SEGMENTS 16

struct node {
	struct mh_str segment;	/* borrowed from the route's path */
	struct node **children; /* literals, sorted by segment */
	size_t n_children;
	struct node *param;
	const struct mh_route *routes[MH_METHOD_OTHER];
};

struct mh_router {
	struct mh_server *server;
	struct mh_router_auth auth;
	size_t bound;
	struct node root;
	const struct mh_route **rows; /* in order of adding */
	size_t n_rows;
};

struct mh_router *mh_router_new(struct mh_server *server)
{
	struct mh_router *router = MH_NEW(struct mh_router);

	router->server = server;
	return router;
}

static void node_release(struct node *node)
{
	for (size_t i = 0; i < node->n_children; i++) {
		node_release(node->children[i]);
		free(node->children[i]);
	}
	free(node->children);
	if (node->param) {
		node_release(node->param);
		free(node->param);
	}
}

void mh_router_free(struct mh_router *router)
{
	if (!router)
		return;
	node_release(&router->root);
	free(router->rows);
	free(router);
}

void mh_router_set_auth(struct mh_router *router,
			const struct mh_router_auth *auth)
{
	router->auth = *auth;
}

void mh_router_set_bound(struct mh_router *router, size_t waiting)
{
	router->bound = waiting;
}

/* --- the tree ----------------------------------------------------------- */

/* Where `segment` is among the children, or would be. */
static size_t child_position(const struct node *node, struct mh_str segment,
			     bool *ret_found)
{
	size_t low = 0, high = node->n_children;

	*ret_found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order =
			mh_str_cmp(node->children[middle]->segment, segment);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct node *add_child(struct node *node, struct mh_str segment)
{
	bool found;
	size_t at;

	if (segment.len > 0 && segment.data[0] == '{') {
		if (!node->param)
			node->param = MH_NEW(struct node);
		return node->param;
	}
	at = child_position(node, segment, &found);
	if (found)
		return node->children[at];
	node->children = mh_realloc_array(node->children, node->n_children + 1,
					  sizeof(*node->children));
	memmove(&node->children[at + 1], &node->children[at],
		(node->n_children - at) * sizeof(*node->children));
	node->n_children++;
	node->children[at] = MH_NEW(struct node);
	node->children[at]->segment = segment;
	return node->children[at];
}

/* Takes the segment after the leading '/' off `path`. */
static bool next_segment(struct mh_str *path, struct mh_str *ret)
{
	struct mh_str rest;
	ptrdiff_t at;

	if (path->len == 0 || path->data[0] != '/')
		return false;
	rest = mh_str_n(path->data + 1, path->len - 1);
	at = mh_str_find(rest, '/');
	*ret = at < 0 ? rest : mh_str_first(rest, (size_t)at);
	*path = at < 0 ? MH_STR_NONE : mh_str_from(rest, (size_t)at);
	return true;
}

void mh_router_add(struct mh_router *router, const struct mh_route *routes,
		   size_t n)
{
	router->rows = mh_realloc_array(router->rows, router->n_rows + n,
					sizeof(struct mh_route *));
	for (size_t i = 0; i < n; i++) {
		struct mh_str path = mh_str(routes[i].path);
		struct node *node = &router->root;
		struct mh_str segment;

		while (next_segment(&path, &segment))
			node = add_child(node, segment);
		MH_ASSERT(routes[i].method < MH_METHOD_OTHER);
		MH_ASSERT(!node->routes[routes[i].method]);
		node->routes[routes[i].method] = &routes[i];
		router->rows[router->n_rows++] = &routes[i];
	}
}

const struct mh_route *mh_router_at(struct mh_router *router, size_t index)
{
	return index < router->n_rows ? router->rows[index] : NULL;
}

bool mh_router_serves(const struct mh_router *router, enum mh_method method,
		      const char *path)
{
	struct mh_str rest = mh_str(path);
	const struct node *node = &router->root;
	struct mh_str segment;

	while (node && next_segment(&rest, &segment)) {
		bool found;
		size_t at = child_position(node, segment, &found);

		if (segment.len > 0 && segment.data[0] == '{')
			node = node->param;
		else
			node = found ? node->children[at] : NULL;
	}
	return node && node->routes[method];
}

/* --- finding the route -------------------------------------------------- */

struct lookup {
	struct mh_str segments[MAX_SEGMENTS]; /* decoded */
	size_t n_segments;
	enum mh_method method;
	const struct mh_route *route;
	size_t params[MH_MAX_PARAMS]; /* numbers of segments */
	size_t n_params;
	const struct node
		*known; /* the path is there, perhaps not the method */
};

static bool find(const struct node *node, size_t at, struct lookup *lookup)
{
	struct mh_str segment;
	bool found;
	size_t i;

	if (at == lookup->n_segments) {
		const struct mh_route *const *routes = node->routes;

		for (i = 0; i < MH_METHOD_OTHER; i++)
			if (routes[i])
				lookup->known = node;
		if (lookup->method == MH_METHOD_OTHER)
			return false;
		lookup->route = routes[lookup->method];
		if (!lookup->route && lookup->method == MH_METHOD_HEAD)
			lookup->route = routes[MH_METHOD_GET];
		return lookup->route != NULL;
	}

	segment = lookup->segments[at];
	i = child_position(node, segment, &found);
	if (found && find(node->children[i], at + 1, lookup))
		return true;

	if (!node->param || lookup->n_params == MH_MAX_PARAMS ||
	    (segment.len == 0 && at + 1 < lookup->n_segments))
		return false;
	lookup->params[lookup->n_params++] = at;
	if (find(node->param, at + 1, lookup))
		return true;
	lookup->n_params--;
	return false;
}

static int split_path(struct mh_request *req, struct mh_str path,
		      struct lookup *lookup, struct mh_error *err)
{
	struct mh_str segment;

	while (next_segment(&path, &segment)) {
		if (lookup->n_segments == MAX_SEGMENTS)
			return mh_fail(err, MH_M_UNRECOGNIZED,
				       "unrecognized request");
		if (!mh_uri_decode(segment, &req->arena,
				   &lookup->segments[lookup->n_segments]))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "the path is not percent-encoded UTF-8");
		lookup->n_segments++;
	}

	/* Clients of before v1.1 ask for what is the same by an older name. */
	if (lookup->n_segments > 2 &&
	    mh_str_is(lookup->segments[0], "_matrix") &&
	    mh_str_is(lookup->segments[1], "client") &&
	    mh_str_is(lookup->segments[2], "r0"))
		lookup->segments[2] = MH_STR("v3");
	return 0;
}

static int check_query(struct mh_request *req, struct mh_error *err)
{
	struct mh_str query = req->query;
	struct mh_str key, value;

	while (mh_uri_next_param(&query, &key, &value))
		if (!mh_uri_decode_query(key, &req->arena, &key) ||
		    !mh_uri_decode_query(value, &req->arena, &value))
			return mh_fail(
				err, MH_M_INVALID_PARAM,
				"the query is not percent-encoded UTF-8");
	return 0;
}

static int fail_method(struct mh_request *req, const struct node *node,
		       struct mh_error *err)
{
	MH_STRBUF(allow);

	for (int i = 0; i < MH_METHOD_OTHER; i++)
		if (node->routes[i])
			mh_strbuf_addf(&allow, "%s, ",
				       mh_method_name((enum mh_method)i));
	mh_strbuf_addlit(&allow, "OPTIONS");
	mh_reply_header(req, "Allow", allow.data);
	return mh_fail_status(err, 405, MH_M_UNRECOGNIZED,
			      "this path has no such method");
}

static int find_route(struct mh_router *router, struct mh_request *req,
		      struct mh_error *err)
{
	struct lookup lookup = { .method = req->method };
	struct mh_str path;

	if (!mh_uri_split(req->target, &path, &req->query))
		return mh_fail_status(err, 400, MH_M_UNRECOGNIZED,
				      "the request target is not a path");
	if (split_path(req, path, &lookup, err) < 0)
		return -1;
	if (!find(&router->root, 0, &lookup))
		return lookup.known ? fail_method(req, lookup.known, err)
				    : mh_fail(err, MH_M_UNRECOGNIZED,
					      "unrecognized request");
	if (check_query(req, err) < 0)
		return -1;

	req->route = lookup.route;
	req->n_params = lookup.n_params;
	for (size_t i = 0; i < lookup.n_params; i++)
		req->path_params[i] = lookup.segments[lookup.params[i]];
	return 0;
}

/* --- who asks, and how often --------------------------------------------- */

/* The access token: the header, or the deprecated query parameter. */
static bool find_token(struct mh_request *req, struct mh_str *ret)
{
	struct mh_str header = mh_request_header(req, "Authorization");
	static const char scheme[] = "bearer ";

	if (header.len >= sizeof(scheme) - 1) {
		size_t i = 0;

		while (scheme[i] &&
		       (header.data[i] | 0x20) == (scheme[i] | 0x20))
			i++;
		if (!scheme[i]) {
			while (i < header.len && header.data[i] == ' ')
				i++;
			*ret = mh_str_from(header, i);
			return true;
		}
	}
	return mh_request_query(req, "access_token", ret);
}

static int authenticate_user(struct mh_router *router, struct mh_request *req,
			     struct mh_error *err)
{
	enum mh_route_auth auth = req->route->auth;
	struct mh_str token;

	if (!find_token(req, &token)) {
		if (auth == MH_AUTH_OPTIONAL)
			return 0;
		return mh_fail(err, MH_M_MISSING_TOKEN,
			       "this request needs an access token");
	}
	MH_ASSERT(router->auth.user);
	if (router->auth.user(req->server, token, auth == MH_AUTH_SOFT,
			      &req->arena, &req->who, err) < 0)
		return -1;
	if (auth == MH_AUTH_NO_GUEST && req->who.is_guest)
		return mh_fail(err, MH_M_GUEST_ACCESS_FORBIDDEN,
			       "guests may not do this");
	return 0;
}

static int limit_address(struct mh_request *req, enum mh_rate kind,
			 struct mh_error *err)
{
	struct mh_rate_key key = { MH_RATE_BY_ADDRESS, req->remote_address };

	/* A proxy on a UNIX socket that names no address is trusted. */
	if (req->remote_address.len == 0)
		return 0;
	return mh_rate_limits_take(req->server->limits, kind, &key, 1, err);
}

static int authenticate(struct mh_router *router, struct mh_request *req,
			struct mh_error *err)
{
	int rc = 0;

	switch (req->route->auth) {
	case MH_AUTH_NONE:
		return 0;
	case MH_AUTH_SERVER:
		if (!router->auth.server)
			return mh_fail(err, MH_M_UNAUTHORIZED,
				       "this node does not federate");
		rc = router->auth.server(req, err);
		break;
	case MH_AUTH_OPTIONAL:
	case MH_AUTH_USER:
	case MH_AUTH_NO_GUEST:
	case MH_AUTH_SOFT:
		rc = authenticate_user(router, req, err);
		break;
	}
	if (rc < 0) {
		MH_ERROR(limited);

		/* Nobody may try out tokens without end. */
		if (limit_address(req, MH_RATE_READ, &limited) < 0)
			mh_error_move(err, &limited);
	}
	return rc;
}

static int limit_rate(struct mh_request *req, struct mh_error *err)
{
	enum mh_rate kind = req->route->rate;
	struct mh_str user = req->who.user_id;
	struct mh_str device = req->who.device_id;
	struct mh_rate_key keys[2];
	char *pair;

	if (kind == MH_RATE_NONE || !req->server->limits)
		return 0;
	if (user.len == 0)
		return limit_address(req, kind, err);

	pair = mh_arena_alloc(&req->arena, user.len + 1 + device.len);
	memcpy(pair, user.data, user.len);
	if (device.len)
		memcpy(pair + user.len + 1, device.data, device.len);
	keys[0] = (struct mh_rate_key){ MH_RATE_BY_USER, user };
	keys[1] = (struct mh_rate_key){
		MH_RATE_BY_DEVICE, mh_str_n(pair, user.len + 1 + device.len)
	};
	return mh_rate_limits_take(req->server->limits, kind, keys, 2, err);
}

static int check_load(struct mh_router *router, struct mh_request *req,
		      struct mh_error *err)
{
	struct mh_server *server = req->server;

	if (!router->bound ||
	    (mh_queue_length(server->workers) <= router->bound &&
	     mh_store_backlog(server->store) <= router->bound))
		return 0;
	mh_fail_status(err, 503, MH_M_LIMIT_EXCEEDED,
		       "the node is overloaded, try again later");
	err->retry_after = 1000;
	return -1;
}

/* --- handling ----------------------------------------------------------- */

static void run_handler(struct mh_task *task)
{
	struct mh_request *req = MH_CONTAINER_OF(task, struct mh_request, task);
	MH_ERROR(err);

	if (req->route->handler(req, &err) < 0)
		mh_reply_error(req, &err);
}

static int admit(struct mh_router *router, struct mh_request *req,
		 struct mh_error *err)
{
	if (find_route(router, req, err) < 0 ||
	    authenticate(router, req, err) < 0 || limit_rate(req, err) < 0)
		return -1;
	if (req->route->flags & MH_INLINE)
		return 0;
	return check_load(router, req, err);
}

void mh_router_handle(struct mh_router *router, struct mh_request *req)
{
	MH_ERROR(err);

	/* "MUST NOT perform any logic defined for the endpoints". */
	if (req->method == MH_METHOD_OPTIONS) {
		mh_reply_empty(req);
		return;
	}
	if (admit(router, req, &err) < 0) {
		mh_reply_error(req, &err);
		return;
	}
	req->task.run = run_handler;
	if (req->route->flags & MH_INLINE)
		run_handler(&req->task);
	else
		mh_queue_submit(router->server->workers, &req->task);
}
