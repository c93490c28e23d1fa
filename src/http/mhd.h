/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by libmicrohttpd: one epoll thread of its own, without a listening
 * socket. The acceptor hands sockets over; requests go to the router, and
 * their connections are suspended until somebody has replied.
 *
 * libmicrohttpd knows idleness only. What it does not do is done here: total
 * deadlines for headers, bodies and replies, noticing that the client of a
 * suspended connection has left, raw request targets, bounds on the memory of
 * bodies, and waking suspended connections in batches, for each wake-up walks
 * all of them.
 */
#pragma once

#include "http/loop.h"
#include "http/peers.h"
#include "http/request.h"

struct mh_mhd;

struct mh_mhd_options {
	struct mh_server *server;
	const struct mh_settings *settings;
	struct mh_peers *peers;
	struct mh_loop *loop; /* not started yet */
	/*
	 * Takes a socket, and its ticket, on which the live channel's upgrade
	 * request will arrive: for upgrades on a kept-alive connection. NULL
	 * when there is no live channel. Any thread.
	 */
	void (*live)(void *context, int fd, struct mh_ticket *ticket);
	void *live_context;
};

int mh_mhd_start(const struct mh_mhd_options *options, struct mh_mhd **ret,
		 struct mh_error *err);
/* Takes over a connection and its ticket, whatever comes of it. Any thread. */
void mh_mhd_add(struct mh_mhd *mhd, int fd, struct mh_ticket *ticket);
/*
 * Has every waiting request answered, gives the answers a moment to leave,
 * closes all connections and joins the thread. The loop must still run (or never
 * have been started).
 */
void mh_mhd_stop(struct mh_mhd *mhd);
/* With the loop stopped. */
void mh_mhd_free(struct mh_mhd *mhd);
