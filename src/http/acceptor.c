/* SPDX-License-Identifier: Apache-2.0 */
#include "http/acceptor.h"

#include "base/log.h"
#include "http/listener.h"
#include "http/relay.h"
#include "http/sniff.h"
#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections taken at once before others get their turn. */
#define ACCEPT_BATCH 64
/* How soon to look again when there are too many connections or descriptors. */
#define PAUSE_MS 100

struct listener {
	struct mh_loop_source source;
	struct mh_acceptor *acceptor;
	bool tls;
};

/* A connection of which nobody knows yet what it wants. */
struct newcomer {
	struct mh_loop_source source;
	struct mh_acceptor *acceptor;
	struct mh_ticket *ticket;
	int fd;
	struct mh_stream *stream; /* of a TLS listener */
	char bytes[MH_SNIFF_MAX]; /* read from it */
	size_t len;
	int64_t due;
	struct newcomer *prev, *next; /* in order of `due` */
};

/* A relay between a TLS client and its server. */
struct tunnel {
	struct mh_acceptor *acceptor;
	struct mh_relay *relay;
	struct tunnel *prev, *next;
};

struct mh_acceptor {
	struct mh_acceptor_options options;
	struct listener *listeners;
	size_t n_listeners;
	int64_t patience_ms;
	struct newcomer *first, *last;
	struct tunnel *tunnels;
	struct mh_loop_timer deadline, pause;
	bool paused;
	struct mh_loop_call stop_call;
	sem_t stopped;
	bool is_stopped;
	pthread_mutex_t tls_lock;
	struct mh_tls *tls;
};

/* --- newcomers ---------------------------------------------------------- */

static void unlink_newcomer(struct newcomer *newcomer)
{
	struct mh_acceptor *acceptor = newcomer->acceptor;

	if (newcomer->prev)
		newcomer->prev->next = newcomer->next;
	else
		acceptor->first = newcomer->next;
	if (newcomer->next)
		newcomer->next->prev = newcomer->prev;
	else
		acceptor->last = newcomer->prev;
	mh_loop_remove(acceptor->options.loop, &newcomer->source);
	mh_loop_free_later(acceptor->options.loop, newcomer);
}

static void drop(struct newcomer *newcomer)
{
	unlink_newcomer(newcomer);
	if (newcomer->stream)
		newcomer->stream->close(newcomer->stream);
	else
		close(newcomer->fd);
	mh_ticket_release(newcomer->ticket);
}

static void hand_over(struct mh_acceptor *acceptor, enum mh_sniff wants, int fd,
		      struct mh_ticket *ticket)
{
	const struct mh_acceptor_options *options = &acceptor->options;

	if (wants == MH_SNIFF_LIVE && options->live)
		options->live(options->context, fd, ticket);
	else
		options->http(options->context, fd, ticket);
}

static void sniff_plain(struct newcomer *newcomer)
{
	enum mh_sniff wants;
	ssize_t n = recv(newcomer->fd, newcomer->bytes, MH_SNIFF_MAX,
			 MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(newcomer);
		return;
	}
	wants = mh_sniff(mh_str_n(newcomer->bytes, (size_t)n));
	if (wants == MH_SNIFF_MORE)
		return;
	unlink_newcomer(newcomer);
	hand_over(newcomer->acceptor, wants, newcomer->fd, newcomer->ticket);
}

/* --- TLS ---------------------------------------------------------------- */

static void on_tunnel_end(void *context)
{
	struct tunnel *tunnel = context;

	if (tunnel->next)
		tunnel->next->prev = tunnel->prev;
	if (tunnel->prev)
		tunnel->prev->next = tunnel->next;
	else
		tunnel->acceptor->tunnels = tunnel->next;
	mh_loop_free_later(tunnel->acceptor->options.loop, tunnel);
}

static void open_tunnel(struct newcomer *newcomer, enum mh_sniff wants)
{
	struct mh_acceptor *acceptor = newcomer->acceptor;
	struct mh_relay_options options = {
		.client = newcomer->stream,
		.to_server = mh_str_n(newcomer->bytes, newcomer->len),
		.ended = on_tunnel_end,
	};
	struct tunnel *tunnel;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       pair) < 0) {
		drop(newcomer);
		return;
	}
	unlink_newcomer(newcomer);
	tunnel = MH_NEW(struct tunnel);
	tunnel->acceptor = acceptor;
	tunnel->next = acceptor->tunnels;
	if (tunnel->next)
		tunnel->next->prev = tunnel;
	acceptor->tunnels = tunnel;
	options.server = mh_stream_plain(pair[1]);
	options.context = tunnel;
	hand_over(acceptor, wants, pair[0], newcomer->ticket);
	tunnel->relay = mh_relay_start(acceptor->options.loop, &options);
}

/*
 * The handshake happens in read(). SSL_peek() would not do, for it never looks
 * beyond the record in hand, and a request may come in records of one byte.
 */
static void sniff_tls(struct newcomer *newcomer)
{
	struct mh_stream *stream = newcomer->stream;
	enum mh_sniff wants = MH_SNIFF_MORE;

	while (wants == MH_SNIFF_MORE) {
		ssize_t n =
			stream->read(stream, newcomer->bytes + newcomer->len,
				     sizeof(newcomer->bytes) - newcomer->len);

		if (n < 0 && errno == EAGAIN) {
			mh_loop_modify(newcomer->acceptor->options.loop,
				       &newcomer->source, stream->read_needs);
			return;
		}
		if (n <= 0) {
			drop(newcomer);
			return;
		}
		newcomer->len += (size_t)n;
		wants = mh_sniff(mh_str_n(newcomer->bytes, newcomer->len));
	}
	open_tunnel(newcomer, wants);
}

static void on_newcomer(struct mh_loop_source *source,
			uint32_t events MH_UNUSED)
{
	struct newcomer *newcomer =
		MH_CONTAINER_OF(source, struct newcomer, source);

	if (newcomer->stream)
		sniff_tls(newcomer);
	else
		sniff_plain(newcomer);
}

/* --- deadlines ---------------------------------------------------------- */

static void on_deadline(struct mh_loop_timer *timer)
{
	struct mh_acceptor *acceptor =
		MH_CONTAINER_OF(timer, struct mh_acceptor, deadline);
	int64_t now = mh_loop_now(acceptor->options.loop);

	while (acceptor->first && acceptor->first->due <= now)
		drop(acceptor->first);
	if (acceptor->first)
		mh_loop_timer_set(acceptor->options.loop, timer,
				  acceptor->first->due);
}

static void welcome(struct listener *listener, int fd, struct mh_ticket *ticket)
{
	struct mh_acceptor *acceptor = listener->acceptor;
	struct mh_loop *loop = acceptor->options.loop;
	struct newcomer *newcomer = MH_NEW(struct newcomer);
	/* Edge-triggered, for bytes that were peeked at stay where they are. */
	uint32_t events = EPOLLIN | EPOLLET;

	newcomer->acceptor = acceptor;
	newcomer->ticket = ticket;
	newcomer->fd = fd;
	newcomer->source.fd = -1;
	newcomer->source.ready = on_newcomer;
	newcomer->due = mh_loop_now(loop) + acceptor->patience_ms;
	newcomer->prev = acceptor->last;
	if (newcomer->prev)
		newcomer->prev->next = newcomer;
	else
		acceptor->first = newcomer;
	acceptor->last = newcomer;
	if (!acceptor->deadline.due)
		mh_loop_timer_set(loop, &acceptor->deadline, newcomer->due);

	if (listener->tls) {
		pthread_mutex_lock(&acceptor->tls_lock);
		newcomer->stream = mh_tls_stream(acceptor->tls, fd);
		pthread_mutex_unlock(&acceptor->tls_lock);
		events = EPOLLIN;
	}
	if (mh_loop_add(loop, &newcomer->source, fd, events) < 0)
		drop(newcomer);
}

/* --- accepting ---------------------------------------------------------- */

static void set_listening(struct mh_acceptor *acceptor, bool on)
{
	for (size_t i = 0; i < acceptor->n_listeners; i++)
		mh_loop_modify(acceptor->options.loop,
			       &acceptor->listeners[i].source,
			       on ? EPOLLIN : 0);
	acceptor->paused = !on;
}

static void pause_listening(struct mh_acceptor *acceptor, const char *reason)
{
	struct mh_loop *loop = acceptor->options.loop;

	mh_log_warn("listen", "not accepting for a moment: %s", reason);
	set_listening(acceptor, false);
	mh_loop_timer_set(loop, &acceptor->pause, mh_loop_now(loop) + PAUSE_MS);
}

static void on_pause_end(struct mh_loop_timer *timer)
{
	struct mh_acceptor *acceptor =
		MH_CONTAINER_OF(timer, struct mh_acceptor, pause);

	if (acceptor->is_stopped)
		return;
	if (mh_peers_full(acceptor->options.peers))
		mh_loop_timer_set(acceptor->options.loop, timer,
				  mh_loop_now(acceptor->options.loop) +
					  PAUSE_MS);
	else
		set_listening(acceptor, true);
}

/* False when it is enough for now. */
static bool accept_one(struct listener *listener)
{
	static const int one = 1;
	struct mh_acceptor *acceptor = listener->acceptor;
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	struct mh_ticket *ticket;
	int fd;

	if (mh_peers_full(acceptor->options.peers)) {
		pause_listening(acceptor, "too many connections");
		return false;
	}
	fd = accept4(listener->source.fd, (struct sockaddr *)&address, &len,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			pause_listening(acceptor, strerror(errno));
		/* Else it is empty, or a client that has left already. */
		return errno != EAGAIN && !acceptor->paused;
	}
	ticket = mh_peers_enter(acceptor->options.peers,
				(struct sockaddr *)&address);
	if (!ticket) {
		close(fd);
		return true;
	}
	if (!ticket->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	welcome(listener, fd, ticket);
	return true;
}

static void on_listener(struct mh_loop_source *source,
			uint32_t events MH_UNUSED)
{
	struct listener *listener =
		MH_CONTAINER_OF(source, struct listener, source);

	for (int i = 0; i < ACCEPT_BATCH; i++)
		if (!accept_one(listener))
			break;
}

/* --- opening and closing -------------------------------------------------- */

static int open_address(struct mh_acceptor *acceptor, const char *text,
			bool tls, struct mh_error *err)
{
	int fds[MH_LISTEN_MAX];
	int n = mh_listen(text, fds, err);

	for (int i = 0; i < n; i++) {
		struct listener *listener =
			&acceptor->listeners[acceptor->n_listeners++];

		*listener = (struct listener){
			.acceptor = acceptor,
			.tls = tls,
			.source = { .ready = on_listener, .fd = -1 },
		};
		MH_ASSERT(mh_loop_add(acceptor->options.loop, &listener->source,
				      fds[i], EPOLLIN) == 0);
	}
	if (n > 0)
		mh_log_info("listen", "listening on '%s'%s", text,
			    tls ? " with TLS" : "");
	return n < 0 ? -1 : 0;
}

static int open_all(struct mh_acceptor *acceptor, struct mh_error *err)
{
	const struct mh_settings *settings = acceptor->options.settings;
	const struct mh_setting_list *client = &settings->listen.client;
	const struct mh_setting_list *federation = &settings->listen.federation;

	if (mh_acceptor_reload(acceptor, settings, err) < 0)
		return -1;
	acceptor->listeners = mh_alloc_array(
		(client->count + federation->count) * MH_LISTEN_MAX,
		sizeof(*acceptor->listeners));
	for (size_t i = 0; i < client->count; i++)
		if (open_address(acceptor, client->items[i], false, err) < 0)
			return -1;
	for (size_t i = 0; i < federation->count; i++)
		if (open_address(acceptor, federation->items[i], true, err) < 0)
			return -1;
	return 0;
}

int mh_acceptor_reload(struct mh_acceptor *acceptor,
		       const struct mh_settings *settings, struct mh_error *err)
{
	struct mh_tls *tls, *before;

	if (acceptor->options.settings->listen.federation.count == 0)
		return 0;
	if (mh_tls_new(settings->listen.tls_certificate,
		       settings->listen.tls_private_key, &tls, err) < 0)
		return -1;
	pthread_mutex_lock(&acceptor->tls_lock);
	before = acceptor->tls;
	acceptor->tls = tls;
	pthread_mutex_unlock(&acceptor->tls_lock);
	mh_tls_free(before);
	return 0;
}

static void close_all(struct mh_acceptor *acceptor)
{
	acceptor->is_stopped = true;
	for (size_t i = 0; i < acceptor->n_listeners; i++) {
		struct mh_loop_source *source = &acceptor->listeners[i].source;
		int fd = source->fd;

		mh_loop_remove(acceptor->options.loop, source);
		if (fd >= 0)
			close(fd);
	}
	acceptor->n_listeners = 0;
	while (acceptor->first)
		drop(acceptor->first);
}

static void run_stop(struct mh_loop_call *call)
{
	struct mh_acceptor *acceptor =
		MH_CONTAINER_OF(call, struct mh_acceptor, stop_call);

	close_all(acceptor);
	sem_post(&acceptor->stopped);
}

int mh_acceptor_open(const struct mh_acceptor_options *options,
		     struct mh_acceptor **ret, struct mh_error *err)
{
	struct mh_acceptor *acceptor = MH_NEW(struct mh_acceptor);

	acceptor->options = *options;
	acceptor->patience_ms = options->settings->limits.header_timeout;
	acceptor->deadline.expired = on_deadline;
	acceptor->pause.expired = on_pause_end;
	acceptor->stop_call.run = run_stop;
	sem_init(&acceptor->stopped, 0, 0);
	pthread_mutex_init(&acceptor->tls_lock, NULL);
	if (open_all(acceptor, err) < 0) {
		mh_acceptor_free(acceptor);
		return -1;
	}
	*ret = acceptor;
	return 0;
}

void mh_acceptor_stop(struct mh_acceptor *acceptor)
{
	mh_loop_call(acceptor->options.loop, &acceptor->stop_call);
	while (sem_wait(&acceptor->stopped) < 0)
		;
}

void mh_acceptor_free(struct mh_acceptor *acceptor)
{
	if (!acceptor)
		return;
	close_all(acceptor);
	while (acceptor->tunnels)
		mh_relay_end(acceptor->tunnels->relay);
	free(acceptor->listeners);
	mh_tls_free(acceptor->tls);
	pthread_mutex_destroy(&acceptor->tls_lock);
	sem_destroy(&acceptor->stopped);
	free(acceptor);
}
