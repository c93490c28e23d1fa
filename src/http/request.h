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

#define MH_MAX_PARAMS 6
#define MH_MAX_HEADERS 10

struct mh_header {
	const char *name, *value; /* borrowed literals or the arena's */
};

struct mh_response {
	int status;
	const char *content_type; /* "application/json" */
	char *body;		  /* malloc'ed; freed by the transport */
	size_t body_len;
	struct mh_header headers[MH_MAX_HEADERS];
	size_t n_headers;
};

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
	/*
	 * The request begins to wait: the transport is to call
	 * mh_request_gone() when the client leaves. NULL when it cannot tell.
	 */
	void (*watch)(struct mh_request *req);
	void *transport;

	/* --- filled in by the router ------------------------------------ */
	const struct mh_route *route;
	struct mh_str path_params[MH_MAX_PARAMS]; /* decoded, in route order */
	size_t n_params;
	struct mh_requester who;
	json_t *json; /* parsed body, owned */
	struct mh_str query; /* of `target`, still encoded */
	struct mh_task task;
	int (*next)(struct mh_request *req, struct mh_error *err);

	/* --- the reply -------------------------------------------------- */
	struct mh_response response; /* prepared, not yet sent */
	bool replied;
	bool writing; /* in a write job: what is replied is held */
	void *waiting; /* the handler's, for its on_gone() */
	/* See mh_request_on_gone() and mh_request_gone(). */
	void (*on_gone)(struct mh_request *req);
	bool gone;
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

/* The value of a header, MH_STR_NONE when there is none. */
struct mh_str mh_request_header(struct mh_request *req, const char *name);

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
 * Runs `fn` on the writer thread under a savepoint. What it replies (and a
 * mh_request_resume() it asks for) is held until COMMIT, and goes out then; if
 * it fails, or COMMIT does, the failure is the reply. It must do one of the
 * three. `arg` is the arena's. Always returns 0: the request may be gone
 * already.
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

/* --- waiting ------------------------------------------------------------ */

/*
 * For a handler that waits (long poll): `fn` is called once, from any thread,
 * when the client leaves or the node stops, so that the request is replied to
 * early; not any more once it has been. False when the client has left
 * already: then reply instead of waiting.
 *
 * Call it last but one: with the waiter ready but not yet added anywhere, for
 * from then on the request may be replied to, and gone. As `fn` may run while
 * somebody else is about to reply, or between this call and the adding, it
 * first takes the waiter away (mh_waiter_remove()), and replies only if that
 * says that it was waiting. (In the latter case the waiter stays until its time
 * is up.)
 */
MH_NODISCARD bool mh_request_on_gone(struct mh_request *req,
				     void (*fn)(struct mh_request *req));

/* --- for transports ------------------------------------------------------- */

void mh_request_init(struct mh_request *req, struct mh_server *server);
void mh_request_release(struct mh_request *req);
/*
 * The client has left, or the node stops: tells the handler if it waits. The
 * transport must keep the storage of `req` until this returns, for the reply
 * may be made while it runs; it need not have been made when it returns. More
 * than once does nothing.
 */
void mh_request_gone(struct mh_request *req);
/* "GET" and so on; MH_METHOD_OTHER for what routes never have. */
enum mh_method mh_method_parse(struct mh_str name);
const char *mh_method_name(enum mh_method method);
