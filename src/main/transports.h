/* SPDX-License-Identifier: Apache-2.0 */
/* The transports of the daemon, wired together: who hands a socket to whom. */
#pragma once

#include "service/server.h"

struct mh_transports;

/* Listens, and serves server->router. M_UNKNOWN names the bad address. */
MH_NODISCARD int mh_transports_start(struct mh_server *server,
				     struct mh_transports **ret,
				     struct mh_error *err);
/* Takes up trusted proxies and the certificate of server->settings. */
int mh_transports_reload(struct mh_transports *transports,
			 struct mh_error *err);
/* Connections open now. Any thread. */
size_t mh_transports_count(struct mh_transports *transports);
/*
 * Stops listening, answers who waits, closes all connections. The executor
 * must still run; afterwards nothing new comes to the server.
 */
void mh_transports_stop(struct mh_transports *transports);
/* When the executor has stopped. Takes NULL. */
void mh_transports_free(struct mh_transports *transports);
