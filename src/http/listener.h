/* SPDX-License-Identifier: Apache-2.0 */
/* Opens listening sockets from the addresses of the configuration. */
#pragma once

#include "base/netaddr.h"
#include "base/error.h"

#define MH_LISTEN_MAX 16 /* sockets that one address may lead to */

/*
 * Listens on all that `text` means: a name may have several addresses, and "*"
 * is all of IPv6 and of IPv4. The sockets do not block. Returns how many; -1
 * with a message that names the address.
 */
int mh_listen(const char *text, int fds[static MH_LISTEN_MAX],
	      struct mh_error *err);
