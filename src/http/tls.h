/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the federation's listeners: OpenSSL on the loop's thread, in front of
 * a plain socket pair.
 */
#pragma once

#include "http/relay.h"

struct mh_tls; /* a certificate and its key */

/* Fails with a message that names the file. */
int mh_tls_new(const char *certificate, const char *private_key,
	       struct mh_tls **ret, struct mh_error *err);
void mh_tls_free(struct mh_tls *tls);

/*
 * A stream of the server's side over a socket that must not block. The handshake
 * happens in read(). The stream keeps what it needs of `tls`.
 */
struct mh_stream *mh_tls_stream(struct mh_tls *tls, int fd);
