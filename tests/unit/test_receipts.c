/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts and read markers, as others and oneself see them in sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sync_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

struct shared {
	const char *room, *first, *second;
};

static struct shared shared_room(struct world *w)
{
	struct shared shared = { .room = make_room(w, &w->alice, PUBLIC) };

	join(w, &w->bob, shared.room);
	shared.first = say(w, &w->alice, shared.room, "1");
	shared.second = say(w, &w->alice, shared.room, "2");
	return shared;
}

static void mark(struct world *w, const struct person *who, const char *room,
		 const char *type, const char *event, const char *body)
{
	tell(w, who, "POST",
	     fmt(w, API "/rooms/%s/receipt/%s/%s", room, type, event), body);
}

/* content.<event>.<type>.<user> of the n-th m.receipt since `token`. */
static json_t *receipt_in(const struct reply *reply, const char *room, size_t n,
			  const char *event, const char *type, const char *user)
{
	json_t *list = events_of(room_in(reply, "join", room), "ephemeral");
	json_t *content = json_object_get(json_array_get(list, n), "content");

	return json_object_get(
		json_object_get(json_object_get(content, event), type), user);
}

static void test_public(void **state)
{
	struct world *w = *state;
	struct shared s = shared_room(w);
	const char *token = sync_token(w, &w->alice, NULL);
	struct reply reply;
	json_t *receipt;

	mark(w, &w->bob, s.room, "m.read", s.second, "{}");
	reply = sync_once(w, &w->alice, token, "");
	receipt = receipt_in(&reply, s.room, 0, s.second, "m.read",
			     w->bob.user_id);
	assert_true(json_is_integer(json_object_get(receipt, "ts")));
	assert_null(json_object_get(receipt, "thread_id"));
	token = next_batch(w, &reply);
	reply_release(&reply);

	/* Reading does not go backwards. */
	mark(w, &w->bob, s.room, "m.read", s.first, "{}");
	reply = sync_once(w, &w->alice, token, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);

	/* It is there for whoever comes later, and after a restart. */
	node_restart(&w->node);
	reply = sync_once(w, &w->alice, NULL, "");
	assert_non_null(receipt_in(&reply, s.room, 0, s.second, "m.read",
				   w->bob.user_id));
	reply_release(&reply);
}

static void test_private(void **state)
{
	struct world *w = *state;
	struct shared s = shared_room(w);
	const char *alice = sync_token(w, &w->alice, NULL);
	const char *bob = sync_token(w, &w->bob, NULL);
	struct reply reply;

	mark(w, &w->bob, s.room, "m.read.private", s.second, "{}");
	reply = sync_once(w, &w->alice, alice, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	reply = sync_once(w, &w->bob, bob, "");
	assert_non_null(receipt_in(&reply, s.room, 0, s.second,
				   "m.read.private", w->bob.user_id));
	reply_release(&reply);
}

static void test_threaded(void **state)
{
	struct world *w = *state;
	struct shared s = shared_room(w);
	const char *token, *inside;
	struct reply reply;

	reply = ask(w, &w->alice, "PUT",
		    fmt(w, API "/rooms/%s/send/m.room.message/th", s.room),
		    fmt(w,
			"{\"msgtype\":\"m.text\",\"body\":\"in\","
			"\"m.relates_to\":{\"rel_type\":\"m.thread\","
			"\"event_id\":\"%s\"}}",
			s.first));
	inside = keep(w, reply_str(&reply, "event_id"));
	reply_release(&reply);
	token = sync_token(w, &w->alice, NULL);
	mark(w, &w->bob, s.room, "m.read", inside, "{}");
	mark(w, &w->bob, s.room, "m.read", inside,
	     fmt(w, "{\"thread_id\":\"%s\"}", s.first));
	/* Both stand on one event: each comes in an m.receipt of its own. */
	reply = sync_once(w, &w->alice, token, "");
	assert_int_equal(json_array_size(events_of(
				 room_in(&reply, "join", s.room), "ephemeral")),
			 2);
	for (size_t i = 0; i < 2; i++)
		assert_non_null(receipt_in(&reply, s.room, i, inside, "m.read",
					   w->bob.user_id));
	reply_release(&reply);
}

static void expect_error(struct world *w, const char *target, const char *body,
			 int status, const char *errcode)
{
	struct reply reply = node_request(&w->node, "POST", target,
					  w->bob.token, body);

	assert_int_equal(reply.status, status);
	assert_string_equal(reply.errcode, errcode);
	reply_release(&reply);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	struct shared s = shared_room(w);
	const char *secret = make_room(w, &w->alice, "{}");
	const char *elsewhere = say(w, &w->alice, secret, "x");
	const char *base = fmt(w, API "/rooms/%s/receipt", s.room);

	expect_error(w, fmt(w, "%s/m.read/%s", base, elsewhere), "{}", 404,
		     "M_NOT_FOUND");
	expect_error(w, fmt(w, "%s/m.liked/%s", base, s.first), "{}", 400,
		     "M_INVALID_PARAM");
	expect_error(w, fmt(w, "%s/m.read/%s", base, s.first),
		     "{\"thread_id\":1}", 400, "M_INVALID_PARAM");
	expect_error(w, fmt(w, "%s/m.read/%s", base, s.first),
		     "{\"thread_id\":\"\"}", 400, "M_INVALID_PARAM");
	expect_error(w, fmt(w, "%s/m.read/%s", base, s.first),
		     "{\"thread_id\":\"$other\"}", 400, "M_INVALID_PARAM");
	expect_error(w, fmt(w, "%s/m.fully_read/%s", base, s.first),
		     "{\"thread_id\":\"main\"}", 400, "M_INVALID_PARAM");
	expect_error(w,
		     fmt(w, API "/rooms/%s/receipt/m.read/%s", secret,
			 elsewhere),
		     "{}", 403, "M_FORBIDDEN");
}

static void test_fully_read(void **state)
{
	struct world *w = *state;
	struct shared s = shared_room(w);
	const char *token = sync_token(w, &w->bob, NULL);
	struct reply reply;
	json_t *joined, *event;

	tell(w, &w->bob, "POST", fmt(w, API "/rooms/%s/read_markers", s.room),
	     fmt(w, "{\"m.fully_read\":\"%s\",\"m.read\":\"%s\"}", s.first,
		 s.second));
	reply = sync_once(w, &w->bob, token, "");
	joined = room_in(&reply, "join", s.room);
	event = event_of(events_of(joined, "account_data"), "m.fully_read",
			 NULL);
	assert_string_equal(str_of(json_object_get(event, "content"),
				   "event_id"),
			    s.first);
	assert_non_null(receipt_in(&reply, s.room, 0, s.second, "m.read",
				   w->bob.user_id));
	token = next_batch(w, &reply);
	reply_release(&reply);

	mark(w, &w->bob, s.room, "m.fully_read", s.second, "{}");
	mark(w, &w->bob, s.room, "m.fully_read", s.first, "{}");
	reply = sync_once(w, &w->bob, token, "");
	event = event_of(events_of(room_in(&reply, "join", s.room),
				   "account_data"),
			 "m.fully_read", NULL);
	assert_string_equal(str_of(json_object_get(event, "content"),
				   "event_id"),
			    s.second);
	reply_release(&reply);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_public),	 T(test_private),    T(test_threaded),
		T(test_refused), T(test_fully_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
