/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include "base/log.h"
#include "http/router.h"
#include "http/uri.h"
#include "service/server.h"
#include "store/store.h"

#include <stdlib.h>

static const char *const method_names[] = {
	[MH_METHOD_GET] = "GET",       [MH_METHOD_POST] = "POST",
	[MH_METHOD_PUT] = "PUT",       [MH_METHOD_DELETE] = "DELETE",
	[MH_METHOD_HEAD] = "HEAD",     [MH_METHOD_OPTIONS] = "OPTIONS",
	[MH_METHOD_OTHER] = "(other)",
};

enum mh_method mh_method_parse(struct mh_str name)
{
	for (int i = 0; i < MH_METHOD_OTHER; i++)
		if (mh_str_is(name, method_names[i]))
			return (enum mh_method)i;
	return MH_METHOD_OTHER;
}

const char *mh_method_name(enum mh_method method)
{
	return method_names[method];
}

void mh_request_init(struct mh_request *req, struct mh_server *server)
{
	*req = (struct mh_request){ .server = server };
	mh_arena_init(&req->arena);
}

void mh_request_release(struct mh_request *req)
{
	json_decref(req->json);
	req->json = NULL;
	free(req->response.body);
	req->response.body = NULL;
	mh_arena_release(&req->arena);
}

/* --- reading ------------------------------------------------------------ */

struct mh_str mh_request_header(struct mh_request *req, const char *name)
{
	return mh_str(req->header ? req->header(req, name) : NULL);
}

bool mh_request_query_n(struct mh_request *req, const char *name, size_t n,
			struct mh_str *ret)
{
	struct mh_str query = req->query;
	struct mh_str key, value;

	/* The router has seen that every piece decodes. */
	while (mh_uri_next_param(&query, &key, &value))
		if (mh_uri_decode_query(key, &req->arena, &key) &&
		    mh_str_is(key, name) && n-- == 0)
			return mh_uri_decode_query(value, &req->arena, ret);
	return false;
}

bool mh_request_query(struct mh_request *req, const char *name,
		      struct mh_str *ret)
{
	return mh_request_query_n(req, name, 0, ret);
}

int mh_request_query_int(struct mh_request *req, const char *name, int64_t *ret,
			 struct mh_error *err)
{
	struct mh_str text;

	if (!mh_request_query(req, name, &text))
		return 0;
	if (!mh_str_to_int(text, ret))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "query parameter '%s' must be an integer", name);
	return 1;
}

int mh_request_query_bool(struct mh_request *req, const char *name, bool *ret,
			  struct mh_error *err)
{
	struct mh_str text;

	if (!mh_request_query(req, name, &text))
		return 0;
	if (!mh_str_is(text, "true") && !mh_str_is(text, "false"))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "query parameter '%s' must be true or false",
			       name);
	*ret = mh_str_is(text, "true");
	return 1;
}

int mh_request_json(struct mh_request *req, json_t **ret, struct mh_error *err)
{
	if (!req->json) {
		if (req->body.len == 0 &&
		    (req->route->flags & MH_BODY_OPTIONAL))
			req->json = json_object();
		else if (mh_json_parse_object(req->body, &req->json, err) < 0)
			return -1;
	}
	*ret = req->json;
	return 0;
}

struct mh_db *mh_request_db(struct mh_request *req)
{
	return mh_store_reader(req->server->store);
}

/* --- replying ----------------------------------------------------------- */

static const struct mh_header cors[] = {
	{ "Access-Control-Allow-Origin", "*" },
	{ "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS" },
	{ "Access-Control-Allow-Headers",
	  "X-Requested-With, Content-Type, Authorization" },
};

/*
 * Hands the prepared response to the transport; `req` is gone afterwards. The
 * CORS headers are the ones that "Web Browser Clients" recommends for every
 * reply, errors included.
 */
static void send_reply(struct mh_request *req)
{
	struct mh_response *response = &req->response;

	MH_ASSERT(response->n_headers + MH_ARRAY_LEN(cors) <= MH_MAX_HEADERS);
	memcpy(&response->headers[response->n_headers], cors, sizeof(cors));
	response->n_headers += MH_ARRAY_LEN(cors);
	__atomic_store_n(&req->on_gone, NULL, __ATOMIC_SEQ_CST);
	req->respond(req, &req->response);
}

static void reply(struct mh_request *req, int status, char *body, size_t len,
		  const char *content_type)
{
	MH_ASSERT(!req->replied);
	req->replied = true;
	req->response.status = status;
	req->response.content_type = content_type;
	req->response.body = body;
	req->response.body_len = len;
	if (!req->writing)
		send_reply(req);
}

static const char content_json[] = "application/json";

int mh_reply_empty(struct mh_request *req)
{
	reply(req, 200, mh_memdup("{}", 2), 2, content_json);
	return 0;
}

int mh_reply_json(struct mh_request *req, const json_t *body)
{
	MH_STRBUF(buf);

	mh_json_add(&buf, body);
	return mh_reply_buf(req, &buf);
}

int mh_reply_buf(struct mh_request *req, struct mh_strbuf *body)
{
	return mh_reply_status(req, 200, body, content_json);
}

int mh_reply_status(struct mh_request *req, int status, struct mh_strbuf *body,
		    const char *content_type)
{
	size_t len;
	char *data = mh_strbuf_detach(body, &len);

	reply(req, status, data, len, content_type);
	return 0;
}

void mh_reply_header(struct mh_request *req, const char *name,
		     const char *value)
{
	struct mh_response *response = &req->response;

	MH_ASSERT(response->n_headers < MH_MAX_HEADERS);
	response->headers[response->n_headers++] =
		(struct mh_header){ name,
				    mh_arena_cstr(&req->arena, mh_str(value)) };
}

/*
 * What went wrong inside the node is for the log; the client learns that it was
 * not its fault.
 */
static void hide_internal(struct mh_request *req, struct mh_error *err)
{
	if (err->code != MH_M_UNKNOWN || mh_error_status(err) != 500)
		return;
	mh_log_error("http", "%s %s failed: %s", mh_method_name(req->method),
		     req->route ? req->route->path : "(no route)",
		     err->message);
	mh_fail_internal(err, "internal server error");
}

void mh_reply_error(struct mh_request *req, struct mh_error *err)
{
	MH_STRBUF(body);
	int status;

	hide_internal(req, err);
	mh_error_json(err, &body);
	status = mh_error_status(err);
	if (err->retry_after > 0) {
		struct mh_str seconds = mh_arena_printf(
			&req->arena, "%lld",
			(long long)((err->retry_after + 999) / 1000));

		mh_reply_header(req, "Retry-After", seconds.data);
	}
	mh_error_release(err);
	mh_reply_status(req, status, &body, content_json);
}

/* --- going on elsewhere -------------------------------------------------- */

static void run_next(struct mh_task *task)
{
	struct mh_request *req = MH_CONTAINER_OF(task, struct mh_request, task);
	int (*fn)(struct mh_request *, struct mh_error *) = req->next;
	MH_ERROR(err);

	req->next = NULL;
	if (fn(req, &err) < 0)
		mh_reply_error(req, &err);
}

void mh_request_resume(struct mh_request *req,
		       int (*fn)(struct mh_request *req, struct mh_error *err))
{
	MH_ASSERT(!req->next && !req->replied);
	req->next = fn;
	if (req->writing)
		return; /* write_done() submits it */
	req->task.run = run_next;
	mh_queue_submit(req->server->workers, &req->task);
}

struct write {
	struct mh_write_job job;
	struct mh_request *req;
	int (*fn)(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err);
	void *arg;
};

static int write_run(struct mh_write_job *job, struct mh_tx *tx,
		     struct mh_error *err)
{
	struct write *write = MH_CONTAINER_OF(job, struct write, job);
	struct mh_request *req = write->req;

	req->writing = true;
	if (write->fn(tx, req, write->arg, err) < 0)
		return -1;
	MH_ASSERT(req->replied || req->next);
	return 0;
}

/* A failed COMMIT takes back what the job had replied or planned. */
static void unreply(struct mh_request *req)
{
	free(req->response.body);
	req->response.body = NULL;
	req->response.n_headers = 0;
	req->replied = false;
	req->next = NULL;
}

static void write_done(struct mh_write_job *job, struct mh_error *err)
{
	struct write *write = MH_CONTAINER_OF(job, struct write, job);
	struct mh_request *req = write->req;
	int (*next)(struct mh_request *, struct mh_error *) = req->next;

	/* Any of these may free the request, and the job with its arena. */
	req->writing = false;
	if (err) {
		unreply(req);
		mh_reply_error(req, err);
	} else if (req->replied) {
		send_reply(req);
	} else {
		req->next = NULL;
		mh_request_resume(req, next);
	}
}

int mh_request_write(struct mh_request *req,
		     int (*fn)(struct mh_tx *tx, struct mh_request *req,
			       void *arg, struct mh_error *err),
		     void *arg)
{
	struct write *write = MH_ARENA_NEW(&req->arena, struct write);

	write->job.run = write_run;
	write->job.done = write_done;
	write->req = req;
	write->fn = fn;
	write->arg = arg;
	mh_store_write(req->server->store, &write->job);
	return 0;
}

/* --- waiting ------------------------------------------------------------ */

/*
 * Either of these may come first: each stores its own half and then looks at
 * the other's, so that at least one of them sees both.
 */
bool mh_request_on_gone(struct mh_request *req,
			void (*fn)(struct mh_request *req))
{
	__atomic_store_n(&req->on_gone, fn, __ATOMIC_SEQ_CST);
	if (req->watch)
		req->watch(req);
	if (!__atomic_load_n(&req->gone, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&req->on_gone, NULL, __ATOMIC_SEQ_CST);
	return false;
}

void mh_request_gone(struct mh_request *req)
{
	void (*fn)(struct mh_request *);

	__atomic_store_n(&req->gone, true, __ATOMIC_SEQ_CST);
	fn = __atomic_exchange_n(&req->on_gone, NULL, __ATOMIC_SEQ_CST);
	if (fn)
		fn(req);
}
