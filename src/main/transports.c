/* SPDX-License-Identifier: Apache-2.0 */
#include "main/transports.h"

#include "http/acceptor.h"
#include "http/mhd.h"

#include <stdlib.h>

struct mh_transports {
	struct mh_server *server;
	struct mh_peers *peers;
	struct mh_loop *loop;
	struct mh_mhd *mhd;
	struct mh_acceptor *acceptor;
};

static void take_http(void *context, int fd, struct mh_ticket *ticket)
{
	struct mh_transports *transports = context;

	mh_mhd_add(transports->mhd, fd, ticket);
}

static int start(struct mh_transports *transports, struct mh_error *err)
{
	struct mh_server *server = transports->server;
	const struct mh_settings *settings = server->settings;
	struct mh_mhd_options http = { .server = server, .settings = settings };
	struct mh_acceptor_options options = { .settings = settings,
					       .http = take_http,
					       .context = transports };

	transports->peers = mh_peers_new(settings);
	if (mh_loop_new("loop", &transports->loop, err) < 0)
		return -1;
	http.peers = options.peers = transports->peers;
	http.loop = options.loop = transports->loop;
	if (mh_mhd_start(&http, &transports->mhd, err) < 0 ||
	    mh_acceptor_open(&options, &transports->acceptor, err) < 0)
		return -1;
	return mh_loop_start(transports->loop, err);
}

int mh_transports_start(struct mh_server *server, struct mh_transports **ret,
			struct mh_error *err)
{
	struct mh_transports *transports = MH_NEW(struct mh_transports);

	transports->server = server;
	if (start(transports, err) < 0) {
		mh_transports_stop(transports);
		mh_transports_free(transports);
		return -1;
	}
	*ret = transports;
	return 0;
}

int mh_transports_reload(struct mh_transports *transports, struct mh_error *err)
{
	const struct mh_settings *settings = transports->server->settings;

	mh_peers_configure(transports->peers, settings);
	return mh_acceptor_reload(transports->acceptor, settings, err);
}

size_t mh_transports_count(struct mh_transports *transports)
{
	return mh_peers_count(transports->peers);
}

void mh_transports_stop(struct mh_transports *transports)
{
	if (transports->acceptor)
		mh_acceptor_stop(transports->acceptor);
	if (transports->mhd)
		mh_mhd_stop(transports->mhd);
	if (transports->loop)
		mh_loop_stop(transports->loop);
}

void mh_transports_free(struct mh_transports *transports)
{
	if (!transports)
		return;
	if (transports->acceptor)
		mh_acceptor_free(transports->acceptor);
	if (transports->mhd)
		mh_mhd_free(transports->mhd);
	if (transports->loop)
		mh_loop_free(transports->loop);
	mh_peers_free(transports->peers);
	free(transports);
}
