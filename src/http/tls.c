/* SPDX-License-Identifier: Apache-2.0 */
#include "http/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct mh_tls {
	SSL_CTX *context;
};

struct tls_stream {
	struct mh_stream base;
	SSL *ssl;
	bool broken; /* no close_notify may be sent any more */
};

static struct tls_stream *stream_of(struct mh_stream *stream)
{
	return MH_CONTAINER_OF(stream, struct tls_stream, base);
}

/*
 * What a call of OpenSSL came to: 0 at the end, -1 with errno. `needs` is set
 * to what it waits for, which need not be the direction of the call.
 */
static ssize_t failed(struct tls_stream *tls, int rc, uint32_t *needs)
{
	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		*needs = EPOLLIN;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*needs = EPOLLOUT;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		tls->broken = true;
		errno = EPROTO;
		return -1;
	}
}

static ssize_t tls_read(struct mh_stream *stream, void *data, size_t len)
{
	struct tls_stream *tls = stream_of(stream);
	int rc;

	ERR_clear_error();
	rc = SSL_read(tls->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
	return rc > 0 ? rc : failed(tls, rc, &stream->read_needs);
}

static ssize_t tls_write(struct mh_stream *stream, const void *data, size_t len)
{
	struct tls_stream *tls = stream_of(stream);
	ssize_t n;
	int rc;

	ERR_clear_error();
	rc = SSL_write(tls->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
	if (rc > 0)
		return rc;
	n = failed(tls, rc, &stream->write_needs);
	if (n == 0) {
		errno = EPIPE;
		return -1;
	}
	return n;
}

static void tls_finish(struct mh_stream *stream)
{
	struct tls_stream *tls = stream_of(stream);

	/* Not before the handshake, and not after a failure. */
	if (tls->broken || !SSL_is_init_finished(tls->ssl))
		return;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
}

static void tls_close(struct mh_stream *stream)
{
	struct tls_stream *tls = stream_of(stream);

	tls_finish(stream);
	SSL_free(tls->ssl);
	close(stream->fd);
	free(tls);
}

struct mh_stream *mh_tls_stream(struct mh_tls *tls, int fd)
{
	struct tls_stream *stream = MH_NEW(struct tls_stream);

	stream->ssl = SSL_new(tls->context);
	MH_ASSERT(stream->ssl && SSL_set_fd(stream->ssl, fd) == 1);
	SSL_set_accept_state(stream->ssl);
	stream->base = (struct mh_stream){
		.fd = fd,
		.read = tls_read,
		.write = tls_write,
		.finish = tls_finish,
		.close = tls_close,
		.read_needs = EPOLLIN,
		.write_needs = EPOLLOUT,
	};
	return &stream->base;
}

/* --- certificates ------------------------------------------------------- */

static int fail_tls(struct mh_error *err, const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return mh_fail_internal(err, "cannot use the %s '%s': %s", what, path,
				reason ? reason : "unknown error");
}

/* Federation and browsers both speak HTTP/1.1 here; others are not offered. */
static int choose_protocol(SSL *ssl MH_UNUSED, const unsigned char **out,
			   unsigned char *out_len, const unsigned char *in,
			   unsigned in_len, void *context MH_UNUSED)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len,
				  ours, sizeof(ours) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

int mh_tls_new(const char *certificate, const char *private_key,
	       struct mh_tls **ret, struct mh_error *err)
{
	struct mh_tls *tls = MH_NEW(struct mh_tls);
	int rc = 0;

	ERR_clear_error();
	tls->context = SSL_CTX_new(TLS_server_method());
	MH_ASSERT(tls->context);
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->context,
			 SSL_MODE_RELEASE_BUFFERS |
				 SSL_MODE_ENABLE_PARTIAL_WRITE |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION |
						  SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_alpn_select_cb(tls->context, choose_protocol, NULL);

	if (SSL_CTX_use_certificate_chain_file(tls->context, certificate) != 1)
		rc = fail_tls(err, "TLS certificate", certificate);
	else if (SSL_CTX_use_PrivateKey_file(tls->context, private_key,
					     SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(tls->context) != 1)
		rc = fail_tls(err, "TLS private key", private_key);
	if (rc < 0) {
		mh_tls_free(tls);
		return -1;
	}
	*ret = tls;
	return 0;
}

void mh_tls_free(struct mh_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}
