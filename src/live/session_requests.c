/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over the live channel: one after another, in the order in which they
 * came, so that what a client sends stays in order.
 *
 * `send`, `typing` and `receipt` become a struct mh_request for the operation of
 * the client-server API that does the same, and go through the router with its
 * authentication, rate limits and rules. The others are the channel's own.
 */
#include "live/session_impl.h"

#include "base/log.h"
#include "http/router.h"
#include "store/e2ee.h"

#include <stdlib.h>
#include <string.h>

#define ID_MAX 255

struct call {
	struct mh_request req;
	struct mh_live_session *session;
	char *text, *target, *authorization;
	size_t text_len, authorization_len;
	char *body;
	json_t *message; /* NULL after a message that was none */
	struct mh_str id; /* data NULL: no answer is wanted */
	struct mh_write_job ack;
	mh_nid device;
	int64_t acked;
};

static void call_free(struct call *call)
{
	json_decref(call->message);
	explicit_bzero(call->text, call->text_len);
	free(call->text);
	free(call->target);
	if (call->authorization)
		explicit_bzero(call->authorization, call->authorization_len);
	free(call->authorization);
	free(call->body);
	free(call);
}

/* --- the queue ------------------------------------------------------------------- */

void mh_live_session_drop_messages(struct mh_live_session *session)
{
	struct mh_live_message *next;

	for (struct mh_live_message *message = session->first; message;
	     message = next) {
		next = message->next;
		explicit_bzero(message->text, message->len);
		free(message);
	}
	session->first = NULL;
	session->last = NULL;
	session->n_waiting = 0;
}

void mh_live_session_receive(struct mh_live_session *session,
			     struct mh_str text)
{
	struct mh_live_message *message = mh_alloc(sizeof(*message) + text.len);
	bool submit, hold;

	message->next = NULL;
	message->len = text.len;
	memcpy(message->text, text.data, text.len);
	pthread_mutex_lock(&session->mutex);
	if (session->last)
		session->last->next = message;
	else
		session->first = message;
	session->last = message;
	session->n_waiting++;
	hold = !session->held && session->n_waiting >= MH_LIVE_MAX_WAITING;
	session->held |= hold;
	submit = !session->request_busy;
	session->request_busy = true;
	pthread_mutex_unlock(&session->mutex);
	if (hold)
		mh_live_hold(session->conn, true);
	if (!submit)
		return;
	mh_live_session_ref(session);
	mh_queue_submit(session->server->workers, &session->request_task);
}

/* The next message, or NULL: then nobody works on messages any more. */
static struct mh_live_message *next_message(struct mh_live_session *session)
{
	struct mh_live_message *message;
	bool release;

	pthread_mutex_lock(&session->mutex);
	message = session->first;
	if (message) {
		session->first = message->next;
		if (!session->first)
			session->last = NULL;
		session->n_waiting--;
	} else {
		session->request_busy = false;
	}
	release = session->held && session->n_waiting < MH_LIVE_MAX_WAITING / 2;
	if (release)
		session->held = false;
	pthread_mutex_unlock(&session->mutex);
	if (release)
		mh_live_hold(session->conn, false);
	return message;
}

/* A request is answered: on to the next. */
static void call_done(struct call *call)
{
	struct mh_live_session *session = call->session;

	call_free(call);
	mh_queue_submit(session->server->workers, &session->request_task);
}

/* --- answers ---------------------------------------------------------------------- */

/* {"id":..,"<member>":<json>}; `json` is an object. */
static void answer(struct call *call, const char *member, struct mh_str json)
{
	MH_STRBUF(out);

	if (!call->id.data)
		return;
	mh_strbuf_addlit(&out, "{\"id\":");
	mh_json_add_str(&out, call->id);
	mh_json_add_key(&out, mh_str(member));
	mh_strbuf_addstr(&out, json);
	mh_strbuf_addch(&out, '}');
	mh_live_session_send(call->session, &out);
}

static void answer_error(struct call *call, struct mh_error *err)
{
	MH_STRBUF(json);

	if (err->code == MH_M_UNKNOWN) {
		mh_log_error("live", "a request failed: %s", err->message);
		mh_fail_internal(err, "internal server error");
	}
	mh_error_json(err, &json);
	answer(call, "error", mh_strbuf_str(&json));
}

/* --- requests that go through the router ---------------------------------------------- */

static const char *call_header(struct mh_request *req, const char *name)
{
	struct call *call = MH_CONTAINER_OF(req, struct call, req);

	return strcasecmp(name, "Authorization") == 0 ? call->authorization :
							 NULL;
}

/* Any thread. */
static void respond(struct mh_request *req, struct mh_response *response)
{
	struct call *call = MH_CONTAINER_OF(req, struct call, req);
	struct mh_str body = { response->body, response->body_len };

	if (response->status >= 200 && response->status < 300)
		answer(call, "result", body);
	else
		answer(call, "error", body);
	/* The token has ended: the stream looks, and closes the channel. */
	if (response->status == 401)
		mh_live_session_poke(call->session);
	mh_request_release(req);
	call_done(call);
}

static void add_segment(struct mh_strbuf *target, struct mh_str segment)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "abcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";

	mh_strbuf_addch(target, '/');
	for (size_t i = 0; i < segment.len; i++) {
		unsigned char c = (unsigned char)segment.data[i];

		if (c && strchr(unreserved, c))
			mh_strbuf_addch(target, (char)c);
		else
			mh_strbuf_addf(target, "%%%02X", c);
	}
}

/* Takes over the contents of both buffers. */
static void dispatch(struct call *call, enum mh_method method,
		     struct mh_strbuf *target, struct mh_strbuf *body)
{
	struct mh_live_session *session = call->session;
	struct mh_request *req = &call->req;
	MH_STRBUF(authorization);
	size_t len;

	mh_request_init(req, session->server);
	req->method = method;
	call->target = mh_strbuf_detach(target, &len);
	req->target = mh_str_n(call->target, len);
	call->body = mh_strbuf_detach(body, &len);
	req->body = mh_str_n(call->body, len);
	mh_strbuf_addlit(&authorization, "Bearer ");
	pthread_mutex_lock(&session->mutex);
	mh_strbuf_add(&authorization, session->token, session->token_len);
	pthread_mutex_unlock(&session->mutex);
	call->authorization =
		mh_strbuf_detach(&authorization, &call->authorization_len);
	req->header = call_header;
	req->remote_address = mh_str(session->conn->remote_address);
	req->respond = respond;
	mh_router_handle(session->server->router, req);
}

static void begin_room(struct mh_strbuf *target, struct mh_str room_id,
		       const char *operation)
{
	mh_strbuf_addlit(target, "/_matrix/client/v3/rooms");
	add_segment(target, room_id);
	add_segment(target, mh_str(operation));
}

/* Each of these returns 1 when the answer comes later, 0 with `out` as the
 * result, -1. */

static int call_send(struct call *call, const json_t *params,
		     struct mh_strbuf *out, struct mh_error *err)
{
	struct mh_str room_id, type, txn_id, state_key = MH_STR_NONE;
	json_t *content;
	MH_STRBUF(target);
	MH_STRBUF(body);

	(void)out;
	txn_id = call->id;
	if (mh_json_need_str(params, "room_id", &room_id, err) < 0 ||
	    mh_json_need_str(params, "type", &type, err) < 0 ||
	    mh_json_get_str(params, "txn_id", &txn_id, err) < 0 ||
	    mh_json_get_str(params, "state_key", &state_key, err) < 0 ||
	    mh_json_need_object(params, "content", &content, err) < 0)
		return -1;
	if (!txn_id.data && !state_key.data)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "a message needs 'txn_id' or a request 'id'");
	begin_room(&target, room_id, state_key.data ? "state" : "send");
	add_segment(&target, type);
	add_segment(&target, state_key.data ? state_key : txn_id);
	mh_json_add(&body, content);
	dispatch(call, MH_METHOD_PUT, &target, &body);
	return 1;
}

static int call_typing(struct call *call, const json_t *params,
		       struct mh_strbuf *out, struct mh_error *err)
{
	struct mh_str room_id;
	MH_STRBUF(target);
	MH_STRBUF(body);

	(void)out;
	if (mh_json_need_str(params, "room_id", &room_id, err) < 0)
		return -1;
	begin_room(&target, room_id, "typing");
	add_segment(&target, call->session->who.user_id);
	mh_json_add(&body, params);
	dispatch(call, MH_METHOD_PUT, &target, &body);
	return 1;
}

static int call_receipt(struct call *call, const json_t *params,
			struct mh_strbuf *out, struct mh_error *err)
{
	struct mh_str room_id, event_id, type = MH_STR("m.read");
	MH_STRBUF(target);
	MH_STRBUF(body);

	(void)out;
	if (mh_json_need_str(params, "room_id", &room_id, err) < 0 ||
	    mh_json_need_str(params, "event_id", &event_id, err) < 0 ||
	    mh_json_get_str(params, "type", &type, err) < 0)
		return -1;
	begin_room(&target, room_id, "receipt");
	add_segment(&target, type);
	add_segment(&target, event_id);
	mh_json_add(&body, params);
	dispatch(call, MH_METHOD_POST, &target, &body);
	return 1;
}

/* --- the channel's own -------------------------------------------------------------------- */

static int call_ping(struct call *call, const json_t *params,
		     struct mh_strbuf *out, struct mh_error *err)
{
	(void)call;
	(void)params;
	(void)err;
	mh_strbuf_addlit(out, "{}");
	return 0;
}

static int ack_run(struct mh_write_job *job, struct mh_tx *tx,
		   struct mh_error *err)
{
	struct call *call = MH_CONTAINER_OF(job, struct call, ack);

	return mh_to_device_ack(tx, call->session->who.user, call->device,
				call->acked, err);
}

static void ack_done(struct mh_write_job *job, struct mh_error *err)
{
	struct call *call = MH_CONTAINER_OF(job, struct call, ack);

	if (err) {
		answer_error(call, err);
		mh_error_release(err);
	} else {
		answer(call, "result", MH_STR("{}"));
	}
	call_done(call);
}

static int call_ack(struct call *call, const json_t *params,
		    struct mh_strbuf *out, struct mh_error *err)
{
	struct mh_live_session *session = call->session;
	struct mh_db *db = mh_store_reader(session->server->store);
	struct mh_sync_token token;
	struct mh_str text;
	int rc;

	if (mh_json_need_str(params, "next_batch", &text, err) < 0 ||
	    mh_sync_token_parse(session->server, text, &token, err) < 0)
		return -1;
	call->acked = token.to_device;
	call->device = mh_name_find(db, session->who.device_id, err);
	if (call->device < 0)
		return -1;
	rc = call->device ? mh_to_device_any(db, session->who.user,
					     call->device, call->acked, err) :
			    0;
	if (rc < 0)
		return -1;
	if (rc == 0) {
		mh_strbuf_addlit(out, "{}");
		return 0;
	}
	call->ack.run = ack_run;
	call->ack.done = ack_done;
	mh_store_write(session->server->store, &call->ack);
	return 1;
}

/* `filter` may be an object, as /sync takes it, or the ID of a stored one. */
static int get_filter(const json_t *params, struct mh_strbuf *text,
		      struct mh_error *err)
{
	const json_t *filter = json_object_get(params, "filter");

	if (json_is_object(filter))
		mh_json_add(text, filter);
	else if (json_is_string(filter))
		mh_strbuf_addstr(text, mh_json_str(filter));
	else if (filter && !json_is_null(filter))
		return mh_fail(err, MH_M_BAD_JSON,
			       "'filter' must be an object or a string");
	return 0;
}

static int call_auth(struct call *call, const json_t *params,
		     struct mh_strbuf *out, struct mh_error *err)
{
	struct mh_live_session *session = call->session;
	struct mh_live_wishes wishes = { .since = MH_STR_NONE };
	struct mh_str token;
	MH_STRBUF(filter);

	if (mh_json_need_str(params, "access_token", &token, err) < 0 ||
	    mh_json_get_str(params, "since", &wishes.since, err) < 0 ||
	    mh_json_get_str(params, "set_presence", &wishes.set_presence,
			    err) < 0 ||
	    mh_json_get_bool(params, "full_state", &wishes.full_state, err) <
		    0 ||
	    mh_json_get_bool(params, "use_state_after",
			     &wishes.use_state_after, err) < 0 ||
	    get_filter(params, &filter, err) < 0)
		return -1;
	wishes.filter = mh_strbuf_str(&filter);
	if (mh_live_session_auth(session, token, &wishes, err) < 0)
		return -1;
	mh_strbuf_addlit(out, "{\"user_id\":");
	mh_json_add_str(out, session->who.user_id);
	mh_strbuf_addlit(out, ",\"device_id\":");
	mh_json_add_str(out, session->who.device_id);
	mh_strbuf_addch(out, '}');
	return 0;
}

static const struct method {
	const char *name;
	int (*run)(struct call *call, const json_t *params,
		   struct mh_strbuf *out, struct mh_error *err);
	bool before_auth;
} methods[] = {
	{ "auth", call_auth, true },
	{ "ping", call_ping, true },
	{ "ack", call_ack, false },
	{ "send", call_send, false },
	{ "typing", call_typing, false },
	{ "receipt", call_receipt, false },
};

/* --- one message ------------------------------------------------------------------------ */

static const struct method *find_method(struct mh_str name)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(methods); i++)
		if (mh_str_is(name, methods[i].name))
			return &methods[i];
	return NULL;
}

/* False: it is no request at all, and the channel is to be closed. */
static bool parse_message(struct call *call, struct mh_str *ret_method,
			  json_t **ret_params)
{
	MH_ERROR(err);
	const json_t *id;

	if (mh_json_parse_object(mh_str_n(call->text, call->text_len),
				 &call->message, &err) < 0 ||
	    mh_json_need_str(call->message, "method", ret_method, &err) < 0 ||
	    mh_json_get_object(call->message, "params", ret_params, &err) < 0)
		return false;
	id = json_object_get(call->message, "id");
	if (!id)
		return true;
	call->id = mh_json_str(id);
	return json_is_string(id) && call->id.len <= ID_MAX;
}

/* As the methods: 1 when the answer comes later, 0, -1. */
static int run_method(struct call *call, const struct method *method,
		      const json_t *params, struct mh_strbuf *out,
		      struct mh_error *err)
{
	struct mh_live_session *session = call->session;
	MH_CLEANUP(json_decrefp) json_t *none = json_object();

	if (!method)
		return mh_fail(err, MH_M_UNRECOGNIZED, "no such method");
	if (!method->before_auth && !session->authenticated)
		return mh_fail(err, MH_M_MISSING_TOKEN,
			       "'auth' has to come first");
	return method->run(call, params ? params : none, out, err);
}

/* Who cannot say who it is has no channel. */
static void failed(struct call *call, const struct method *method,
		   struct mh_error *err)
{
	struct mh_live_session *session = call->session;
	bool ends = !session->authenticated ||
		    err->code == MH_M_UNKNOWN_TOKEN;
	const char *name = mh_errcode_name(err->code);

	answer_error(call, err);
	if (ends && method && method->run == call_auth &&
	    (err->code == MH_M_UNKNOWN_TOKEN || err->code == MH_M_USER_LOCKED))
		mh_live_close(session->conn, MH_LIVE_CLOSE_UNAUTHORIZED, name);
	else if (ends)
		mh_live_close(session->conn,
			      err->code == MH_M_MISSING_TOKEN ?
				      MH_LIVE_CLOSE_UNAUTHORIZED :
				      MH_LIVE_CLOSE_BAD_MESSAGE,
			      name);
}

static void run_call(struct call *call)
{
	struct mh_live_session *session = call->session;
	const struct method *method;
	struct mh_str name;
	json_t *params = NULL;
	MH_STRBUF(out);
	MH_ERROR(err);
	int rc;

	if (!parse_message(call, &name, &params)) {
		mh_live_close(session->conn, MH_LIVE_CLOSE_BAD_MESSAGE,
			      "the message is no request");
		call_done(call);
		return;
	}
	method = find_method(name);
	rc = run_method(call, method, params, &out, &err);
	if (rc > 0)
		return; /* `call` may be gone */
	if (rc < 0)
		failed(call, method, &err);
	else
		answer(call, "result", mh_strbuf_str(&out));
	call_done(call);
}

void mh_live_session_run_request(struct mh_task *task)
{
	struct mh_live_session *session = MH_CONTAINER_OF(
		task, struct mh_live_session, request_task);
	struct mh_live_message *message = next_message(session);
	struct call *call;

	if (!message) {
		mh_live_session_unref(session);
		return;
	}
	call = MH_NEW(struct call);
	call->session = session;
	call->text = mh_memdup(message->text, message->len);
	call->text_len = message->len;
	explicit_bzero(message->text, message->len);
	free(message);
	run_call(call);
}
