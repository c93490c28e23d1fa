/* SPDX-License-Identifier: Apache-2.0 */
/* Typing and presence: what is in memory alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sync_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

static void type_in(struct world *w, const struct person *who, const char *room,
		    const char *body)
{
	tell(w, who, "PUT",
	     fmt(w, API "/rooms/%s/typing/%s", room, who->user_id), body);
}

/* How many type, by the next sync; -1: nothing is said. */
static int typists(struct world *w, const char *room, const char **token)
{
	struct reply reply = sync_once(w, &w->alice, *token, "");
	json_t *event = event_of(events_of(room_in(&reply, "join", room),
					   "ephemeral"),
				 "m.typing", NULL);
	int n = event ? (int)json_array_size(json_object_get(
				json_object_get(event, "content"), "user_ids")) :
			-1;

	*token = next_batch(w, &reply);
	reply_release(&reply);
	return n;
}

static void test_typing(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;

	join(w, &w->bob, room);
	join(w, &w->carol, room);
	token = sync_token(w, &w->alice, NULL);
	type_in(w, &w->bob, room, "{\"typing\":true,\"timeout\":10000}");
	assert_int_equal(typists(w, room, &token), 1);
	assert_int_equal(typists(w, room, &token), -1);
	/* Going on is no news, and moves the end. */
	mh_executor_advance(w->node.executor, 9000);
	type_in(w, &w->bob, room, "{\"typing\":true,\"timeout\":10000}");
	assert_int_equal(typists(w, room, &token), -1);
	type_in(w, &w->carol, room, "{\"typing\":true,\"timeout\":60000}");
	assert_int_equal(typists(w, room, &token), 2);
	mh_executor_advance(w->node.executor, 10001);
	assert_int_equal(typists(w, room, &token), 1);
	type_in(w, &w->carol, room, "{\"typing\":false}");
	assert_int_equal(typists(w, room, &token), 0);
	assert_int_equal(typists(w, room, &token), -1);
}

static void test_typing_is_refused(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{}");
	const char *paths[] = {
		fmt(w, API "/rooms/%s/typing/%s", room, w->bob.user_id),
		fmt(w, API "/rooms/%s/typing/%s", room, w->alice.user_id),
	};

	for (size_t i = 0; i < 2; i++) {
		struct reply reply = node_request(&w->node, "PUT", paths[i],
						  w->bob.token,
						  "{\"typing\":true}");

		assert_int_equal(reply.status, 403);
		reply_release(&reply);
	}
}

/* A ticket and a waiter: the news of typing comes to who waits. */
static void test_typing_wakes(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply = { 0 };

	join(w, &w->bob, room);
	token = sync_token(w, &w->alice, NULL);
	node_send(&w->node, "GET",
		  fmt(w,
		      API "/sync?since=%s&timeout=30000"
			  "&set_presence=offline",
		      token),
		  w->alice.token, NULL, &reply);
	type_in(w, &w->bob, room, "{\"typing\":true}");
	assert_int_equal(reply.status, 200);
	assert_non_null(event_of(events_of(room_in(&reply, "join", room),
					   "ephemeral"),
				 "m.typing", NULL));
	reply_release(&reply);
}

static const char *presence_of(struct world *w, const struct person *whom)
{
	struct reply reply = ask(
		w, &w->alice, "GET",
		fmt(w, API "/presence/%s/status", whom->user_id), NULL);
	const char *state = keep(w, reply_str(&reply, "presence"));

	reply_release(&reply);
	return state;
}

static void test_presence(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *event;

	join(w, &w->bob, room);
	assert_string_equal(presence_of(w, &w->bob), "offline");
	token = sync_token(w, &w->alice, NULL);
	sync_token(w, &w->bob, NULL);
	assert_string_equal(presence_of(w, &w->bob), "online");
	reply = sync_once(w, &w->alice, token, "");
	event = event_of(json_object_get(json_object_get(reply.json,
							 "presence"),
					 "events"),
			 "m.presence", NULL);
	assert_non_null(event);
	assert_string_equal(str_of(json_object_get(event, "content"),
				   "presence"),
			    "online");
	token = next_batch(w, &reply);
	reply_release(&reply);

	mh_executor_advance(w->node.executor, 46000);
	assert_string_equal(presence_of(w, &w->bob), "offline");
	tell(w, &w->bob, "PUT",
	     fmt(w, API "/presence/%s/status", w->bob.user_id),
	     "{\"presence\":\"unavailable\",\"status_msg\":\"at lunch\"}");
	assert_string_equal(presence_of(w, &w->bob), "unavailable");
	reply = sync_once(w, &w->alice, token, "&set_presence=offline");
	assert_non_null(strstr(reply.text, "at lunch"));
	reply_release(&reply);
}

/* Who waits for news is there, but idle after a while. */
static void test_idle(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply = { 0 };

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	for (int i = 0; i < 11; i++) {
		node_send(&w->node, "GET",
			  fmt(w, API "/sync?since=%s&timeout=30000", token),
			  w->bob.token, NULL, &reply);
		mh_executor_advance(w->node.executor, 30001);
		assert_int_equal(reply.status, 200);
		token = next_batch(w, &reply);
		reply_release(&reply);
	}
	assert_string_equal(presence_of(w, &w->bob), "unavailable");
}

static void test_strangers_see_no_presence(void **state)
{
	struct world *w = *state;
	struct reply reply = node_request(
		&w->node, "GET",
		fmt(w, API "/presence/%s/status", w->bob.user_id),
		w->alice.token, NULL);

	assert_int_equal(reply.status, 403);
	reply_release(&reply);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_typing),	      T(test_typing_is_refused),
		T(test_typing_wakes), T(test_presence),
		T(test_idle),	      T(test_strangers_see_no_presence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
