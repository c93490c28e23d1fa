/* SPDX-License-Identifier: Apache-2.0 */
/* What session.c (the stream) and session_requests.c share. */
#pragma once

#include "core/filter.h"
#include "http/request.h"
#include "live/session.h"
#include "service/notifier.h"
#include "service/presence.h"
#include "service/sync.h"

#include <pthread.h>

struct mh_live_message {
	struct mh_live_message *next;
	size_t len;
	char text[];
};

/*
 * One connection's state. The mutex guards what several threads touch; what the
 * stream and the requests keep for themselves is touched by one task at a time.
 */
struct mh_live_session {
	int refs; /* atomic */
	struct mh_live_conn *conn;
	struct mh_server *server;
	pthread_mutex_t mutex;
	bool closed;

	/* Who it is; set once by `auth`, but for the token. */
	bool authenticated;
	char *token; /* NUL-terminated; NULL before `auth` */
	size_t token_len;
	struct mh_requester who; /* strings in `arena` */
	struct mh_arena arena;
	struct mh_timer auth_timer;

	/* Messages, in order; one at a time is worked on. */
	struct mh_live_message *first, *last;
	size_t n_waiting;
	bool request_busy, held;
	struct mh_task request_task;

	/* The stream's. */
	struct mh_task stream_task;
	bool stream_busy, stream_again;
	bool started, greeted; /* greeted: the first update was sent */
	struct mh_filter *filter;
	struct mh_sync_query query;
	enum mh_presence_state presence;
	bool present; /* counted by mh_presence_waiting() */
	struct mh_waiter waiter;
	bool waiting; /* until `waiter` was taken back, or its wake has run */
	bool slow;    /* slow_timer runs: until the client has caught up */
	struct mh_timer slow_timer;
};

struct mh_live_session *mh_live_session_ref(struct mh_live_session *session);
void mh_live_session_unref(struct mh_live_session *session);
/* Sends and empties `buf`. */
void mh_live_session_send(struct mh_live_session *session,
			  struct mh_strbuf *buf);

/* --- session.c ------------------------------------------------------------- */

/* What `auth` or the query says about the stream. */
struct mh_live_wishes {
	struct mh_str since;  /* empty: from the beginning */
	struct mh_str filter; /* JSON or a number; empty: none */
	struct mh_str set_presence;
	bool full_state, use_state_after;
};

/*
 * On a worker: authenticates, and begins to stream; or, on a session that is,
 * takes a new token of the same device. M_UNKNOWN_TOKEN, M_INVALID_PARAM, ...
 */
int mh_live_session_auth(struct mh_live_session *session, struct mh_str token,
			 const struct mh_live_wishes *wishes,
			 struct mh_error *err);
/* Has the stream look whether there is news. Any thread. */
void mh_live_session_poke(struct mh_live_session *session);

/* --- session_requests.c ------------------------------------------------------ */

/* A message has come. On the transport's thread. */
void mh_live_session_receive(struct mh_live_session *session,
			     struct mh_str message);
void mh_live_session_run_request(struct mh_task *task);
/* The connection is closed: forgets what waits. With the mutex held. */
void mh_live_session_drop_messages(struct mh_live_session *session);
