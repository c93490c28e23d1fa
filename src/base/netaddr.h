/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses in the configuration: where to listen, and which networks are
 * trusted. Text only; sockets are the transports'.
 */
#pragma once

#include "base/str.h"

/*
 * "127.0.0.1:8008", "[::1]:8008", "localhost:8008", "*:8008", or a UNIX socket:
 * "unix:/run/moothall/http.sock"
 */
struct mh_listen_address {
	char path[108]; /* of the UNIX socket; empty for the others */
	char host[256]; /* without brackets; empty for "*", all addresses */
	char port[6];	/* "8008", as getaddrinfo() wants it */
};

bool mh_listen_address_parse(struct mh_str text, struct mh_listen_address *ret);

/* An IPv6 address; IPv4 is mapped (::ffff:a.b.c.d). */
struct mh_ip {
	uint8_t bytes[16];
};

struct mh_network {
	struct mh_ip ip;
	unsigned bits; /* of the mapped form: 0 to 128 */
};

bool mh_ip_parse(struct mh_str text, struct mh_ip *ret);
/* "10.0.0.0/8", "::1", "fd00::/8" */
bool mh_network_parse(struct mh_str text, struct mh_network *ret);
bool mh_network_contains(const struct mh_network *network,
			 const struct mh_ip *ip);
