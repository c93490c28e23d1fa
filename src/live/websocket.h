/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live channel over WebSocket: the transport of conn.h. One thread with
 * libwebsockets on libuv owns every connection; sockets come from the acceptor,
 * which has looked at the request line and read nothing.
 */
#pragma once

#include "base/error.h"
#include "base/settings.h"
#include "http/peers.h"
#include "live/conn.h"

/* The subprotocol; the path is MH_LIVE_PATH of http/sniff.h. */
#define MH_LIVE_PROTOCOL "m.json"

struct mh_websocket;

/*
 * Starts the thread. Fails with a message for the operator, who may lack the
 * event library that libwebsockets loads as a plug-in. `settings` and `handler`
 * are borrowed.
 */
int mh_websocket_start(struct mh_server *server,
		       const struct mh_settings *settings,
		       const struct mh_live_handler *handler,
		       struct mh_websocket **ret, struct mh_error *err);

/*
 * Takes over a socket on which an upgrade request is arriving, and its ticket;
 * it is closed where it cannot be served. Any thread.
 */
void mh_websocket_adopt(struct mh_websocket *websocket, int fd,
			struct mh_ticket *ticket);

/* Connections open now, for the status. Any thread. */
size_t mh_websocket_count(struct mh_websocket *websocket);

/*
 * Closes every connection with MH_LIVE_CLOSE_GOING_AWAY, calls the handler's
 * closed() for each, and joins the thread.
 */
void mh_websocket_stop(struct mh_websocket *websocket);
