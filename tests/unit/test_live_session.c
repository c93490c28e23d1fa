/* SPDX-License-Identifier: Apache-2.0 */
/* The live channel's protocol, over a connection in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "live/session.h"
#include "unit/sync_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

/* --- a connection in memory ------------------------------------------------------ */

struct line {
	struct mh_live_conn conn;
	json_t *messages; /* what the client has read, in order */
	size_t next;	  /* the first one that the test has not looked at */
	json_t *unread;	  /* sent while the client did not read */
	size_t queued;
	bool stalled, held, destroyed;
	int code; /* 0: open */
};

static int line_send(struct mh_live_conn *conn, struct mh_live_buf *buf)
{
	struct line *line = MH_CONTAINER_OF(conn, struct line, conn);
	json_t *message;

	if (line->code)
		return -1;
	message = json_loadb(mh_live_buf_data(buf), mh_live_buf_len(buf), 0,
			     NULL);
	assert_non_null(message);
	if (line->stalled) {
		line->queued += mh_live_buf_len(buf);
		json_array_append_new(line->unread, message);
	} else {
		json_array_append_new(line->messages, message);
	}
	return 0;
}

static void line_close(struct mh_live_conn *conn, enum mh_live_close code,
		       const char *reason)
{
	struct line *line = MH_CONTAINER_OF(conn, struct line, conn);

	assert_true(strlen(reason) <= 123);
	if (!line->code)
		line->code = (int)code;
}

static void line_hold(struct mh_live_conn *conn, bool on)
{
	MH_CONTAINER_OF(conn, struct line, conn)->held = on;
}

static size_t line_queued(struct mh_live_conn *conn)
{
	return MH_CONTAINER_OF(conn, struct line, conn)->queued;
}

static void line_destroy(struct mh_live_conn *conn)
{
	MH_CONTAINER_OF(conn, struct line, conn)->destroyed = true;
}

static const struct mh_live_ops line_ops = {
	.send = line_send,
	.close = line_close,
	.hold = line_hold,
	.queued = line_queued,
	.destroy = line_destroy,
};

static void run(struct world *w)
{
	mh_executor_run_until_idle(w->node.executor);
}

/* `token` NULL: without a header. */
static void line_open(struct world *w, struct line *line, const char *token,
		      const char *query)
{
	const char *header = token ? fmt(w, "Bearer %s", token) : NULL;

	*line = (struct line){
		.conn = { .server = w->node.server,
			  .handler = &mh_live_session_handler,
			  .ops = &line_ops,
			  .remote_address = "127.0.0.1",
			  .refs = 1 },
		.messages = json_array(),
		.unread = json_array(),
	};
	line->conn.handler->opened(&line->conn,
				   &(struct mh_live_hello){
					   .authorization = mh_str(header),
					   .query = mh_str(query),
				   });
	run(w);
}

static void line_say(struct world *w, struct line *line, const char *text)
{
	line->conn.handler->received(&line->conn, mh_str(text));
	run(w);
}

/* The client reads again. */
static void line_unstall(struct world *w, struct line *line)
{
	line->stalled = false;
	line->queued = 0;
	json_array_extend(line->messages, line->unread);
	json_array_clear(line->unread);
	line->conn.handler->drained(&line->conn);
	run(w);
}

static void line_end(struct world *w, struct line *line)
{
	line->conn.handler->closed(&line->conn);
	mh_live_conn_unref(&line->conn);
	run(w);
	assert_true(line->destroyed);
	json_decref(line->messages);
	json_decref(line->unread);
}

/* The next message, borrowed; NULL when there is none. */
static json_t *line_next(struct line *line)
{
	return json_array_get(line->messages, line->next++);
}

static json_t *live_room(json_t *message, const char *room)
{
	return json_object_get(
		json_object_get(json_object_get(message, "rooms"), "join"),
		room);
}

/* --- the stream -------------------------------------------------------------------- */

static void test_streams(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	struct line line;
	json_t *message;

	join(w, &w->bob, room);
	line_open(w, &line, w->bob.token, "");
	message = line_next(&line);
	assert_non_null(live_room(message, room));
	assert_null(line_next(&line));
	line.next--;

	for (int i = 0; i < 3; i++) {
		say(w, &w->alice, room, fmt(w, "%d", i));
		message = line_next(&line);
		assert_string_equal(
			body_at(events_of(live_room(message, room), "timeline"),
				0),
			fmt(w, "%d", i));
		assert_string_not_equal(str_of(message, "next_batch"), "");
	}
	line_end(w, &line);
	say(w, &w->alice, room, "nobody listens");
}

/* `since` takes up where another channel ended: nothing lost, nothing twice. */
static void test_resumes(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *since;
	struct line line;
	json_t *message;

	line_open(w, &line, w->alice.token, "");
	since = keep(w, str_of(line_next(&line), "next_batch"));
	line_end(w, &line);
	say(w, &w->alice, room, "missed");
	line_open(w, &line, w->alice.token, fmt(w, "since=%s", since));
	message = line_next(&line);
	assert_int_equal(json_array_size(events_of(live_room(message, room),
						   "timeline")),
			 1);
	since = keep(w, str_of(message, "next_batch"));
	line_end(w, &line);
	/* The first update comes even if there is nothing to tell. */
	line_open(w, &line, w->alice.token, fmt(w, "since=%s", since));
	message = line_next(&line);
	assert_null(json_object_get(message, "rooms"));
	assert_string_not_equal(str_of(message, "next_batch"), "");
	line_end(w, &line);
}

static void test_slow_reader(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	char big[1500];
	struct line line;
	json_t *message;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	line_open(w, &line, w->alice.token, "");
	line_next(&line);
	line.stalled = true;
	for (int i = 0; i < 100; i++)
		say(w, &w->alice, room, big);
	/* Bounded, whatever happens in the room. */
	assert_true(line.queued < 2 * MH_LIVE_AHEAD);
	assert_int_equal(line.code, 0);
	line_unstall(w, &line);
	/* All that was missed came as one update, with a gap to page through. */
	message = json_array_get(line.messages,
				 json_array_size(line.messages) - 1);
	assert_true(json_is_true(json_object_get(
		json_object_get(live_room(message, room), "timeline"),
		"limited")));
	mh_executor_advance(w->node.executor, 2 * MH_LIVE_SLOW_MS);
	assert_int_equal(line.code, 0);

	line.stalled = true;
	for (int i = 0; i < 100; i++)
		say(w, &w->alice, room, big);
	mh_executor_advance(w->node.executor, MH_LIVE_SLOW_MS + 1);
	assert_int_equal(line.code, MH_LIVE_CLOSE_SLOW);
	line_end(w, &line);
}

/* --- authentication -------------------------------------------------------------------- */

static void test_auth_by_message(void **state)
{
	struct world *w = *state;
	struct line line;
	json_t *message;

	line_open(w, &line, NULL, "");
	assert_null(line_next(&line));
	line.next = 0;
	line_say(w, &line,
		 fmt(w,
		     "{\"id\":\"1\",\"method\":\"auth\",\"params\":{"
		     "\"access_token\":\"%s\"}}",
		     w->alice.token));
	message = line_next(&line);
	assert_string_equal(str_of(message, "id"), "1");
	assert_string_equal(str_of(json_object_get(message, "result"),
				   "user_id"),
			    w->alice.user_id);
	assert_non_null(json_object_get(line_next(&line), "next_batch"));
	line_end(w, &line);
}

static void test_auth_fails(void **state)
{
	struct world *w = *state;
	struct line line;

	line_open(w, &line, "wrong", "");
	assert_int_equal(line.code, MH_LIVE_CLOSE_UNAUTHORIZED);
	line_end(w, &line);

	line_open(w, &line, NULL, "");
	line_say(w, &line, "{\"id\":\"1\",\"method\":\"send\"}");
	assert_int_equal(line.code, MH_LIVE_CLOSE_UNAUTHORIZED);
	line_end(w, &line);

	line_open(w, &line, NULL, "");
	mh_executor_advance(w->node.executor, MH_LIVE_AUTH_MS + 1);
	assert_int_equal(line.code, MH_LIVE_CLOSE_TIMEOUT);
	line_end(w, &line);

	line_open(w, &line, w->alice.token, "since=nonsense");
	assert_int_equal(line.code, MH_LIVE_CLOSE_BAD_MESSAGE);
	line_end(w, &line);
}

static void test_logout_closes(void **state)
{
	struct world *w = *state;
	struct line line;

	line_open(w, &line, w->alice.token, "");
	tell(w, &w->alice, "POST", API "/logout", "{}");
	run(w);
	assert_int_equal(line.code, MH_LIVE_CLOSE_UNAUTHORIZED);
	line_end(w, &line);
}

/* --- requests ----------------------------------------------------------------------------- */

static void test_requests(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *id;
	struct line line;
	json_t *message;

	join(w, &w->bob, room);
	line_open(w, &line, w->alice.token, "");
	line_next(&line);
	line_say(w, &line, "{\"id\":\"p\",\"method\":\"ping\"}");
	message = line_next(&line);
	assert_string_equal(str_of(message, "id"), "p");
	assert_int_equal(json_object_size(json_object_get(message, "result")),
			 0);

	for (int i = 0; i < 2; i++) {
		line_say(w, &line,
			 fmt(w,
			     "{\"id\":\"s\",\"method\":\"send\",\"params\":{"
			     "\"room_id\":\"%s\",\"type\":\"m.room.message\","
			     "\"txn_id\":\"x/1\",\"content\":{\"msgtype\":"
			     "\"m.text\",\"body\":\"live\"}}}",
			     room));
	}
	/* The answer and the update with it, in some order; then the repeated
	 * request's answer: the same event. */
	id = NULL;
	while ((message = line_next(&line))) {
		const char *event = str_of(json_object_get(message, "result"),
					   "event_id");

		if (!json_object_get(message, "id"))
			continue;
		if (id)
			assert_string_equal(event, id);
		id = event;
	}
	assert_non_null(id);
	line.next = json_array_size(line.messages);

	line_say(w, &line,
		 fmt(w,
		     "{\"id\":\"t\",\"method\":\"typing\",\"params\":{"
		     "\"room_id\":\"%s\",\"typing\":true}}",
		     room));
	line_say(w, &line,
		 fmt(w,
		     "{\"id\":\"r\",\"method\":\"receipt\",\"params\":{"
		     "\"room_id\":\"%s\",\"event_id\":\"%s\"}}",
		     room, id));
	for (const char *want = "tr"; *want;) {
		message = line_next(&line);
		assert_non_null(message);
		if (str_of(message, "id")[0] != *want)
			continue;
		assert_non_null(json_object_get(message, "result"));
		want++;
	}
	line_end(w, &line);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *text, *errcode;
	} answered[] = {
		{ "{\"id\":\"1\",\"method\":\"nothing\"}", "M_UNRECOGNIZED" },
		{ "{\"id\":\"1\",\"method\":\"send\"}", "M_MISSING_PARAM" },
		{ "{\"id\":\"1\",\"method\":\"send\",\"params\":{\"room_id\":"
		  "\"!x:a.example\",\"type\":\"m\",\"content\":{}}}",
		  "M_FORBIDDEN" },
		{ "{\"id\":\"1\",\"method\":\"ack\",\"params\":{"
		  "\"next_batch\":\"x\"}}",
		  "M_INVALID_PARAM" },
	};
	static const char *const closing[] = {
		"",
		"[]",
		"{",
		"{\"id\":\"1\"}",
		"{\"id\":1,\"method\":\"ping\"}",
		"{\"id\":\"1\",\"method\":\"ping\",\"params\":[]}",
	};
	struct world *w = *state;
	struct line line;

	line_open(w, &line, w->alice.token, "");
	for (size_t i = 0; i < MH_ARRAY_LEN(answered); i++) {
		json_t *message;

		line.next = json_array_size(line.messages);
		line_say(w, &line, answered[i].text);
		message = line_next(&line);
		assert_string_equal(str_of(json_object_get(message, "error"),
					   "errcode"),
				    answered[i].errcode);
		assert_int_equal(line.code, 0);
	}
	line_end(w, &line);
	for (size_t i = 0; i < MH_ARRAY_LEN(closing); i++) {
		line_open(w, &line, w->alice.token, "");
		line_say(w, &line, closing[i]);
		assert_int_equal(line.code, MH_LIVE_CLOSE_BAD_MESSAGE);
		line_end(w, &line);
	}
}

/* Who sends faster than the node works is held up, not dropped. */
static void test_many_requests(void **state)
{
	struct world *w = *state;
	struct line line;

	line_open(w, &line, w->alice.token, "");
	line.next = json_array_size(line.messages);
	for (int i = 0; i < 100; i++)
		line.conn.handler->received(
			&line.conn,
			mh_str(fmt(w, "{\"id\":\"%d\",\"method\":\"ping\"}",
				   i)));
	assert_true(line.held);
	run(w);
	assert_false(line.held);
	for (int i = 0; i < 100; i++)
		assert_string_equal(str_of(line_next(&line), "id"),
				    fmt(w, "%d", i));
	line_end(w, &line);
}

/* --- to-device messages ---------------------------------------------------------------------- */

static size_t messages_in(json_t *update)
{
	return json_array_size(json_object_get(
		json_object_get(update, "to_device"), "events"));
}

/* Only `ack` lets them be deleted. */
static void test_ack(void **state)
{
	struct world *w = *state;
	const char *next;
	struct line line;
	json_t *message;

	tell(w, &w->alice, "PUT", API "/sendToDevice/m.test/1",
	     fmt(w, "{\"messages\":{\"%s\":{\"*\":{\"a\":1}}}}",
		 w->bob.user_id));
	for (int i = 0; i < 2; i++) {
		line_open(w, &line, w->bob.token, "");
		message = line_next(&line);
		assert_int_equal(messages_in(message), 1);
		next = keep(w, str_of(message, "next_batch"));
		if (i == 1) {
			line_say(w, &line,
				 fmt(w,
				     "{\"id\":\"a\",\"method\":\"ack\","
				     "\"params\":{\"next_batch\":\"%s\"}}",
				     next));
			message = line_next(&line);
			assert_non_null(json_object_get(message, "result"));
		}
		line_end(w, &line);
	}
	line_open(w, &line, w->bob.token, "");
	assert_int_equal(messages_in(line_next(&line)), 0);
	line_end(w, &line);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_streams),	 T(test_resumes),
		T(test_slow_reader),	 T(test_auth_by_message),
		T(test_auth_fails),	 T(test_logout_closes),
		T(test_requests),	 T(test_bad_requests),
		T(test_many_requests),	 T(test_ack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
