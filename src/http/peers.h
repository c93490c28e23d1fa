/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected: how many connections in all and from each address, and
 * whom a proxy speaks for.
 *
 * An IPv6 client commands a whole /64, so that is what counts as an address
 * there. Trusted proxies, the machine itself and UNIX sockets are not limited
 * by address. Any thread.
 */
#pragma once

#include "base/netaddr.h"
#include "base/settings.h"

#include <sys/socket.h>

struct mh_peers;
struct mh_peer_entry;

/* The place of one open connection; whoever holds the socket holds it. */
struct mh_ticket {
	struct mh_peers *peers;
	struct mh_peer_entry *entry; /* NULL when not limited by address */
	struct mh_ip ip;
	bool local;    /* a UNIX socket: trusted */
	char text[64]; /* the address without port; empty for a UNIX socket */
};

/* Networks that may say for whom they speak. */
struct mh_networks {
	struct mh_network *items;
	size_t count;
};
/* Items that are no network were refused with the configuration. */
void mh_networks_parse(struct mh_networks *networks,
		       const struct mh_setting_list *list);
void mh_networks_release(struct mh_networks *networks);
bool mh_networks_contain(const struct mh_networks *networks,
			 const struct mh_ip *ip);

struct mh_peers *mh_peers_new(const struct mh_settings *settings);
/* All tickets must have been released. */
void mh_peers_free(struct mh_peers *peers);
/* For a reload: trusted proxies. */
void mh_peers_configure(struct mh_peers *peers,
			const struct mh_settings *settings);
/* Connections open now. */
size_t mh_peers_count(struct mh_peers *peers);
/* True when no more connections are to be accepted for now. */
bool mh_peers_full(struct mh_peers *peers);

/* NULL when there are too many connections from this address. */
struct mh_ticket *mh_peers_enter(struct mh_peers *peers,
				 const struct sockaddr *address);
void mh_ticket_release(struct mh_ticket *ticket);
/* Another one for the same peer, for a relay has two connections. */
struct mh_ticket *mh_ticket_copy(const struct mh_ticket *ticket);

/*
 * The address of the client: the connection's own, or, if that is a trusted
 * proxy's, the rightmost one of X-Forwarded-For that is not. `forwarded` is
 * the values of all such headers in order, joined by commas. What cannot be
 * read as an address ends the search. Writes a canonical text into `out`.
 */
void mh_peers_client(struct mh_peers *peers, const struct mh_ticket *ticket,
		     struct mh_str forwarded, char out[static 64]);
