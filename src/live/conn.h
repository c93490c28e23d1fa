/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of the live channel, whatever carries it: libwebsockets in the
 * daemon (websocket.c), memory in a simulation. The transport makes a struct
 * mh_live_conn and calls the handler; session.c is the handler and calls the
 * operations.
 *
 *	struct mh_live_buf *buf = mh_live_buf_new(len);
 *	memcpy(mh_live_buf_data(buf), json, len);
 *	for each listener: mh_live_send(conn, buf);	(each takes a reference)
 *	mh_live_buf_unref(buf);
 *
 * The handler's functions run on the transport's thread, never two at a time
 * for one connection, and must not wait or read the store: they copy what they
 * need and submit a task. The operations may be called on any thread.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>

struct mh_server;
struct mh_live_conn;

/* --- messages ----------------------------------------------------------- */

/*
 * A message to send: counted references, immutable once sent, the same bytes
 * for as many connections as shall have them. Any thread.
 */
struct mh_live_buf;

struct mh_live_buf *mh_live_buf_new(size_t len);
struct mh_live_buf *mh_live_buf_ref(struct mh_live_buf *buf);
void mh_live_buf_unref(struct mh_live_buf *buf);
MH_DEFINE_CLEANUP(struct mh_live_buf *, mh_live_buf_unref)
/* Where the bytes are to be written, and how many there are. */
char *mh_live_buf_data(struct mh_live_buf *buf);
size_t mh_live_buf_len(const struct mh_live_buf *buf);

/* Free bytes that lie before the data, for the transport's frame header. */
#define MH_LIVE_HEADROOM 16

/* --- why a connection is closed ------------------------------------------- */

enum mh_live_close {
	MH_LIVE_CLOSE_NORMAL = 1000,
	MH_LIVE_CLOSE_GOING_AWAY = 1001, /* the node stops: come back */
	MH_LIVE_CLOSE_TOO_BIG = 1009,	 /* MH_LIVE_MAX_MESSAGE */
	MH_LIVE_CLOSE_INTERNAL = 1011,
	MH_LIVE_CLOSE_UNAUTHORIZED = 4001, /* no token, or it has ended */
	MH_LIVE_CLOSE_BAD_MESSAGE = 4002,
	MH_LIVE_CLOSE_TIMEOUT = 4003, /* did not authenticate in time */
	MH_LIVE_CLOSE_SLOW = 4008,    /* reads too slowly: resume with `since` */
	MH_LIVE_CLOSE_LIMIT = 4029,   /* too many connections or requests */
};

/* The largest message that is taken from a client, in bytes. */
#define MH_LIVE_MAX_MESSAGE (256 * 1024)

/* --- connections -------------------------------------------------------- */

/* What the upgrade request said; borrowed for the call. */
struct mh_live_hello {
	struct mh_str authorization; /* the header; data NULL when absent */
	struct mh_str query;	     /* still encoded, without the '?' */
};

struct mh_live_handler {
	/*
	 * A connection is open. The handler keeps its own state in
	 * conn->session. It may close the connection at once.
	 */
	void (*opened)(struct mh_live_conn *conn,
		       const struct mh_live_hello *hello);
	/* A whole message, UTF-8, borrowed for the call. */
	void (*received)(struct mh_live_conn *conn, struct mh_str message);
	/* Everything that was sent has been handed to the network. */
	void (*drained)(struct mh_live_conn *conn);
	/*
	 * The last call. The transport drops its reference afterwards; whoever
	 * holds another may go on calling the operations, to no effect.
	 */
	void (*closed)(struct mh_live_conn *conn);
};

struct mh_live_ops {
	int (*send)(struct mh_live_conn *conn, struct mh_live_buf *buf);
	void (*close)(struct mh_live_conn *conn, enum mh_live_close code,
		      const char *reason);
	void (*hold)(struct mh_live_conn *conn, bool on);
	size_t (*queued)(struct mh_live_conn *conn);
	void (*destroy)(struct mh_live_conn *conn);
};

/* The transport embeds this in what it keeps for a connection. */
struct mh_live_conn {
	struct mh_server *server;
	const struct mh_live_handler *handler;
	const struct mh_live_ops *ops;
	char remote_address[64]; /* after trusted proxies; NUL-terminated */
	int refs;		 /* atomic */
	void *session;		 /* the handler's */
};

struct mh_live_conn *mh_live_conn_ref(struct mh_live_conn *conn);
void mh_live_conn_unref(struct mh_live_conn *conn);
MH_DEFINE_CLEANUP(struct mh_live_conn *, mh_live_conn_unref)

/*
 * Queues one message. -1 when the connection is closed or closing, and when
 * more than [live] max_backlog bytes would wait: it is then closed with
 * MH_LIVE_CLOSE_SLOW. (A single message may be larger.)
 */
static inline int mh_live_send(struct mh_live_conn *conn,
			       struct mh_live_buf *buf)
{
	return conn->ops->send(conn, buf);
}

/*
 * Closes after what is queued has been sent, except with MH_LIVE_CLOSE_SLOW,
 * which drops it. `reason` is at most 123 bytes and is copied. The first close
 * counts.
 */
static inline void mh_live_close(struct mh_live_conn *conn,
				 enum mh_live_close code, const char *reason)
{
	conn->ops->close(conn, code, reason);
}

/*
 * Stops reading from the client (who then is slowed down by TCP), or goes on:
 * for when it has too many requests under way. received() may still be called
 * for messages that had arrived.
 */
static inline void mh_live_hold(struct mh_live_conn *conn, bool on)
{
	conn->ops->hold(conn, on);
}

/* Bytes that wait to be sent. */
static inline size_t mh_live_queued(struct mh_live_conn *conn)
{
	return conn->ops->queued(conn);
}
