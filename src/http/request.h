/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request and its reply, whoever carried them: libmicrohttpd, a frame of the
 * live channel, or a simulation. Transports fill in the first part of struct
 * mh_request, call mh_router_handle(), and get the reply through `respond`.
 *
 * A handler runs on a worker thread and is a screenful:
 *
 *	int client_set_typing(struct mh_request *req, struct mh_error *err)
 *	{
 *		struct mh_str room_id = mh_request_param(req, 0);
 *		json_t *body;
 *		bool typing;
 *
 *		if (mh_request_json(req, &body, err) < 0 ||
 *		    mh_need_bool(body, "typing", &typing, err) < 0 ||
 *		    mh_typing_set(req->server, ..., err) < 0)
 *			return -1;
 *		return mh_reply_empty(req);
 *	}
 *
 * It returns -1 with `err` filled, and the router replies with that; or 0, and
 * then it has replied or somebody will: a write job (mh_request_write), a timer,
 * a waiter. Exactly one reply is made; the request is freed by it.
 */
#pragma once

#include "base/arena.h"
#include "base/executor.h"
#include "core/json.h"

struct mh_server;
struct mh_request;
struct mh_route;
struct mh_tx;
struct mh_db;

enum mh_method {
	MH_METHOD_GET,
	MH_METHOD_POST,
	MH_METHOD_PUT,
	MH_METHOD_DELETE,
	MH_METHOD_HEAD,
	MH_METHOD_OPTIONS,
	MH_METHOD_OTHER,
};

struct mh_header {
	const char *name, *value; /* borrowed literals or the arena's */
};

struct mh_response {
	int status;
	const char *content_type; /* "application/json" */
	char *body;		  /* malloc'ed; freed by the transport */
	size_t body_len;
	struct mh_header headers[8];
	size_t n_headers;
};

#define MH_MAX_PARAMS 6

/* Who asks: filled in by the router from the access token. */
struct mh_requester {
	struct mh_str user_id, device_id; /* live as long as the request */
	int64_t user;			  /* nid */
	int64_t device; /* number of the device row; 0: none */
	int64_t session; /* number of the session row */
	bool is_guest, is_admin;
};

struct mh_request {
	/* --- filled in by the transport --------------------------------- */
	struct mh_server *server;
	struct mh_arena arena;
	enum mh_method method;
	struct mh_str target; /* raw, with the query; nothing decoded */
	struct mh_str body;
	/* NULL when there is no such header. Names are case-insensitive. */
	const char *(*header)(struct mh_request *req, const char *name);
	struct mh_str remote_address; /* after trusted proxies: for limits */
	/*
	 * Takes the response (and its body). Any thread. The transport sends
	 * it and then frees the request with mh_request_release() in whichever
	 * thread it likes.
	 */
	void (*respond)(struct mh_request *req, struct mh_response *response);
	void *transport;

	/* --- filled in by the router ------------------------------------ */
	const struct mh_route *route;
	struct mh_str path_params[MH_MAX_PARAMS]; /* decoded, in route order */
	size_t n_params;
	struct mh_requester who;
	json_t *json; /* parsed body, owned */
	struct mh_task task;

	/* --- the handler's ---------------------------------------------- */
	struct mh_response response; /* prepared, not yet sent */
	bool replied;
	/*
	 * Set by a handler that waits (long poll): called at most once, from
	 * any thread, when the client has left or the node stops, so that it
	 * replies early. Cleared by replying.
	 */
	void (*on_gone)(struct mh_request *req);
};

/* --- reading ------------------------------------------------------------ */

/* The n-th {parameter} of the route's path, decoded; may hold any byte. */
static inline struct mh_str mh_request_param(const struct mh_request *req,
					     size_t n)
{
	MH_ASSERT(n < req->n_params);
	return req->path_params[n];
}

/* A query parameter, decoded; false when absent. `ret` lives in the arena. */
bool mh_request_query(struct mh_request *req, const char *name,
		      struct mh_str *ret);
/* The n-th occurrence (from 0), for parameters that repeat. */
bool mh_request_query_n(struct mh_request *req, const char *name, size_t n,
			struct mh_str *ret);
/* 1, 0 (absent), -1 with M_INVALID_PARAM. */
int mh_request_query_int(struct mh_request *req, const char *name, int64_t *ret,
			 struct mh_error *err);
int mh_request_query_bool(struct mh_request *req, const char *name, bool *ret,
			  struct mh_error *err);
/*
 * The body as a JSON object, borrowed from the request. An empty body counts as
 * {} only where the route has MH_BODY_OPTIONAL. M_NOT_JSON, M_BAD_JSON.
 */
int mh_request_json(struct mh_request *req, json_t **ret, struct mh_error *err);

/* This worker's read connection. */
struct mh_db *mh_request_db(struct mh_request *req);

/* --- replying ----------------------------------------------------------- */

/* All return 0, so that `return mh_reply_...` reads well. */
int mh_reply_empty(struct mh_request *req);			 /* 200 {} */
int mh_reply_json(struct mh_request *req, const json_t *body);	 /* 200 */
/* 200 with the bytes of `body`, which is emptied. */
int mh_reply_buf(struct mh_request *req, struct mh_strbuf *body);
int mh_reply_status(struct mh_request *req, int status, struct mh_strbuf *body,
		    const char *content_type);
/* Replies with a failure, and releases `err`. */
void mh_reply_error(struct mh_request *req, struct mh_error *err);
/* Adds a header to the coming reply; copies the value. */
void mh_reply_header(struct mh_request *req, const char *name, const char *value);

/*
 * Runs `fn` on the writer thread under a savepoint. What it replies is held
 * until COMMIT, and goes out then; if it fails, or COMMIT does, the failure is
 * the reply. `arg` is the arena's.
 */
int mh_request_write(struct mh_request *req,
		     int (*fn)(struct mh_tx *tx, struct mh_request *req,
			       void *arg, struct mh_error *err),
		     void *arg);
/*
 * Runs `fn` on a worker again, for handlers that waited (a timer, a password
 * hash, another queue). As a handler, it replies or returns -1.
 */
void mh_request_resume(struct mh_request *req,
		       int (*fn)(struct mh_request *req, struct mh_error *err));

/* For transports. */
void mh_request_init(struct mh_request *req, struct mh_server *server);
void mh_request_release(struct mh_request *req);
