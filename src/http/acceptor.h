/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening sockets. One port serves both HTTP and the live channel: a new
 * connection is looked at with MSG_PEEK until its request line tells which of
 * the two it wants (sniff.h), and is then handed over unread. On TLS listeners
 * the first bytes have to be read, so there the server gets one end of a socket
 * pair, and a relay does the rest.
 *
 * Who sends nothing, or does not come to the end of a handshake, is closed when
 * the header's time is up. Limits on connections are in peers.h; while there are
 * too many the rest wait in the kernel's queue.
 */
#pragma once

#include "http/loop.h"
#include "http/peers.h"

struct mh_acceptor;

struct mh_acceptor_options {
	const struct mh_settings *settings;
	struct mh_peers *peers;
	struct mh_loop *loop; /* not started yet */
	/* Both take the socket and the ticket. On the loop. */
	void (*http)(void *context, int fd, struct mh_ticket *ticket);
	/* NULL when there is no live channel. */
	void (*live)(void *context, int fd, struct mh_ticket *ticket);
	void *context;
};

/*
 * Opens every address of [listen]. Connections are taken once the loop runs.
 * Fails with a message that names the address.
 */
int mh_acceptor_open(const struct mh_acceptor_options *options,
		     struct mh_acceptor **ret, struct mh_error *err);
/* Reads the certificate again, for new connections. Any thread. */
int mh_acceptor_reload(struct mh_acceptor *acceptor,
		       const struct mh_settings *settings,
		       struct mh_error *err);
/*
 * Closes the listening sockets and connections that were not handed over.
 * Relays of TLS go on. Any thread but the loop's, which must run.
 */
void mh_acceptor_stop(struct mh_acceptor *acceptor);
/* With the loop stopped: ends the relays too. */
void mh_acceptor_free(struct mh_acceptor *acceptor);
