/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes between two streams, both ways, on the loop: a TLS client and
 * the plain socket of its server (tls.c), or a kept-alive connection that turned
 * into the live channel and the socket that the live thread got for it.
 *
 * A buffer of 16 KB a direction, there only while it holds something: who
 * writes faster than the other side reads is slowed down, not stored.
 */
#pragma once

#include "http/loop.h"

#include <sys/types.h>

struct mh_stream {
	int fd;
	/*
	 * As recv() and send(): 0 is the end; -1 with errno, EAGAIN when it
	 * must wait for `read_needs` (or `write_needs`) of epoll.
	 */
	ssize_t (*read)(struct mh_stream *stream, void *data, size_t len);
	ssize_t (*write)(struct mh_stream *stream, const void *data,
			 size_t len);
	/* Nothing more will be written: tells the other side. */
	void (*finish)(struct mh_stream *stream);
	/* Closes and frees it. */
	void (*close)(struct mh_stream *stream);
	uint32_t read_needs, write_needs;
};

/* A socket; it must not block. It is closed with the stream. */
struct mh_stream *mh_stream_plain(int fd);

struct mh_relay;

struct mh_relay_options {
	struct mh_stream *client, *server; /* the relay's from now on */
	struct mh_str to_server; /* goes there first; copied */
	/*
	 * Takes the head of an HTTP response (which must be a 101) off what
	 * the server sends, and only then lets the client's bytes through.
	 */
	bool swallow_upgrade;
	/* Called at the end with both streams closed; may be NULL. */
	void (*ended)(void *context);
	void *context;
};

/*
 * On the loop's thread. The relay frees itself when it ends; NULL when it has
 * ended already.
 */
struct mh_relay *mh_relay_start(struct mh_loop *loop,
				const struct mh_relay_options *options);
/* Ends it now: on the loop's thread, or once the loop has stopped. */
void mh_relay_end(struct mh_relay *relay);
