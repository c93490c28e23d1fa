/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path of a request:
 *
 *   log_uri()		the request line is there: an exchange is made, which
 *			keeps the raw target
 *   on_request()	called for the header, for each piece of the body, and
 *at the end, when it goes to the router. Unless the reply is there at once the
 *connection is suspended. respond()		any thread: the reply is made
 *ready and the connection put on the list of those to be resumed on_request()
 *again: the reply is queued
 *   on_completed()	it is sent, or the connection has died; the exchange
 *goes
 *
 * An exchange has a reference for libmicrohttpd, and one more while somebody
 * tells its handler that the client has left. Everything that several threads
 * touch is under mhd->lock, which is held for moments only; it is never held
 * while libmicrohttpd or a handler is called.
 */
#include "http/mhd.h"

#include "base/log.h"
#include "http/router.h"
#include "http/sniff.h"
#include "http/upgrade.h"
#include "http/relay.h"
#include "http/watcher.h"
#include "service/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes of a body that is too large which are read so that its client, busy
 * with sending, gets to see the refusal. */
#define DRAIN_MAX (8 << 20)
/* From this many waiting connections on, wake-ups are gathered for a moment. */
#define BATCH_FROM 256
#define BATCH_MS 1
/* A client must take a reply at this rate, at least. */
#define REPLY_BYTES_PER_MS 8
/* How long the last replies may take to leave when the node stops. */
#define LAST_REPLIES_MS 1000

/* An open connection. */
struct conn {
	struct mh_mhd *mhd;
	struct mh_ticket *ticket;
	int fd;
	int64_t deadline; /* of the phase it is in; 0: none */
	struct conn *prev, *next;
};

enum state {
	STATE_READING,
	STATE_HANDLED,	 /* the router has it */
	STATE_SUSPENDED, /* and the connection is suspended */
	STATE_REPLIED,
};

/* A request and its reply. */
struct exchange {
	struct mh_request req;
	struct mh_mhd *mhd;
	struct conn *conn;
	struct MHD_Connection *connection;
	struct mh_strbuf body;
	size_t body_seen; /* also what was not kept */
	int refs;
	bool begun;   /* on_request() has seen the header */
	bool refused; /* `error` is the reply, whatever the body */
	struct mh_error error;
	enum state state; /* atomic */
	struct MHD_Response *reply;
	int status;
	size_t reply_len;
	struct exchange *next_resume;
	/* in mhd->active, from the router to the reply */
	struct exchange *prev, *next;
	bool active, counted, told;
	bool watched;
	uint64_t watch; /* the watcher's */
};

struct mh_mhd {
	struct mh_server *server;
	struct mh_peers *peers;
	struct mh_loop *loop;
	struct MHD_Daemon *daemon;
	int64_t header_ms, body_ms, idle_ms;
	unsigned idle_s;
	size_t body_budget;
	void (*live)(void *context, int fd, struct mh_ticket *ticket);
	void *live_context;
	size_t body_bytes; /* atomic: of all exchanges together */
	size_t suspended;  /* atomic */
	bool stopping;	   /* atomic */

	pthread_mutex_t lock; /* guards what follows */
	struct conn *conns;
	struct exchange *active;
	struct exchange *resumes;
	size_t busy; /* exchanges from the router to completion */
	pthread_cond_t progress;
	size_t n_upgrades;

	struct mh_watcher *watcher;
	int64_t sweep_ms;
	struct mh_loop_timer sweep, resume_timer;
	struct mh_loop_call resume_call, end_upgrades;
	struct upgrade *upgrades; /* the loop's */
};

/* --- exchanges ---------------------------------------------------------- */

static void unref(struct exchange *ex)
{
	if (__atomic_sub_fetch(&ex->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	__atomic_sub_fetch(&ex->mhd->body_bytes, ex->body.len,
			   __ATOMIC_RELAXED);
	if (ex->reply)
		MHD_destroy_response(ex->reply);
	mh_strbuf_release(&ex->body);
	mh_error_release(&ex->error);
	mh_request_release(&ex->req);
	free(ex);
}

static const char *header(struct mh_request *req, const char *name)
{
	struct exchange *ex = MH_CONTAINER_OF(req, struct exchange, req);

	return MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
					   name);
}

static void set_active(struct exchange *ex, bool active)
{
	struct mh_mhd *mhd = ex->mhd;

	pthread_mutex_lock(&mhd->lock);
	if (active) {
		ex->next = mhd->active;
		ex->prev = NULL;
		if (ex->next)
			ex->next->prev = ex;
		mhd->active = ex;
		ex->counted = true;
		mhd->busy++;
	} else {
		if (ex->next)
			ex->next->prev = ex->prev;
		if (ex->prev)
			ex->prev->next = ex->next;
		else
			mhd->active = ex->next;
		pthread_cond_signal(&mhd->progress);
	}
	ex->active = active;
	pthread_mutex_unlock(&mhd->lock);
}

/* --- clients that leave ------------------------------------------------- */

static void watch(struct mh_request *req)
{
	struct exchange *ex = MH_CONTAINER_OF(req, struct exchange, req);

	ex->watched = true;
	mh_watcher_add(ex->mhd->watcher, ex->conn->fd, ex, &ex->watch);
}

static void hold(void *object)
{
	struct exchange *ex = object;

	__atomic_add_fetch(&ex->refs, 1, __ATOMIC_RELAXED);
}

static void on_gone(void *object)
{
	struct exchange *ex = object;

	mh_request_gone(&ex->req);
	unref(ex);
}

/* --- resuming ----------------------------------------------------------- */

static void resume_all(struct mh_mhd *mhd)
{
	struct exchange *ex, *next;

	pthread_mutex_lock(&mhd->lock);
	ex = mhd->resumes;
	mhd->resumes = NULL;
	pthread_mutex_unlock(&mhd->lock);
	for (; ex; ex = next) {
		next = ex->next_resume; /* `ex` may be gone after resuming */
		__atomic_sub_fetch(&mhd->suspended, 1, __ATOMIC_RELAXED);
		MHD_resume_connection(ex->connection);
	}
}

static void on_resume_timer(struct mh_loop_timer *timer)
{
	resume_all(MH_CONTAINER_OF(timer, struct mh_mhd, resume_timer));
}

static void start_resume_timer(struct mh_loop_call *call)
{
	struct mh_mhd *mhd = MH_CONTAINER_OF(call, struct mh_mhd, resume_call);

	mh_loop_timer_set(mhd->loop, &mhd->resume_timer,
			  mh_loop_now(mhd->loop) + BATCH_MS);
}

static void resume(struct exchange *ex)
{
	struct mh_mhd *mhd = ex->mhd;
	bool first;

	pthread_mutex_lock(&mhd->lock);
	first = !mhd->resumes;
	ex->next_resume = mhd->resumes;
	mhd->resumes = ex;
	pthread_mutex_unlock(&mhd->lock);

	if (__atomic_load_n(&mhd->suspended, __ATOMIC_RELAXED) < BATCH_FROM ||
	    __atomic_load_n(&mhd->stopping, __ATOMIC_RELAXED))
		resume_all(mhd);
	else if (first)
		mh_loop_call(mhd->loop, &mhd->resume_call);
}

/* --- replying ----------------------------------------------------------- */

static struct MHD_Response *make_reply(struct mh_response *response)
{
	struct MHD_Response *reply;

	if (response->body)
		reply = MHD_create_response_from_buffer(response->body_len,
							response->body,
							MHD_RESPMEM_MUST_FREE);
	else
		reply = MHD_create_response_from_buffer(0, mh_strbuf_empty,
							MHD_RESPMEM_PERSISTENT);
	if (!reply)
		return NULL; /* the connection will be closed */
	response->body = NULL;
	if (response->content_type)
		MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE,
					response->content_type);
	for (size_t i = 0; i < response->n_headers; i++)
		MHD_add_response_header(reply, response->headers[i].name,
					response->headers[i].value);
	return reply;
}

static void respond(struct mh_request *req, struct mh_response *response)
{
	struct exchange *ex = MH_CONTAINER_OF(req, struct exchange, req);

	if (ex->watched)
		mh_watcher_remove(ex->mhd->watcher, ex->conn->fd, &ex->watch);
	ex->status = response->status;
	ex->reply_len = response->body_len;
	ex->reply = make_reply(response);
	if (ex->active)
		set_active(ex, false);
	if (__atomic_exchange_n(&ex->state, STATE_REPLIED, __ATOMIC_ACQ_REL) ==
	    STATE_SUSPENDED)
		resume(ex);
}

static void set_deadline(struct conn *conn, int64_t ms)
{
	int64_t due = ms ? mh_loop_now(conn->mhd->loop) + ms : 0;

	__atomic_store_n(&conn->deadline, due, __ATOMIC_RELAXED);
}

/*
 * A connection that is resumed would first be read from, and closed without the
 * reply if its client has shut down its side of it, though not the other. But
 * connections whose timeout is not the usual one get their turn before any
 * reading: so that is what a connection has while it is suspended.
 */
static void set_first_in_turn(struct exchange *ex, bool on)
{
	MHD_set_connection_option(ex->connection, MHD_CONNECTION_OPTION_TIMEOUT,
				  ex->mhd->idle_s + on);
}

static enum MHD_Result queue_reply(struct exchange *ex)
{
	enum MHD_Result rc;

	mh_log_debug("http", "%s %s %d", mh_method_name(ex->req.method),
		     ex->req.route ? ex->req.route->path : "(no route)",
		     ex->status);
	if (!ex->reply)
		return MHD_NO;
	set_deadline(ex->conn,
		     ex->mhd->body_ms +
			     (int64_t)(ex->reply_len / REPLY_BYTES_PER_MS));
	rc = MHD_queue_response(ex->connection, (unsigned)ex->status,
				ex->reply);
	MHD_destroy_response(ex->reply);
	ex->reply = NULL;
	return rc;
}

/* Replies here and now, without the router. */
static enum MHD_Result refuse(struct exchange *ex)
{
	mh_reply_error(&ex->req, &ex->error);
	return queue_reply(ex);
}

/* --- the body ----------------------------------------------------------- */

static size_t body_max(struct mh_mhd *mhd)
{
	return (size_t)mhd->server->settings->limits.max_request_size;
}

static void refuse_too_large(struct exchange *ex)
{
	if (ex->refused)
		return;
	ex->refused = true;
	mh_fail(&ex->error, MH_M_TOO_LARGE,
		"the request body may have %zu bytes at most",
		body_max(ex->mhd));
}

static void refuse_overload(struct exchange *ex)
{
	ex->refused = true;
	mh_fail_status(&ex->error, 503, MH_M_LIMIT_EXCEEDED,
		       "the node is overloaded, try again later");
	ex->error.retry_after = 1000;
}

static void drop_body(struct exchange *ex)
{
	__atomic_sub_fetch(&ex->mhd->body_bytes, ex->body.len,
			   __ATOMIC_RELAXED);
	mh_strbuf_release(&ex->body);
}

static enum MHD_Result take_body(struct exchange *ex, const char *data,
				 size_t *len)
{
	struct mh_mhd *mhd = ex->mhd;
	size_t total;

	ex->body_seen += *len;
	if (ex->body_seen > body_max(mhd)) {
		refuse_too_large(ex);
		if (ex->body_seen > body_max(mhd) + DRAIN_MAX)
			return MHD_NO;
	}
	if (!ex->refused) {
		total = __atomic_add_fetch(&mhd->body_bytes, *len,
					   __ATOMIC_RELAXED);
		mh_strbuf_add(&ex->body, data, *len);
		if (total > mhd->body_budget)
			refuse_overload(ex);
	}
	if (ex->refused)
		drop_body(ex);
	*len = 0;
	return MHD_YES;
}

/* What the header says of a body; MHD has checked that it is a number. */
static enum MHD_Result begin(struct exchange *ex)
{
	struct mh_mhd *mhd = ex->mhd;
	struct mh_str text =
		mh_str(header(&ex->req, MHD_HTTP_HEADER_CONTENT_LENGTH));
	int64_t announced = 0;

	ex->begun = true;
	set_deadline(ex->conn, mhd->body_ms);
	if (text.len > 0 && !mh_str_to_int(text, &announced))
		announced = INT64_MAX;
	if (announced < 0 || (size_t)announced <= body_max(mhd))
		return MHD_YES;

	/* Who asks before sending, or would send for long, is told at once. */
	refuse_too_large(ex);
	if ((size_t)announced > body_max(mhd) + DRAIN_MAX ||
	    header(&ex->req, MHD_HTTP_HEADER_EXPECT))
		return refuse(ex);
	return MHD_YES;
}

/* --- upgrades ----------------------------------------------------------- */

/* A connection that turned into the live channel, and its relay. */
struct upgrade {
	struct mh_mhd *mhd;
	struct mh_strbuf request; /* for the live thread */
	struct mh_ticket *ticket; /* the live thread's */
	struct MHD_UpgradeResponseHandle *handle;
	int fd; /* MHD's */
	struct mh_loop_call call;
	struct mh_relay *relay;
	struct upgrade *prev, *next; /* in mhd->upgrades */
};

static void leave_open(struct mh_stream *stream)
{
	free(stream);
}

/* The relay has ended, or never began: MHD gets its connection back. */
static void on_relay_end(void *context)
{
	struct upgrade *upgrade = context;
	struct mh_mhd *mhd = upgrade->mhd;

	if (upgrade->next)
		upgrade->next->prev = upgrade->prev;
	if (upgrade->prev)
		upgrade->prev->next = upgrade->next;
	else
		mhd->upgrades = upgrade->next;
	MHD_upgrade_action(upgrade->handle, MHD_UPGRADE_ACTION_CLOSE);
	mh_ticket_release(upgrade->ticket);
	mh_strbuf_release(&upgrade->request);
	free(upgrade);

	pthread_mutex_lock(&mhd->lock);
	mhd->n_upgrades--;
	pthread_cond_signal(&mhd->progress);
	pthread_mutex_unlock(&mhd->lock);
}

static void start_relay(struct mh_loop_call *call)
{
	struct upgrade *upgrade = MH_CONTAINER_OF(call, struct upgrade, call);
	struct mh_mhd *mhd = upgrade->mhd;
	struct mh_relay_options options = {
		.to_server = mh_strbuf_str(&upgrade->request),
		.swallow_upgrade = true,
		.ended = on_relay_end,
		.context = upgrade,
	};
	struct mh_relay *relay;
	int pair[2];

	upgrade->next = mhd->upgrades;
	if (upgrade->next)
		upgrade->next->prev = upgrade;
	mhd->upgrades = upgrade;
	if (__atomic_load_n(&mhd->stopping, __ATOMIC_RELAXED) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       pair) < 0) {
		on_relay_end(upgrade);
		return;
	}
	mhd->live(mhd->live_context, pair[0], MH_TAKE(upgrade->ticket));
	options.client = mh_stream_plain(upgrade->fd);
	options.client->close = leave_open;
	options.server = mh_stream_plain(pair[1]);
	relay = mh_relay_start(mhd->loop, &options);
	if (relay)
		upgrade->relay = relay;
}

static void end_upgrades(struct mh_loop_call *call)
{
	struct mh_mhd *mhd = MH_CONTAINER_OF(call, struct mh_mhd, end_upgrades);

	while (mhd->upgrades)
		mh_relay_end(mhd->upgrades->relay);
}

static void on_upgrade(void *context,
		       struct MHD_Connection *connection MH_UNUSED,
		       void *state MH_UNUSED, const char *extra,
		       size_t extra_len, MHD_socket fd,
		       struct MHD_UpgradeResponseHandle *handle)
{
	struct upgrade *upgrade = context;
	struct mh_mhd *mhd = upgrade->mhd;

	mh_strbuf_add(&upgrade->request, extra, extra_len);
	upgrade->fd = fd;
	upgrade->handle = handle;
	upgrade->call.run = start_relay;
	pthread_mutex_lock(&mhd->lock);
	mhd->n_upgrades++;
	pthread_mutex_unlock(&mhd->lock);
	mh_loop_call(mhd->loop, &upgrade->call);
}

static enum MHD_Result add_header(void *context,
				  enum MHD_ValueKind kind MH_UNUSED,
				  const char *name, const char *value)
{
	if (value && !mh_upgrade_drops(name))
		mh_strbuf_addf(context, "%s: %s\r\n", name, value);
	return MHD_YES;
}

static enum MHD_Result reply_upgrade(struct exchange *ex)
{
	char accept[MH_WEBSOCKET_ACCEPT_SIZE];
	struct upgrade *upgrade;

	if (mh_upgrade_check(&ex->req, accept, &ex->error) < 0)
		return refuse(ex);
	upgrade = MH_NEW(struct upgrade);
	upgrade->mhd = ex->mhd;
	upgrade->ticket = mh_ticket_copy(ex->conn->ticket);
	mh_strbuf_init(&upgrade->request);
	mh_strbuf_addf(&upgrade->request, "GET %.*s HTTP/1.1\r\n",
		       MH_STR_ARG(ex->req.target));
	MHD_get_connection_values(ex->connection, MHD_HEADER_KIND, add_header,
				  &upgrade->request);
	mh_strbuf_addlit(&upgrade->request, "\r\n");

	ex->status = MHD_HTTP_SWITCHING_PROTOCOLS;
	ex->reply = MHD_create_response_for_upgrade(on_upgrade, upgrade);
	MH_ASSERT(ex->reply);
	MHD_add_response_header(ex->reply, MHD_HTTP_HEADER_UPGRADE,
				"websocket");
	MHD_add_response_header(ex->reply, "Sec-WebSocket-Accept", accept);
	MHD_add_response_header(ex->reply, "Sec-WebSocket-Protocol",
				MH_LIVE_SUBPROTOCOL);
	return queue_reply(ex);
}

/* --- to the router ------------------------------------------------------ */

static enum MHD_Result add_forwarded(void *context,
				     enum MHD_ValueKind kind MH_UNUSED,
				     const char *name, const char *value)
{
	struct mh_strbuf *list = context;

	if (value && !strcasecmp(name, "X-Forwarded-For")) {
		if (list->len > 0)
			mh_strbuf_addch(list, ',');
		mh_strbuf_addstr(list, mh_str(value));
	}
	return MHD_YES;
}

static void find_client(struct exchange *ex)
{
	const struct mh_ticket *ticket = ex->conn->ticket;
	MH_STRBUF(forwarded);
	char text[64];

	if (header(&ex->req, "X-Forwarded-For"))
		MHD_get_connection_values(ex->connection, MHD_HEADER_KIND,
					  add_forwarded, &forwarded);
	if (forwarded.len > 0) {
		mh_peers_client(ex->mhd->peers, ticket,
				mh_strbuf_str(&forwarded), text);
		ex->req.remote_address =
			mh_arena_str(&ex->req.arena, mh_str(text));
	} else {
		ex->req.remote_address = mh_str(ticket->text);
	}
}

static enum MHD_Result handle(struct exchange *ex)
{
	struct mh_mhd *mhd = ex->mhd;
	enum state before = STATE_HANDLED;

	if (!ex->refused && __atomic_load_n(&mhd->stopping, __ATOMIC_RELAXED)) {
		ex->refused = true;
		mh_fail_status(&ex->error, 503, MH_M_UNKNOWN,
			       "the node is stopping");
	}
	if (ex->refused)
		return refuse(ex);
	if (mhd->live && mh_upgrade_wanted(&ex->req))
		return reply_upgrade(ex);

	ex->req.body = mh_strbuf_str(&ex->body);
	find_client(ex);
	set_deadline(ex->conn, 0);
	set_active(ex, true);
	/* Too late to be told with the others: it shall not begin to wait. */
	if (__atomic_load_n(&mhd->stopping, __ATOMIC_SEQ_CST))
		mh_request_gone(&ex->req);
	__atomic_store_n(&ex->state, STATE_HANDLED, __ATOMIC_RELEASE);
	mh_router_handle(mhd->server->router, &ex->req);
	if (__atomic_load_n(&ex->state, __ATOMIC_ACQUIRE) == STATE_REPLIED)
		return queue_reply(ex);

	set_first_in_turn(ex, true);
	__atomic_add_fetch(&mhd->suspended, 1, __ATOMIC_RELAXED);
	MHD_suspend_connection(ex->connection);
	/* Who replies from here on resumes; who did in between left it to us.
	 */
	if (!__atomic_compare_exchange_n(&ex->state, &before, STATE_SUSPENDED,
					 false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		resume(ex);
	return MHD_YES;
}

/* --- connections -------------------------------------------------------- */

/*
 * MHD_add_connection() keeps a copy of the "address" for as long as the
 * connection lives, and so carries the ticket to on_connection().
 */
struct address {
	struct sockaddr_storage address;
	struct mh_ticket *ticket;
};

static struct conn *conn_new(struct mh_mhd *mhd,
			     struct MHD_Connection *connection)
{
	struct conn *conn = MH_NEW(struct conn);
	const union MHD_ConnectionInfo *info;
	struct address address;

	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	memcpy(&address, info->client_addr, sizeof(address));
	conn->ticket = address.ticket;
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	conn->fd = info->connect_fd;
	conn->mhd = mhd;
	set_deadline(conn, mhd->header_ms);
	return conn;
}

/* --- libmicrohttpd's callbacks ---------------------------------------------
 */

static void *log_uri(void *context, const char *uri,
		     struct MHD_Connection *connection)
{
	struct exchange *ex = MH_NEW(struct exchange);

	ex->mhd = context;
	ex->connection = connection;
	ex->refs = 1;
	mh_strbuf_init(&ex->body);
	mh_error_init(&ex->error);
	mh_request_init(&ex->req, ex->mhd->server);
	ex->req.target = mh_arena_str(&ex->req.arena, mh_str(uri));
	ex->req.header = header;
	ex->req.respond = respond;
	ex->req.watch = watch;
	return ex;
}

static enum MHD_Result on_request(void *context MH_UNUSED,
				  struct MHD_Connection *connection,
				  const char *url MH_UNUSED, const char *method,
				  const char *version MH_UNUSED,
				  const char *data, size_t *len, void **state)
{
	struct exchange *ex = *state;

	if (!ex->begun) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

		ex->conn = info->socket_context;
		ex->req.method = mh_method_parse(mh_str(method));
		return begin(ex);
	}
	if (*len > 0)
		return take_body(ex, data, len);
	if (__atomic_load_n(&ex->state, __ATOMIC_ACQUIRE) == STATE_REPLIED) {
		set_first_in_turn(ex, false);
		return queue_reply(ex);
	}
	return handle(ex);
}

static void on_completed(void *context, struct MHD_Connection *connection,
			 void **state,
			 enum MHD_RequestTerminationCode code MH_UNUSED)
{
	struct mh_mhd *mhd = context;
	struct exchange *ex = *state;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (!ex)
		return;
	*state = NULL;
	if (info->socket_context)
		set_deadline(info->socket_context,
			     mhd->idle_ms + mhd->header_ms);
	pthread_mutex_lock(&mhd->lock);
	if (ex->counted) {
		mhd->busy--;
		pthread_cond_signal(&mhd->progress);
	}
	pthread_mutex_unlock(&mhd->lock);
	unref(ex);
}

static void on_connection(void *context, struct MHD_Connection *connection,
			  void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct mh_mhd *mhd = context;
	struct conn *conn = *state;

	pthread_mutex_lock(&mhd->lock);
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn = conn_new(mhd, connection);
		conn->next = mhd->conns;
		if (conn->next)
			conn->next->prev = conn;
		mhd->conns = conn;
		*state = conn;
		conn = NULL;
	} else {
		if (conn->next)
			conn->next->prev = conn->prev;
		if (conn->prev)
			conn->prev->next = conn->next;
		else
			mhd->conns = conn->next;
		*state = NULL;
	}
	pthread_mutex_unlock(&mhd->lock);
	if (conn) {
		mh_ticket_release(conn->ticket);
		free(conn);
	}
}

/* Clients ask for all manner of things; what MHD says of it is for debugging.
 */
static void on_log(void *context MH_UNUSED, const char *format, va_list args)
{
	char text[512];
	size_t len;

	if (!mh_log_enabled(MH_LOG_DEBUG))
		return;
	vsnprintf(text, sizeof(text), format, args);
	len = strcspn(text, "\r\n");
	mh_log_debug("http", "libmicrohttpd: %.*s", (int)len, text);
}

/* Nothing is decoded before the router has split it. */
static size_t leave_escaped(void *context MH_UNUSED,
			    struct MHD_Connection *connection MH_UNUSED,
			    char *text)
{
	return strlen(text);
}

/* --- deadlines ---------------------------------------------------------- */

static void sweep(struct mh_loop_timer *timer)
{
	struct mh_mhd *mhd = MH_CONTAINER_OF(timer, struct mh_mhd, sweep);
	int64_t now = mh_loop_now(mhd->loop);

	pthread_mutex_lock(&mhd->lock);
	for (struct conn *conn = mhd->conns; conn; conn = conn->next) {
		int64_t due =
			__atomic_load_n(&conn->deadline, __ATOMIC_RELAXED);

		/* MHD reads the end of the stream and closes. */
		if (due && due <= now)
			shutdown(conn->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&mhd->lock);
	mh_loop_timer_set(mhd->loop, timer, now + mhd->sweep_ms);
}

/* --- the way in --------------------------------------------------------- */

void mh_mhd_add(struct mh_mhd *mhd, int fd, struct mh_ticket *ticket)
{
	struct address address = { .ticket = ticket };

	address.address.ss_family = AF_INET;
	/* Closes the socket when it fails. */
	if (MHD_add_connection(mhd->daemon, fd,
			       (struct sockaddr *)&address.address,
			       sizeof(address)) != MHD_YES) {
		mh_log_warn("http", "cannot take a connection");
		mh_ticket_release(ticket);
	}
}

/* --- starting and stopping ------------------------------------------------ */

static int start_daemon(struct mh_mhd *mhd, const struct mh_settings *settings,
			struct mh_error *err)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD |
			 MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
			 MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
			 MHD_USE_ERROR_LOG;

	mhd->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, mhd,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_CONNECTION_TIMEOUT, mhd->idle_s,
		/* The acceptor keeps the limit; tickets are not lost here. */
		MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)settings->listen.max_connections * 2,
		MHD_OPTION_URI_LOG_CALLBACK, log_uri, mhd,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, mhd,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, mhd,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!mhd->daemon)
		return mh_fail_internal(err, "cannot start libmicrohttpd");
	return 0;
}

int mh_mhd_start(const struct mh_mhd_options *options, struct mh_mhd **ret,
		 struct mh_error *err)
{
	const struct mh_settings *settings = options->settings;
	struct mh_mhd *mhd = MH_NEW(struct mh_mhd);
	struct mh_watcher_options watcher = { options->loop, hold, on_gone };
	pthread_condattr_t attr;
	int64_t shortest;

	mhd->server = options->server;
	mhd->peers = options->peers;
	mhd->loop = options->loop;
	mhd->live = options->live;
	mhd->live_context = options->live_context;
	mhd->header_ms = settings->limits.header_timeout;
	mhd->body_ms = settings->limits.body_timeout;
	mhd->idle_ms = settings->limits.idle_timeout;
	mhd->idle_s = (unsigned)((mhd->idle_ms + 999) / 1000);
	mhd->body_budget = (size_t)(settings->memory.budget / 2);
	mhd->resume_timer.expired = on_resume_timer;
	mhd->resume_call.run = start_resume_timer;
	mhd->end_upgrades.run = end_upgrades;
	mhd->sweep.expired = sweep;
	pthread_mutex_init(&mhd->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&mhd->progress, &attr);
	pthread_condattr_destroy(&attr);

	shortest =
		mhd->header_ms < mhd->body_ms ? mhd->header_ms : mhd->body_ms;
	mhd->sweep_ms = shortest < 4000 ? shortest / 4 : 1000;
	if (mh_watcher_new(&watcher, &mhd->watcher, err) < 0 ||
	    start_daemon(mhd, settings, err) < 0) {
		mh_mhd_free(mhd);
		return -1;
	}
	mh_loop_timer_set(mhd->loop, &mhd->sweep,
			  mh_loop_now(mhd->loop) + mhd->sweep_ms);
	*ret = mhd;
	return 0;
}

/* Tells every handler that waits; each once. */
static void tell_all(struct mh_mhd *mhd)
{
	struct exchange *ex;

	for (;;) {
		pthread_mutex_lock(&mhd->lock);
		for (ex = mhd->active; ex && ex->told; ex = ex->next)
			;
		if (ex) {
			ex->told = true;
			hold(ex);
		}
		pthread_mutex_unlock(&mhd->lock);
		if (!ex)
			return;
		on_gone(ex);
	}
}

/*
 * Every request that the router has is replied to, for nothing waits for ever
 * that has been told; then the replies get a moment to leave.
 */
static void drain(struct mh_mhd *mhd)
{
	struct timespec due;

	tell_all(mhd);
	pthread_mutex_lock(&mhd->lock);
	while (mhd->active || mhd->n_upgrades > 0)
		pthread_cond_wait(&mhd->progress, &mhd->lock);
	pthread_mutex_unlock(&mhd->lock);
	resume_all(mhd);

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += LAST_REPLIES_MS / 1000;
	pthread_mutex_lock(&mhd->lock);
	while (mhd->busy > 0 &&
	       pthread_cond_timedwait(&mhd->progress, &mhd->lock, &due) == 0)
		;
	pthread_mutex_unlock(&mhd->lock);
}

void mh_mhd_stop(struct mh_mhd *mhd)
{
	if (!mhd || !mhd->daemon)
		return;
	__atomic_store_n(&mhd->stopping, true, __ATOMIC_SEQ_CST);
	mh_loop_call(mhd->loop, &mhd->end_upgrades);
	drain(mhd);
	MHD_stop_daemon(mhd->daemon);
	mhd->daemon = NULL;
}

void mh_mhd_free(struct mh_mhd *mhd)
{
	if (!mhd)
		return;
	MH_ASSERT(!mhd->daemon && !mhd->conns);
	mh_watcher_free(mhd->watcher);
	pthread_cond_destroy(&mhd->progress);
	pthread_mutex_destroy(&mhd->lock);
	free(mhd);
}
