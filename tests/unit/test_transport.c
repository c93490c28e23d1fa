/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The acceptor and the HTTP transport on a real UNIX socket, with a router of a
 * few routes behind them and the threads' executor. Nothing sleeps: each step
 * waits for bytes, for the end of a stream, or for a semaphore of a handler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "http/acceptor.h"
#include "http/mhd.h"
#include "http/router.h"
#include "http/sniff.h"
#include "service/server.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct fixture {
	struct mh_server server;
	struct mh_settings settings;
	struct mh_loop *loop;
	struct mh_peers *peers;
	struct mh_mhd *mhd;
	struct mh_acceptor *acceptor;
	char folder[32];
	char path[64];
	sem_t waiting; /* posted when a request has begun to wait */
	sem_t gone;    /* and when its client is known to have left */
	sem_t lived;   /* and when the live channel got a socket */
	int live_fd;
	struct mh_ticket *live_ticket;
};

static struct fixture *fixture;

/* --- handlers ----------------------------------------------------------- */

static int show(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	mh_strbuf_addf(&body, "%zu", req->n_params);
	for (size_t i = 0; i < req->n_params; i++) {
		struct mh_str param = mh_request_param(req, i);

		mh_strbuf_addch(&body, ' ');
		mh_hex_encode(param.data, param.len, &body);
	}
	mh_strbuf_addf(&body, " %zu bytes from %.*s", req->body.len,
		       MH_STR_ARG(req->remote_address));
	return mh_reply_status(req, 200, &body, "text/plain");
}

static int say_gone(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	sem_post(&fixture->gone);
	return mh_reply_empty(req);
}

/* There is one worker, so this comes after wait_for_ever() has returned. */
static void on_gone(struct mh_request *req)
{
	mh_request_resume(req, say_gone);
}

static int wait_for_ever(struct mh_request *req, struct mh_error *err)
{
	if (!mh_request_on_gone(req, on_gone))
		return say_gone(req, err);
	sem_post(&fixture->waiting);
	return 0;
}

static int send_much(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	memset(mh_strbuf_reserve(&body, 3000000), 'x', 3000000);
	body.len = 3000000;
	return mh_reply_buf(req, &body);
}

static const struct mh_route routes[] = {
	{ MH_METHOD_GET, "/inline", MH_AUTH_NONE, MH_RATE_NONE, MH_INLINE,
	  show },
	{ MH_METHOD_GET, "/worker", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  show },
	{ MH_METHOD_PUT, "/worker/{a}/{b}", MH_AUTH_NONE, MH_RATE_NONE,
	  MH_WORKER, show },
	{ MH_METHOD_GET, "/wait", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  wait_for_ever },
	{ MH_METHOD_GET, "/much", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  send_much },
};

/* --- set-up ------------------------------------------------------------- */

static void take_http(void *context MH_UNUSED, int fd, struct mh_ticket *ticket)
{
	mh_mhd_add(fixture->mhd, fd, ticket);
}

static void take_live(void *context MH_UNUSED, int fd, struct mh_ticket *ticket)
{
	fixture->live_fd = fd;
	fixture->live_ticket = ticket;
	sem_post(&fixture->lived);
}

static void set(const char *section, const char *name, const char *value)
{
	MH_ERROR(err);

	if (mh_settings_set(&fixture->settings, section, name, value, &err) < 0)
		fail_msg("%s", err.message);
}

static void start(void)
{
	struct mh_server *server = &fixture->server;
	struct mh_mhd_options http = { .server = server,
				       .settings = &fixture->settings,
				       .live = take_live };
	struct mh_acceptor_options options = { .settings = &fixture->settings,
					       .http = take_http,
					       .live = take_live };
	MH_ERROR(err);

	server->settings = &fixture->settings;
	server->clock = mh_clock_real();
	server->executor = mh_executor_threads_new(server->clock);
	server->workers = mh_executor_queue(server->executor, "worker", 1);
	server->router = mh_router_new(server);
	mh_router_add(server->router, routes, MH_ARRAY_LEN(routes));
	fixture->peers = mh_peers_new(&fixture->settings);
	assert_int_equal(mh_loop_new("loop", &fixture->loop, &err), 0);
	http.peers = options.peers = fixture->peers;
	http.loop = options.loop = fixture->loop;
	assert_int_equal(mh_mhd_start(&http, &fixture->mhd, &err), 0);
	if (mh_acceptor_open(&options, &fixture->acceptor, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(mh_loop_start(fixture->loop, &err), 0);
}

static int set_up(void **state MH_UNUSED)
{
	char listen[80];

	fixture = MH_NEW(struct fixture);
	snprintf(fixture->folder, sizeof(fixture->folder),
		 "/tmp/moothall-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof(fixture->path), "%s/http",
		 fixture->folder);
	mh_settings_init(&fixture->settings);
	snprintf(listen, sizeof(listen), "unix:%s", fixture->path);
	set("listen", "client", listen);
	set("limits", "max_request_size", "64k");
	sem_init(&fixture->waiting, 0, 0);
	sem_init(&fixture->gone, 0, 0);
	sem_init(&fixture->lived, 0, 0);
	return 0;
}

static int set_up_and_start(void **state)
{
	set_up(state);
	start();
	return 0;
}

static int set_up_impatient(void **state)
{
	set_up(state);
	set("limits", "header_timeout", "200ms");
	set("limits", "body_timeout", "200ms");
	start();
	return 0;
}

static int tear_down(void **state MH_UNUSED)
{
	mh_acceptor_stop(fixture->acceptor);
	mh_mhd_stop(fixture->mhd);
	mh_loop_stop(fixture->loop);
	mh_acceptor_free(fixture->acceptor);
	mh_mhd_free(fixture->mhd);
	mh_loop_free(fixture->loop);
	mh_executor_free(fixture->server.executor);
	mh_router_free(fixture->server.router);
	mh_peers_free(fixture->peers);
	mh_settings_release(&fixture->settings);
	unlink(fixture->path);
	rmdir(fixture->folder);
	sem_destroy(&fixture->waiting);
	sem_destroy(&fixture->gone);
	sem_destroy(&fixture->lived);
	free(fixture);
	return 0;
}

/* --- a client ----------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, fixture->path, strlen(fixture->path) + 1);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* One more piece; false at the end of the stream. */
static bool hear(int fd, struct mh_strbuf *buf)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	char piece[65536];
	ssize_t n;

	if (poll(&poller, 1, PATIENCE_MS) != 1)
		fail_msg("nothing more came after: %s", buf->data);
	n = recv(fd, piece, sizeof(piece), 0);
	if (n > 0)
		mh_strbuf_add(buf, piece, (size_t)n);
	return n > 0;
}

/* Reads until `text` has come, which must. */
static void hear_until(int fd, struct mh_strbuf *buf, const char *text)
{
	while (!strstr(buf->data, text))
		if (!hear(fd, buf))
			fail_msg("the stream ended with: %s", buf->data);
}

static void hear_end(int fd)
{
	MH_STRBUF(buf);

	while (hear(fd, &buf))
		;
}

/* Sends one request and expects the reply to begin and end so. */
static void converse(int fd, const char *request, const char *status,
		     const char *end)
{
	MH_STRBUF(buf);
	size_t len = strlen(end);

	say(fd, request);
	hear_until(fd, &buf, "\r\n\r\n");
	while (buf.len < len || memcmp(buf.data + buf.len - len, end, len))
		if (!hear(fd, &buf))
			fail_msg("the stream ended with: %s", buf.data);
	if (strncmp(buf.data, status, strlen(status)))
		fail_msg("expected '%s', not: %s", status, buf.data);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

/* --- requests ----------------------------------------------------------- */

static void test_keep_alive(void **state MH_UNUSED)
{
	int fd = dial();

	converse(fd, GET("/worker"), OK, "0 0 bytes from ");
	converse(fd, GET("/inline"), OK, "0 0 bytes from ");
	converse(fd, GET("/worker"), OK, "0 0 bytes from ");
	converse(fd, GET("/unknown"), "HTTP/1.1 404", "}");
	converse(fd, "DELETE /worker HTTP/1.1\r\nHost: x\r\n\r\n",
		 "HTTP/1.1 405", "}");
	converse(fd, "HEAD /worker HTTP/1.1\r\nHost: x\r\n\r\n", OK, "\r\n");
	converse(fd, GET("/inline"), OK, "0 0 bytes from ");
	close(fd);
}

static void test_pipelined(void **state MH_UNUSED)
{
	MH_STRBUF(buf);
	int fd = dial();

	say(fd, GET("/worker") GET("/inline")
			GET("/worker") "GET /last HTTP/1.1\r\nHost: "
				       "x\r\nConnection: close\r\n\r\n");
	while (hear(fd, &buf))
		;
	for (int i = 0; i < 3; i++) {
		char *at = strstr(buf.data, OK);

		assert_non_null(at);
		*at = 'x';
	}
	assert_non_null(strstr(buf.data, "HTTP/1.1 404"));
	close(fd);
}

static void test_byte_by_byte(void **state MH_UNUSED)
{
	static const char request[] = "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
				      "Content-Length: 3\r\n\r\nabc";
	MH_STRBUF(buf);
	int fd = dial();

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
		sched_yield();
	}
	hear_until(fd, &buf, "2 31 32 3 bytes from ");
	close(fd);
}

static void test_targets_stay_encoded(void **state MH_UNUSED)
{
	int fd = dial();

	converse(fd,
		 "PUT /worker/a%2Fb/%00%41?x=%2F HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: 0\r\n\r\n",
		 OK, "2 612f62 0041 0 bytes from ");
	converse(fd,
		 "PUT /worker%2F1/2/3 HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: 0\r\n\r\n",
		 "HTTP/1.1 404", "}");
	close(fd);
}

static void test_chunked_body(void **state MH_UNUSED)
{
	int fd = dial();

	converse(fd,
		 "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"
		 "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		 OK, "5 bytes from ");
	close(fd);
}

static void test_expect_continue(void **state MH_UNUSED)
{
	int fd = dial();

	converse(fd,
		 "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
		 "HTTP/1.1 100", "\r\n\r\n");
	converse(fd, "abc", OK, "3 bytes from ");
	close(fd);
	fd = dial();
	converse(fd,
		 "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n",
		 "HTTP/1.1 413", "}");
	close(fd);
}

static void test_too_large_bodies(void **state MH_UNUSED)
{
	static const char head[] = "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: 3000000\r\n\r\n";
	MH_CLEANUP(mh_freep)
	char *request = mh_alloc0(sizeof(head) + 3000000);
	int fd = dial();

	/* Whoever sends all of it before reading gets to see the refusal. */
	memcpy(request, head, sizeof(head) - 1);
	memset(request + sizeof(head) - 1, 'x', 3000000);
	converse(fd, request, "HTTP/1.1 413", "}");
	converse(fd, GET("/inline"), OK, "0 0 bytes from ");
	close(fd);

	fd = dial();
	converse(fd,
		 "PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: 99999999999\r\n\r\n",
		 "HTTP/1.1 413", "}");
	close(fd);
}

static void test_large_reply(void **state MH_UNUSED)
{
	MH_STRBUF(buf);
	int fd = dial();

	say(fd, "GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	while (hear(fd, &buf))
		;
	assert_true(buf.len > 3000000);
	close(fd);
}

static void test_forwarded_for(void **state MH_UNUSED)
{
	int fd = dial();

	/* The peer of a UNIX socket is a trusted proxy; 10.0.0.1 is not. */
	converse(fd,
		 "GET /worker HTTP/1.1\r\nHost: x\r\n"
		 "X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\n\r\n",
		 OK, "from 10.0.0.1");
	converse(fd,
		 "GET /worker HTTP/1.1\r\nHost: x\r\n"
		 "X-Forwarded-For: 1.2.3.4\r\n"
		 "X-Forwarded-For: [2001:db8::1]:80\r\n\r\n",
		 OK, "from 2001:db8::1");
	close(fd);
}

static void test_half_closed(void **state MH_UNUSED)
{
	MH_STRBUF(buf);
	int fd = dial();

	say(fd, GET("/worker"));
	shutdown(fd, SHUT_WR);
	while (hear(fd, &buf))
		;
	assert_non_null(strstr(buf.data, OK));
	close(fd);
}

static void test_nonsense(void **state MH_UNUSED)
{
	static const char *const texts[] = {
		"\r\n\r\n\r\n",
		"nonsense\r\n\r\n",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
		"GET /inline HTTP/1.1\r\nHost\r\n\r\n",
		"PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: -1\r\n\r\n",
		"\x16\x03\x01\x02\x03",
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(texts); i++) {
		int fd = dial();

		say(fd, texts[i]);
		shutdown(fd, SHUT_WR);
		hear_end(fd);
		close(fd);
	}
}

/* --- waiting ------------------------------------------------------------ */

static void test_a_client_that_leaves(void **state MH_UNUSED)
{
	int fd = dial();

	say(fd, GET("/wait"));
	sem_wait(&fixture->waiting);
	close(fd);
	sem_wait(&fixture->gone);
}

static void test_many_wait_when_the_node_stops(void **state MH_UNUSED)
{
	int fds[400];

	for (size_t i = 0; i < MH_ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		say(fds[i], GET("/wait"));
	}
	for (size_t i = 0; i < MH_ARRAY_LEN(fds); i++)
		sem_wait(&fixture->waiting);
	mh_acceptor_stop(fixture->acceptor);
	mh_mhd_stop(fixture->mhd);
	for (size_t i = 0; i < MH_ARRAY_LEN(fds); i++) {
		MH_STRBUF(buf);

		while (hear(fds[i], &buf))
			;
		assert_non_null(strstr(buf.data, OK));
		close(fds[i]);
	}
}

/* More than are woken at once: their wake-ups are gathered. */
/* --- deadlines ---------------------------------------------------------- */

static void test_slow_clients(void **state MH_UNUSED)
{
	static const char *const texts[] = {
		"", /* nothing at all: the acceptor's */
		"GET /_moot",
		"GET /inline HT",
		"GET /inline HTTP/1.1\r\nHost: x\r\n",
		"PUT /worker/1/2 HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 3\r\n\r\nab",
	};
	int fds[MH_ARRAY_LEN(texts)];

	for (size_t i = 0; i < MH_ARRAY_LEN(texts); i++) {
		fds[i] = dial();
		if (*texts[i])
			say(fds[i], texts[i]);
	}
	for (size_t i = 0; i < MH_ARRAY_LEN(texts); i++) {
		hear_end(fds[i]);
		close(fds[i]);
	}
}

/* --- the live channel ----------------------------------------------------- */

#define UPGRADE                                                                \
	"GET " MH_LIVE_PATH "?a=b HTTP/1.1\r\nHost: x\r\n"                     \
	"Connection: Upgrade\r\nUpgrade: websocket\r\n"                        \
	"Sec-WebSocket-Version: 13\r\n"                                        \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                      \
	"Sec-WebSocket-Protocol: other, m.json\r\n"                            \
	"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"

static void test_the_live_path_goes_elsewhere_unread(void **state MH_UNUSED)
{
	MH_STRBUF(buf);
	int fd = dial();

	say(fd, UPGRADE "frame");
	sem_wait(&fixture->lived);
	hear_until(fixture->live_fd, &buf, "\r\n\r\nframe");
	assert_memory_equal(buf.data, UPGRADE, sizeof(UPGRADE) - 1);
	close(fixture->live_fd);
	mh_ticket_release(fixture->live_ticket);
	hear_end(fd);
	close(fd);
}

static void test_an_upgrade_as_a_later_request(void **state MH_UNUSED)
{
	MH_STRBUF(request);
	MH_STRBUF(reply);
	MH_STRBUF(more);
	int fd = dial();

	converse(fd, GET("/worker"), OK, "0 0 bytes from ");
	say(fd, UPGRADE "frame");
	hear_until(fd, &reply, "\r\n\r\n");
	assert_memory_equal(reply.data, "HTTP/1.1 101", 12);
	assert_non_null(strstr(reply.data, "Sec-WebSocket-Accept: "
					   "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_non_null(
		strstr(reply.data, "Sec-WebSocket-Protocol: m.json\r\n"));
	assert_null(strstr(reply.data, "permessage-deflate"));

	sem_wait(&fixture->lived);
	hear_until(fixture->live_fd, &request, "\r\n\r\nframe");
	assert_memory_equal(request.data, "GET " MH_LIVE_PATH "?a=b HTTP/1.1",
			    sizeof("GET " MH_LIVE_PATH "?a=b HTTP/1.1") - 1);
	assert_null(strstr(request.data, "Extensions"));

	/* What the live thread answers to the handshake is not seen. */
	say(fixture->live_fd, "HTTP/1.1 101 Switching\r\nA: b\r\n\r\nhello");
	hear_until(fd, &more, "hello");
	assert_int_equal(more.len, 5);
	say(fd, "ping");
	hear_until(fixture->live_fd, &request, "ping");
	close(fixture->live_fd);
	mh_ticket_release(fixture->live_ticket);
	hear_end(fd);
	close(fd);
}

static void test_bad_upgrades(void **state MH_UNUSED)
{
	int fd = dial();

	converse(fd, GET("/worker"), OK, "0 0 bytes from ");
	converse(fd,
		 "GET " MH_LIVE_PATH " HTTP/1.1\r\nHost: x\r\n"
		 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 12\r\n\r\n",
		 "HTTP/1.1 426", "}");
	converse(fd,
		 "GET " MH_LIVE_PATH " HTTP/1.1\r\nHost: x\r\n"
		 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
		 "HTTP/1.1 400", "}");
	close(fd);
}

static void
test_an_upgraded_connection_when_the_node_stops(void **state MH_UNUSED)
{
	MH_STRBUF(reply);
	int fd = dial();

	converse(fd, GET("/worker"), OK, "0 0 bytes from ");
	say(fd, UPGRADE);
	hear_until(fd, &reply, "\r\n\r\n");
	sem_wait(&fixture->lived);
	mh_acceptor_stop(fixture->acceptor);
	mh_mhd_stop(fixture->mhd);
	hear_end(fd);
	hear_end(fixture->live_fd);
	close(fixture->live_fd);
	mh_ticket_release(fixture->live_ticket);
	close(fd);
}

int main(void)
{
#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, set_up_and_start, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_keep_alive),
		TEST(test_pipelined),
		TEST(test_byte_by_byte),
		TEST(test_targets_stay_encoded),
		TEST(test_chunked_body),
		TEST(test_expect_continue),
		TEST(test_too_large_bodies),
		TEST(test_large_reply),
		TEST(test_forwarded_for),
		TEST(test_half_closed),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up_impatient,
						tear_down),
		TEST(test_a_client_that_leaves),
		TEST(test_many_wait_when_the_node_stops),
		cmocka_unit_test_setup_teardown(test_slow_clients,
						set_up_impatient, tear_down),
		TEST(test_the_live_path_goes_elsewhere_unread),
		TEST(test_an_upgrade_as_a_later_request),
		TEST(test_bad_upgrades),
		TEST(test_an_upgraded_connection_when_the_node_stops),
	};

	alarm(60);
	mh_log_configure(MH_LOG_WARN, MH_LOG_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
