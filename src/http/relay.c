/* SPDX-License-Identifier: Apache-2.0 */
#include "http/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE 16384
#define HEAD_MAX 8192 /* of the response to an upgrade */

/* --- plain sockets ------------------------------------------------------ */

static ssize_t plain_read(struct mh_stream *stream, void *data, size_t len)
{
	return recv(stream->fd, data, len, MSG_DONTWAIT);
}

static ssize_t plain_write(struct mh_stream *stream, const void *data,
			   size_t len)
{
	return send(stream->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void plain_finish(struct mh_stream *stream)
{
	shutdown(stream->fd, SHUT_WR);
}

static void plain_close(struct mh_stream *stream)
{
	close(stream->fd);
	free(stream);
}

struct mh_stream *mh_stream_plain(int fd)
{
	struct mh_stream *stream = MH_NEW(struct mh_stream);

	*stream = (struct mh_stream){
		.fd = fd,
		.read = plain_read,
		.write = plain_write,
		.finish = plain_finish,
		.close = plain_close,
		.read_needs = EPOLLIN,
		.write_needs = EPOLLOUT,
	};
	return stream;
}

/* --- the relay ---------------------------------------------------------- */

enum { CLIENT, SERVER };

struct end {
	struct mh_loop_source source;
	struct mh_relay *relay;
	struct mh_stream *stream;
	char *data; /* read here, not yet written to the other end */
	size_t at, len;
	bool eof;      /* nothing more to read */
	bool finished; /* the stream was told that nothing more comes */
};

struct mh_relay {
	struct mh_loop *loop;
	struct end ends[2];
	struct mh_strbuf head; /* of the response that is swallowed */
	bool swallowing;
	bool dead;
	void (*ended)(void *context);
	void *context;
};

void mh_relay_end(struct mh_relay *relay)
{
	if (relay->dead)
		return;
	relay->dead = true;
	for (int i = 0; i < 2; i++) {
		struct end *end = &relay->ends[i];

		mh_loop_remove(relay->loop, &end->source);
		end->stream->close(end->stream);
		free(end->data);
	}
	mh_strbuf_release(&relay->head);
	if (relay->ended)
		relay->ended(relay->context);
	mh_loop_free_later(relay->loop, relay);
}

/*
 * The bytes in hand belong to the head of the response, wholly or in part:
 * takes that part off. False when it is no response to an upgrade.
 */
static bool swallow(struct mh_relay *relay, struct end *server)
{
	static const char expected[] = "HTTP/1.1 101";
	struct mh_strbuf *head = &relay->head;
	size_t before = head->len;
	const char *found;

	mh_strbuf_add(head, server->data + server->at, server->len);
	found = memmem(head->data, head->len, "\r\n\r\n", 4);
	if (!found) {
		server->len = 0;
		return head->len <= HEAD_MAX;
	}
	if (memcmp(head->data, expected, sizeof(expected) - 1))
		return false;
	server->at = (size_t)(found + 4 - head->data) - before;
	server->len = head->len - before - server->at;
	relay->swallowing = false;
	mh_strbuf_release(head);
	return true;
}

/* 1 when something moved, 0 when nothing can, -1 when the relay is over. */
static int fill(struct mh_relay *relay, struct end *from)
{
	ssize_t n;

	if (from->len > 0 || from->eof)
		return 0;
	/* The client's bytes wait in the kernel until the upgrade is through. */
	if (relay->swallowing && from == &relay->ends[CLIENT])
		return 0;
	if (!from->data)
		from->data = mh_alloc(BUFFER_SIZE);
	n = from->stream->read(from->stream, from->data, BUFFER_SIZE);
	if (n > 0) {
		from->at = 0;
		from->len = (size_t)n;
		if (relay->swallowing && !swallow(relay, from))
			return -1;
		return 1;
	}
	free(from->data);
	from->data = NULL;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	from->eof = true;
	return 1;
}

static int flush(struct end *from, struct end *to)
{
	ssize_t n;

	if (from->len == 0) {
		if (from->eof && !to->finished) {
			to->finished = true;
			to->stream->finish(to->stream);
		}
		return 0;
	}
	n = to->stream->write(to->stream, from->data + from->at, from->len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	from->at += (size_t)n;
	from->len -= (size_t)n;
	if (from->len == 0) {
		free(from->data);
		from->data = NULL;
	}
	return 1;
}

static void set_events(struct mh_relay *relay, int i)
{
	struct end *end = &relay->ends[i];
	struct end *other = &relay->ends[!i];
	uint32_t events = 0;

	if (end->len == 0 && !end->eof && !(relay->swallowing && i == CLIENT))
		events |= end->stream->read_needs;
	if (other->len > 0)
		events |= end->stream->write_needs;
	mh_loop_modify(relay->loop, &end->source, events);
}

static void pump(struct mh_relay *relay)
{
	struct end *client = &relay->ends[CLIENT];
	struct end *server = &relay->ends[SERVER];
	int moved;

	do {
		int steps[4] = { fill(relay, client), 0, 0, 0 };

		steps[1] = flush(client, server);
		steps[2] = fill(relay, server);
		steps[3] = flush(server, client);
		moved = 0;
		for (size_t i = 0; i < MH_ARRAY_LEN(steps); i++) {
			if (steps[i] < 0) {
				mh_relay_end(relay);
				return;
			}
			moved |= steps[i];
		}
	} while (moved);

	/* The server has said all it had to say, and the client has it. */
	if (server->eof && server->len == 0) {
		mh_relay_end(relay);
		return;
	}
	set_events(relay, CLIENT);
	set_events(relay, SERVER);
}

static void on_ready(struct mh_loop_source *source, uint32_t events)
{
	struct end *end = MH_CONTAINER_OF(source, struct end, source);
	struct mh_relay *relay = end->relay;

	pump(relay);
	if (relay->dead || !(events & (EPOLLHUP | EPOLLERR)))
		return;
	/*
	 * Both directions of this stream are closed, which epoll would go on
	 * telling. What it had still sent is read as the other end takes it.
	 */
	if (end->eof && end == &relay->ends[CLIENT])
		mh_relay_end(relay);
	else
		mh_loop_remove(relay->loop, source);
}

struct mh_relay *mh_relay_start(struct mh_loop *loop,
				const struct mh_relay_options *options)
{
	struct mh_relay *relay = MH_NEW(struct mh_relay);

	relay->loop = loop;
	relay->ended = options->ended;
	relay->context = options->context;
	relay->swallowing = options->swallow_upgrade;
	mh_strbuf_init(&relay->head);
	relay->ends[CLIENT].stream = options->client;
	relay->ends[SERVER].stream = options->server;
	if (options->to_server.len > 0) {
		struct end *client = &relay->ends[CLIENT];

		client->data = mh_memdup(options->to_server.data,
					 options->to_server.len);
		client->len = options->to_server.len;
	}
	for (int i = 0; i < 2; i++) {
		struct end *end = &relay->ends[i];

		end->relay = relay;
		end->source.fd = -1;
		end->source.ready = on_ready;
	}
	for (int i = 0; i < 2; i++)
		if (mh_loop_add(loop, &relay->ends[i].source,
				relay->ends[i].stream->fd, 0) < 0) {
			mh_relay_end(relay);
			return NULL;
		}
	pump(relay);
	return relay->dead ? NULL : relay; /* it is freed later */
}
