/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session of the live channel: its life, and the stream of updates.
 *
 * The stream is one task on the workers, run when there may be news (the
 * notifier), when the client has caught up (the transport), or to begin. It
 * builds one update with the sync builder, sends it, and runs again until there
 * is nothing more; then it waits with the notifier. It never builds ahead of a
 * client that reads slowly: what such a client misses meanwhile comes in one
 * update, as it would from /sync.
 *
 * A session is referred to by its connection (until closed()), by each task and
 * timer that is under way, and by the notifier while it waits.
 */
#include "live/session_impl.h"

#include "base/log.h"
#include "http/uri.h"
#include "service/account_data.h"
#include "service/sessions.h"

#include <stdlib.h>
#include <string.h>

/* --- references ---------------------------------------------------------------- */

struct mh_live_session *mh_live_session_ref(struct mh_live_session *session)
{
	__atomic_add_fetch(&session->refs, 1, __ATOMIC_RELAXED);
	return session;
}

static void wipe_token(struct mh_live_session *session)
{
	if (session->token)
		explicit_bzero(session->token, session->token_len);
	free(session->token);
	session->token = NULL;
}

void mh_live_session_unref(struct mh_live_session *session)
{
	if (__atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	wipe_token(session);
	mh_filter_unref(session->filter);
	mh_live_conn_unref(session->conn);
	mh_arena_release(&session->arena);
	pthread_mutex_destroy(&session->mutex);
	free(session);
}

void mh_live_session_send(struct mh_live_session *session,
			  struct mh_strbuf *buf)
{
	struct mh_live_buf *message = mh_live_buf_new(buf->len);

	memcpy(mh_live_buf_data(message), buf->data, buf->len);
	mh_strbuf_clear(buf);
	/* It may be closed already: then there is nobody to tell. */
	if (mh_live_send(session->conn, message) < 0)
		mh_log_debug("live", "a message came too late for '%s'",
			     session->conn->remote_address);
	mh_live_buf_unref(message);
}

static void close_for(struct mh_live_session *session,
		      const struct mh_error *err)
{
	switch (err->code) {
	case MH_M_UNKNOWN_TOKEN:
	case MH_M_MISSING_TOKEN:
	case MH_M_USER_LOCKED:
		mh_live_close(session->conn, MH_LIVE_CLOSE_UNAUTHORIZED,
			      mh_errcode_name(err->code));
		return;
	case MH_M_UNKNOWN:
		mh_log_error("live", "a stream failed: %s", err->message);
		mh_live_close(session->conn, MH_LIVE_CLOSE_INTERNAL,
			      "internal server error");
		return;
	default:
		mh_live_close(session->conn, MH_LIVE_CLOSE_BAD_MESSAGE,
			      mh_errcode_name(err->code));
	}
}

/* --- the stream ------------------------------------------------------------------- */

void mh_live_session_poke(struct mh_live_session *session)
{
	bool submit;

	pthread_mutex_lock(&session->mutex);
	submit = session->started && !session->closed && !session->stream_busy;
	if (submit)
		session->stream_busy = true;
	else
		session->stream_again = true;
	pthread_mutex_unlock(&session->mutex);
	if (!submit)
		return;
	mh_live_session_ref(session);
	mh_queue_submit(session->server->workers, &session->stream_task);
}

static void news(struct mh_waiter *waiter, bool stopping)
{
	struct mh_live_session *session =
		MH_CONTAINER_OF(waiter, struct mh_live_session, waiter);

	pthread_mutex_lock(&session->mutex);
	session->waiting = false;
	pthread_mutex_unlock(&session->mutex);
	if (stopping)
		mh_live_close(session->conn, MH_LIVE_CLOSE_GOING_AWAY,
			      "the server stops");
	else
		mh_live_session_poke(session);
	mh_live_session_unref(session);
}

static void cancel_timer(struct mh_live_session *session,
			 struct mh_timer *timer)
{
	if (mh_timer_cancel(session->server->executor, timer))
		mh_live_session_unref(session);
}

static bool is_closed(struct mh_live_session *session)
{
	bool closed;

	pthread_mutex_lock(&session->mutex);
	closed = session->closed;
	pthread_mutex_unlock(&session->mutex);
	return closed;
}

/* Tokens end while a channel is open: each update is for who still may. */
static int check_token(struct mh_live_session *session, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_requester who;
	struct mh_str token;

	pthread_mutex_lock(&session->mutex);
	token = mh_arena_str(&arena, mh_str_n(session->token,
					      session->token_len));
	pthread_mutex_unlock(&session->mutex);
	return mh_sessions_authenticate(session->server, token, false, &arena,
					&who, err);
}

/* 1: sent something; 0: there was nothing; -1. */
static int send_update(struct mh_live_session *session, struct mh_error *err)
{
	struct mh_sync_query *query = &session->query;
	struct mh_sync_token token;
	MH_STRBUF(body);
	bool empty;

	if (check_token(session, err) < 0 ||
	    mh_sync_build(session->server,
			  mh_store_reader(session->server->store), query, &body,
			  &empty, &token, err) < 0)
		return -1;
	query->has_since = true;
	query->since = token;
	query->full_state = false;
	if (empty && session->greeted)
		return 0;
	session->greeted = true;
	mh_live_session_send(session, &body);
	return 1;
}

static void too_slow(struct mh_task *task)
{
	struct mh_live_session *session = MH_CONTAINER_OF(
		task, struct mh_live_session, slow_timer.task);
	bool slow;

	pthread_mutex_lock(&session->mutex);
	slow = session->slow;
	pthread_mutex_unlock(&session->mutex);
	if (slow)
		mh_live_close(session->conn, MH_LIVE_CLOSE_SLOW,
			      "the client reads too slowly");
	mh_live_session_unref(session);
}

/* True when it had been slow. */
static bool not_slow(struct mh_live_session *session)
{
	bool was;

	pthread_mutex_lock(&session->mutex);
	was = session->slow;
	session->slow = false;
	pthread_mutex_unlock(&session->mutex);
	if (was)
		cancel_timer(session, &session->slow_timer);
	return was;
}

/*
 * True when the client has enough to read for now; then drained() pokes. Should
 * that have come just before `slow` was set, the second look sees it.
 */
static bool is_behind(struct mh_live_session *session)
{
	bool begins;

	if (mh_live_queued(session->conn) <= MH_LIVE_AHEAD)
		return false;
	pthread_mutex_lock(&session->mutex);
	begins = !session->slow;
	session->slow = true;
	pthread_mutex_unlock(&session->mutex);
	if (begins) {
		mh_live_session_ref(session);
		mh_timer_set(session->server->executor, &session->slow_timer,
			     mh_clock_mono(session->server->clock) +
				     MH_LIVE_SLOW_MS);
	}
	if (mh_live_queued(session->conn) > 0)
		return true;
	not_slow(session);
	return false;
}

/* Takes the waiter back. False: it is being woken, and that pokes. */
static bool stop_waiting(struct mh_live_session *session)
{
	bool out;

	if (mh_waiter_remove(session->server, &session->waiter)) {
		pthread_mutex_lock(&session->mutex);
		session->waiting = false;
		pthread_mutex_unlock(&session->mutex);
		mh_live_session_unref(session);
	}
	pthread_mutex_lock(&session->mutex);
	out = session->waiting;
	pthread_mutex_unlock(&session->mutex);
	return !out;
}

static void start_waiting(struct mh_live_session *session, uint64_t ticket)
{
	pthread_mutex_lock(&session->mutex);
	session->waiting = true;
	pthread_mutex_unlock(&session->mutex);
	mh_live_session_ref(session);
	mh_waiter_add(session->server, &session->waiter, ticket);
	/* closed() looks for the waiter too, but may have looked before. */
	if (is_closed(session))
		stop_waiting(session);
}

/* 1: look again at once; 0: somebody will poke; -1. */
static int stream_once(struct mh_live_session *session, struct mh_error *err)
{
	uint64_t ticket =
		mh_notifier_ticket(session->server, session->who.user);
	int rc;

	if (!stop_waiting(session) || is_behind(session))
		return 0;
	rc = send_update(session, err);
	if (rc == 0)
		start_waiting(session, ticket);
	return rc;
}

static void run_stream(struct mh_task *task)
{
	struct mh_live_session *session =
		MH_CONTAINER_OF(task, struct mh_live_session, stream_task);
	bool again = false;
	MH_ERROR(err);
	int rc = is_closed(session) ? 0 : stream_once(session, &err);

	if (rc < 0)
		close_for(session, &err);
	pthread_mutex_lock(&session->mutex);
	again = rc >= 0 && (rc > 0 || session->stream_again) &&
		!session->closed;
	session->stream_again = false;
	session->stream_busy = again;
	pthread_mutex_unlock(&session->mutex);
	if (again)
		mh_queue_submit(session->server->workers,
				&session->stream_task);
	else
		mh_live_session_unref(session);
}

/* --- beginning ----------------------------------------------------------------------- */

static int take_token(struct mh_live_session *session, struct mh_str token,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_requester who;

	if (mh_sessions_authenticate(session->server, token, false, &arena,
				     &who, err) < 0)
		return -1;
	if (session->authenticated && (who.user != session->who.user ||
				       who.device != session->who.device))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "the token is another device's");
	pthread_mutex_lock(&session->mutex);
	wipe_token(session);
	session->token = mh_str_dup(token);
	session->token_len = token.len;
	pthread_mutex_unlock(&session->mutex);
	if (session->authenticated)
		return 0;
	session->who = who;
	session->who.user_id = mh_arena_str(&session->arena, who.user_id);
	session->who.device_id = mh_arena_str(&session->arena, who.device_id);
	session->authenticated = true;
	return 0;
}

static int take_wishes(struct mh_live_session *session,
		       const struct mh_live_wishes *wishes,
		       struct mh_error *err)
{
	struct mh_server *server = session->server;
	struct mh_sync_query *query = &session->query;

	session->presence = MH_PRESENCE_ONLINE;
	if (wishes->set_presence.len &&
	    !mh_presence_from(wishes->set_presence, &session->presence))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'set_presence' must be online, unavailable or "
			       "offline");
	query->has_since = wishes->since.len > 0;
	if (query->has_since &&
	    mh_sync_token_parse(server, wishes->since, &query->since, err) < 0)
		return -1;
	if (wishes->filter.len) {
		if (mh_filter_resolve(mh_store_reader(server->store),
				      session->who.user, wishes->filter,
				      &session->filter, err) < 0)
			return -1;
	} else {
		session->filter = mh_filter_default();
	}
	query->who = &session->who;
	query->filter = session->filter;
	query->full_state = wishes->full_state;
	query->use_state_after = wishes->use_state_after;
	return 0;
}

int mh_live_session_auth(struct mh_live_session *session, struct mh_str token,
			 const struct mh_live_wishes *wishes,
			 struct mh_error *err)
{
	bool begins = !session->authenticated, closed;

	if (begins && session->filter) {
		/* An earlier attempt got this far. */
		mh_filter_unref(session->filter);
		session->filter = NULL;
	}
	if (take_token(session, token, err) < 0)
		return -1;
	if (!begins)
		return 0;
	if (take_wishes(session, wishes, err) < 0) {
		session->authenticated = false;
		return -1;
	}
	cancel_timer(session, &session->auth_timer);
	session->waiter.user = session->who.user;
	session->waiter.wake = news;
	mh_presence_syncing(session->server, session->who.user,
			    session->presence);
	pthread_mutex_lock(&session->mutex);
	session->started = true;
	closed = session->closed;
	session->present =
		!closed && session->presence != MH_PRESENCE_OFFLINE;
	if (session->present)
		mh_presence_waiting(session->server, session->who.user, 1);
	pthread_mutex_unlock(&session->mutex);
	mh_live_session_poke(session);
	return 0;
}

static void no_auth_came(struct mh_task *task)
{
	struct mh_live_session *session = MH_CONTAINER_OF(
		task, struct mh_live_session, auth_timer.task);

	mh_live_close(session->conn, MH_LIVE_CLOSE_TIMEOUT,
		      "no authentication");
	mh_live_session_unref(session);
}

/* --- what the transport says ------------------------------------------------------------ */

/* `name=value` of the query as members of an `auth` request's params. */
static void add_params(struct mh_arena *arena, struct mh_str query,
		       struct mh_strbuf *out)
{
	static const char *const flags[] = { "full_state", "use_state_after" };
	struct mh_str name, value;

	while (mh_uri_next_param(&query, &name, &value)) {
		bool is_flag = false;

		if (!mh_uri_decode_query(name, arena, &name) ||
		    !mh_uri_decode_query(value, arena, &value) ||
		    mh_str_is(name, "access_token"))
			continue;
		for (size_t i = 0; i < MH_ARRAY_LEN(flags); i++)
			is_flag |= mh_str_is(name, flags[i]);
		mh_json_add_comma(out);
		mh_json_add_str(out, name);
		mh_strbuf_addch(out, ':');
		if (is_flag && mh_str_is(value, "true"))
			mh_strbuf_addlit(out, "true");
		else if (is_flag)
			mh_strbuf_addlit(out, "false");
		else
			mh_json_add_str(out, value);
	}
}

/* An Authorization header is an `auth` request that needs no answer. */
static void auth_from_header(struct mh_live_session *session,
			     const struct mh_live_hello *hello)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	MH_STRBUF(message);

	if (hello->authorization.len <= 7 ||
	    strncasecmp(hello->authorization.data, "Bearer ", 7) != 0) {
		mh_live_close(session->conn, MH_LIVE_CLOSE_UNAUTHORIZED,
			      "M_MISSING_TOKEN");
		return;
	}
	mh_strbuf_addlit(&message, "{\"method\":\"auth\",\"params\":{"
				   "\"access_token\":");
	mh_json_add_str(&message, mh_str_from(hello->authorization, 7));
	add_params(&arena, hello->query, &message);
	mh_strbuf_addlit(&message, "}}");
	mh_live_session_receive(session, mh_strbuf_str(&message));
	explicit_bzero(message.data, message.len);
}

static void opened(struct mh_live_conn *conn, const struct mh_live_hello *hello)
{
	struct mh_live_session *session = MH_NEW(struct mh_live_session);
	struct mh_server *server = conn->server;

	session->refs = 1; /* the connection's, until closed() */
	session->conn = mh_live_conn_ref(conn);
	session->server = server;
	pthread_mutex_init(&session->mutex, NULL);
	mh_arena_init(&session->arena);
	session->stream_task.run = run_stream;
	session->request_task.run = mh_live_session_run_request;
	mh_timer_init(&session->auth_timer, server->workers, no_auth_came);
	mh_timer_init(&session->slow_timer, server->workers, too_slow);
	conn->session = session;
	mh_live_session_ref(session);
	mh_timer_set(server->executor, &session->auth_timer,
		     mh_clock_mono(server->clock) + MH_LIVE_AUTH_MS);
	if (hello->authorization.data)
		auth_from_header(session, hello);
}

static void received(struct mh_live_conn *conn, struct mh_str message)
{
	mh_live_session_receive(conn->session, message);
}

static void drained(struct mh_live_conn *conn)
{
	struct mh_live_session *session = conn->session;

	if (not_slow(session))
		mh_live_session_poke(session);
}

static void closed(struct mh_live_conn *conn)
{
	struct mh_live_session *session = conn->session;
	bool present;

	conn->session = NULL;
	pthread_mutex_lock(&session->mutex);
	session->closed = true;
	present = session->present;
	session->present = false;
	mh_live_session_drop_messages(session);
	pthread_mutex_unlock(&session->mutex);
	cancel_timer(session, &session->auth_timer);
	not_slow(session);
	stop_waiting(session);
	if (present)
		mh_presence_waiting(session->server, session->who.user, -1);
	mh_live_session_unref(session);
}

const struct mh_live_handler mh_live_session_handler = {
	.opened = opened,
	.received = received,
	.drained = drained,
	.closed = closed,
};
