/* SPDX-License-Identifier: Apache-2.0 */
/* GET /sync: what people see of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sync_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"
#define LAZY                                                                   \
	"&filter=%7B%22room%22%3A%7B%22state%22%3A%7B%22lazy_load_members%22"  \
	"%3Atrue%7D%7D%7D"
#define LIMIT_2                                                                \
	"&filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A2%7D"    \
	"%7D%7D"
#define LIMIT_2_LAZY                                                           \
	"&filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A2%7D"    \
	"%2C%22state%22%3A%7B%22lazy_load_members%22%3Atrue%7D%7D%7D"

/* --- joined rooms ------------------------------------------------------------ */

static void test_initial(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{\"name\":\"Home\"}");
	struct reply reply;
	json_t *joined, *timeline, *event;

	say(w, &w->alice, room, "hello");
	reply = sync_once(w, &w->alice, NULL, "");
	joined = room_in(&reply, "join", room);
	assert_non_null(joined);
	timeline = events_of(joined, "timeline");
	assert_int_equal(json_array_size(timeline), 8);
	event = event_of(timeline, "m.room.message", NULL);
	assert_string_equal(str_of(json_object_get(event, "content"), "body"),
			    "hello");
	assert_null(json_object_get(event, "room_id"));
	assert_string_equal(str_of(event, "sender"), w->alice.user_id);
	assert_string_equal(str_of(json_object_get(event, "unsigned"),
				   "membership"),
			    "join");
	assert_non_null(json_object_get(json_object_get(event, "unsigned"),
					"transaction_id"));
	/* It all fits, so nothing comes before. */
	assert_false(json_is_true(json_object_get(
		json_object_get(joined, "timeline"), "limited")));
	assert_int_equal(json_array_size(events_of(joined, "state")), 0);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(joined, "summary"),
				 "m.joined_member_count")),
			 1);
	assert_non_null(
		json_object_get(reply.json, "device_one_time_keys_count"));
	reply_release(&reply);
}

static void test_incremental(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *timeline;

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	say(w, &w->alice, room, "one");
	say(w, &w->alice, room, "two");
	reply = sync_once(w, &w->bob, token, "");
	timeline = events_of(room_in(&reply, "join", room), "timeline");
	assert_int_equal(json_array_size(timeline), 2);
	assert_string_equal(body_at(timeline, 0), "one");
	assert_string_equal(body_at(timeline, 1), "two");
	/* Another person's transaction is nobody else's business. */
	assert_null(json_object_get(
		json_object_get(json_array_get(timeline, 0), "unsigned"),
		"transaction_id"));
	token = next_batch(w, &reply);
	reply_release(&reply);

	reply = sync_once(w, &w->bob, token, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
}

/* A token works as often as it is used. */
static void test_same_token_twice(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *token = sync_token(w, &w->alice, NULL);

	say(w, &w->alice, room, "one");
	for (int i = 0; i < 2; i++) {
		struct reply reply = sync_once(w, &w->alice, token, "");

		assert_int_equal(
			json_array_size(events_of(
				room_in(&reply, "join", room), "timeline")),
			1);
		reply_release(&reply);
	}
}

static void test_limited(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined, *timeline, *states;

	token = sync_token(w, &w->alice, NULL);
	join(w, &w->bob, room);
	set_state(w, &w->alice, room, "m.room.topic", "",
		  "{\"topic\":\"gap\"}");
	for (int i = 0; i < 4; i++)
		say(w, &w->alice, room, fmt(w, "%d", i));
	reply = sync_once(w, &w->alice, token, LIMIT_2);
	joined = room_in(&reply, "join", room);
	timeline = events_of(joined, "timeline");
	assert_int_equal(json_array_size(timeline), 2);
	assert_string_equal(body_at(timeline, 0), "2");
	assert_true(json_is_true(json_object_get(
		json_object_get(joined, "timeline"), "limited")));
	assert_string_not_equal(
		str_of(json_object_get(joined, "timeline"), "prev_batch"), "");
	/* What changed in the gap, and nothing else. */
	states = events_of(joined, "state");
	assert_int_equal(json_array_size(states), 2);
	assert_non_null(event_of(states, "m.room.topic", ""));
	assert_non_null(event_of(states, "m.room.member", w->bob.user_id));
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(joined, "summary"),
				 "m.joined_member_count")),
			 2);
	reply_release(&reply);
}

static void test_state_in_timeline_is_not_repeated(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *token = sync_token(w, &w->alice, NULL);
	struct reply reply;
	json_t *joined, *event;

	set_state(w, &w->alice, room, "m.room.topic", "", "{\"topic\":\"a\"}");
	set_state(w, &w->alice, room, "m.room.topic", "", "{\"topic\":\"b\"}");
	reply = sync_once(w, &w->alice, token, "");
	joined = room_in(&reply, "join", room);
	assert_int_equal(json_array_size(events_of(joined, "state")), 0);
	event = json_array_get(events_of(joined, "timeline"), 1);
	assert_string_equal(
		str_of(json_object_get(json_object_get(event, "unsigned"),
				       "prev_content"),
		       "topic"),
		"a");
	assert_string_not_equal(str_of(json_object_get(event, "unsigned"),
				       "replaces_state"),
				"");
	reply_release(&reply);
}

static void test_state_after(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined, *states;

	reply = sync_once(w, &w->alice, NULL,
			  "&use_state_after=true" LIMIT_2);
	joined = room_in(&reply, "join", room);
	assert_null(json_object_get(joined, "state"));
	states = events_of(joined, "state_after");
	/* All of it, the events of the timeline too. */
	assert_int_equal(json_array_size(states), 6);
	token = next_batch(w, &reply);
	reply_release(&reply);

	set_state(w, &w->alice, room, "m.room.topic", "", "{\"topic\":\"a\"}");
	say(w, &w->alice, room, "x");
	reply = sync_once(w, &w->alice, token, "&use_state_after=true");
	states = events_of(room_in(&reply, "join", room), "state_after");
	assert_int_equal(json_array_size(states), 1);
	assert_non_null(event_of(states, "m.room.topic", ""));
	token = next_batch(w, &reply);
	reply_release(&reply);

	say(w, &w->alice, room, "y");
	reply = sync_once(w, &w->alice, token, "&use_state_after=true");
	joined = room_in(&reply, "join", room);
	assert_non_null(json_object_get(joined, "state_after"));
	assert_int_equal(json_array_size(events_of(joined, "state_after")), 0);
	reply_release(&reply);
}

static void test_full_state(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *token = sync_token(w, &w->alice, NULL);
	struct reply reply = sync_once(w, &w->alice, token,
				       "&full_state=true&timeout=30000");
	json_t *joined = room_in(&reply, "join", room);

	assert_int_equal(json_array_size(events_of(joined, "timeline")), 0);
	assert_int_equal(json_array_size(events_of(joined, "state")), 6);
	reply_release(&reply);
}

/* A room that was entered since is told as if for the first time. */
static void test_newly_joined(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *token = sync_token(w, &w->bob, NULL);
	struct reply reply;
	json_t *joined;

	for (int i = 0; i < 12; i++)
		say(w, &w->alice, room, "before");
	join(w, &w->bob, room);
	reply = sync_once(w, &w->bob, token, "");
	joined = room_in(&reply, "join", room);
	assert_int_equal(json_array_size(events_of(joined, "timeline")), 10);
	assert_int_equal(count_of(events_of(joined, "timeline"),
				  "m.room.message"),
			 9);
	assert_int_equal(json_array_size(events_of(joined, "state")), 6);
	assert_string_equal(
		str_of(json_object_get(
			       json_array_get(events_of(joined, "timeline"), 0),
			       "unsigned"),
		       "membership"),
		"leave");
	reply_release(&reply);
}

/* --- visibility ---------------------------------------------------------------- */

static void test_history_before_joining(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"preset\":\"public_chat\",\"initial_state\":[{\"type\":"
		"\"m.room.history_visibility\",\"content\":{"
		"\"history_visibility\":\"joined\"}}]}");
	struct reply reply;
	json_t *timeline;

	say(w, &w->alice, room, "secret");
	join(w, &w->bob, room);
	say(w, &w->alice, room, "open");
	reply = sync_once(w, &w->bob, NULL, "");
	timeline = events_of(room_in(&reply, "join", room), "timeline");
	assert_int_equal(count_of(timeline, "m.room.message"), 1);
	assert_null(strstr(reply.text, "secret"));
	reply_release(&reply);
}

static void test_left(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *left;

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	say(w, &w->alice, room, "while there");
	leave(w, &w->bob, room);
	say(w, &w->alice, room, "after");
	set_state(w, &w->alice, room, "m.room.topic", "",
		  "{\"topic\":\"later\"}");
	reply = sync_once(w, &w->bob, token, "");
	assert_null(room_in(&reply, "join", room));
	left = room_in(&reply, "leave", room);
	assert_int_equal(json_array_size(events_of(left, "timeline")), 2);
	assert_null(strstr(reply.text, "after"));
	assert_null(strstr(reply.text, "later"));
	token = next_batch(w, &reply);
	reply_release(&reply);

	say(w, &w->alice, room, "nothing to him");
	reply = sync_once(w, &w->bob, token, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);

	reply = sync_once(w, &w->bob, NULL, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	reply = sync_once(w, &w->bob, NULL,
			  "&filter=%7B%22room%22%3A%7B%22include_leave%22%3A"
			  "true%7D%7D");
	left = room_in(&reply, "leave", room);
	assert_non_null(left);
	assert_null(strstr(reply.text, "later"));
	assert_null(strstr(reply.text, "nothing to him"));
	reply_release(&reply);
}

/* Who is banned after leaving learns of the ban, and of nothing in between. */
static void test_banned_after_leaving(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *left;

	join(w, &w->bob, room);
	leave(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	say(w, &w->alice, room, "between");
	set_state(w, &w->alice, room, "m.room.topic", "",
		  "{\"topic\":\"between\"}");
	tell(w, &w->alice, "POST", fmt(w, API "/rooms/%s/ban", room),
	     fmt(w, "{\"user_id\":\"%s\"}", w->bob.user_id));
	reply = sync_once(w, &w->bob, token, "");
	left = room_in(&reply, "leave", room);
	assert_non_null(event_of(events_of(left, "timeline"), "m.room.member",
				 w->bob.user_id));
	assert_null(strstr(reply.text, "between"));
	reply_release(&reply);
}

static void test_ignored(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	const char *own;
	struct reply reply;
	json_t *timeline;

	join(w, &w->bob, room);
	token = sync_token(w, &w->alice, NULL);
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/user/%s/account_data/m.ignored_user_list",
		 w->alice.user_id),
	     fmt(w, "{\"ignored_users\":{\"%s\":{}}}", w->bob.user_id));
	say(w, &w->bob, room, "unheard");
	leave(w, &w->bob, room);
	own = make_room(w, &w->bob, "{}");
	invite(w, &w->bob, own, &w->alice);
	reply = sync_once(w, &w->alice, token, "");
	timeline = events_of(room_in(&reply, "join", room), "timeline");
	assert_int_equal(count_of(timeline, "m.room.message"), 0);
	assert_int_equal(count_of(timeline, "m.room.member"), 1);
	assert_null(room_in(&reply, "invite", own));
	assert_non_null(event_of(
		json_object_get(json_object_get(reply.json, "account_data"),
				"events"),
		"m.ignored_user_list", NULL));
	reply_release(&reply);
}

/* --- invites and knocks ------------------------------------------------------------ */

static void test_invite(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{\"name\":\"Club\"}");
	const char *token = sync_token(w, &w->bob, NULL);
	struct reply reply;
	json_t *events, *event;

	invite(w, &w->alice, room, &w->bob);
	reply = sync_once(w, &w->bob, token, "");
	events = events_of(room_in(&reply, "invite", room), "invite_state");
	event = event_of(events, "m.room.member", w->bob.user_id);
	assert_string_equal(str_of(json_object_get(event, "content"),
				   "membership"),
			    "invite");
	event = event_of(events, "m.room.name", "");
	assert_string_equal(str_of(json_object_get(event, "content"), "name"),
			    "Club");
	assert_null(json_object_get(event, "event_id"));
	assert_non_null(event_of(events, "m.room.create", ""));
	assert_non_null(event_of(events, "m.room.member", w->alice.user_id));
	token = next_batch(w, &reply);
	reply_release(&reply);

	reply = sync_once(w, &w->bob, token, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	reply = sync_once(w, &w->bob, NULL, "");
	assert_non_null(room_in(&reply, "invite", room));
	reply_release(&reply);

	leave(w, &w->bob, room);
	reply = sync_once(w, &w->bob, token, "");
	assert_null(room_in(&reply, "invite", room));
	assert_int_equal(
		json_array_size(events_of(room_in(&reply, "leave", room),
					  "timeline")),
		1);
	/* He never was in it. */
	assert_null(strstr(reply.text, "Club"));
	reply_release(&reply);
}

static void test_knock(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"initial_state\":[{\"type\":\"m.room.join_rules\","
		"\"content\":{\"join_rule\":\"knock\"}}]}");
	struct reply reply;

	tell(w, &w->bob, "POST", fmt(w, API "/knock/%s", room), "{}");
	reply = sync_once(w, &w->bob, NULL, "");
	assert_non_null(event_of(
		events_of(room_in(&reply, "knock", room), "knock_state"),
		"m.room.member", w->bob.user_id));
	reply_release(&reply);
}

/* --- lazy-loaded members ----------------------------------------------------------- */

static void test_lazy_members(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined, *states;

	set_state(w, &w->alice, room, "m.room.name", "", "{\"name\":\"x\"}");
	join(w, &w->bob, room);
	join(w, &w->carol, room);
	say(w, &w->carol, room, "1");
	say(w, &w->carol, room, "2");
	reply = sync_once(w, &w->alice, NULL, LIMIT_2_LAZY);
	joined = room_in(&reply, "join", room);
	states = events_of(joined, "state");
	assert_non_null(event_of(states, "m.room.member", w->carol.user_id));
	assert_non_null(event_of(states, "m.room.member", w->alice.user_id));
	assert_null(event_of(states, "m.room.member", w->bob.user_id));
	assert_non_null(event_of(states, "m.room.join_rules", ""));
	token = next_batch(w, &reply);
	reply_release(&reply);

	/* Bob is new to the device, carol is not. */
	say(w, &w->carol, room, "3");
	say(w, &w->bob, room, "4");
	reply = sync_once(w, &w->alice, token, LIMIT_2_LAZY);
	states = events_of(room_in(&reply, "join", room), "state");
	assert_int_equal(json_array_size(states), 1);
	assert_non_null(event_of(states, "m.room.member", w->bob.user_id));
	reply_release(&reply);

	/* That response was lost: it is made up for. */
	reply = sync_once(w, &w->alice, token, LIMIT_2_LAZY);
	states = events_of(room_in(&reply, "join", room), "state");
	assert_int_equal(json_array_size(states), 1);
	token = next_batch(w, &reply);
	reply_release(&reply);

	say(w, &w->bob, room, "5");
	reply = sync_once(w, &w->alice, token, LIMIT_2_LAZY);
	states = events_of(room_in(&reply, "join", room), "state");
	assert_int_equal(json_array_size(states), 0);
	reply_release(&reply);
}

static void test_lazy_members_of_a_gap(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply = sync_once(w, &w->alice, NULL, LIMIT_2_LAZY);
	json_t *states;

	token = next_batch(w, &reply);
	reply_release(&reply);
	join(w, &w->bob, room);
	for (int i = 0; i < 3; i++)
		say(w, &w->alice, room, "x");
	reply = sync_once(w, &w->alice, token, LIMIT_2_LAZY);
	states = events_of(room_in(&reply, "join", room), "state");
	assert_non_null(event_of(states, "m.room.member", w->bob.user_id));
	reply_release(&reply);
}

static void test_heroes(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	struct reply reply;
	json_t *joined, *heroes;

	join(w, &w->bob, room);
	invite(w, &w->alice, room, &w->carol);
	for (int i = 0; i < 3; i++)
		say(w, &w->alice, room, "x");
	reply = sync_once(w, &w->alice, NULL, LIMIT_2_LAZY);
	joined = room_in(&reply, "join", room);
	heroes = json_object_get(json_object_get(joined, "summary"),
				 "m.heroes");
	assert_int_equal(json_array_size(heroes), 2);
	assert_string_equal(json_string_value(json_array_get(heroes, 0)),
			    w->bob.user_id);
	assert_string_equal(json_string_value(json_array_get(heroes, 1)),
			    w->carol.user_id);
	assert_non_null(event_of(events_of(joined, "state"), "m.room.member",
				 w->carol.user_id));
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(joined, "summary"),
				 "m.invited_member_count")),
			 1);
	reply_release(&reply);
}

/* --- changes of what was sent ---------------------------------------------------------- */

static void test_redaction(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *id, *token;
	struct reply reply;
	json_t *event;

	token = sync_token(w, &w->alice, NULL);
	id = say(w, &w->alice, room, "mistake");
	reply = sync_once(w, &w->alice, token, "");
	assert_non_null(strstr(reply.text, "mistake"));
	reply_release(&reply);
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/rooms/%s/redact/%s/r1", room, id), "{}");
	reply = sync_once(w, &w->alice, token, "");
	assert_null(strstr(reply.text, "mistake"));
	event = json_array_get(
		events_of(room_in(&reply, "join", room), "timeline"), 0);
	assert_string_equal(str_of(event, "event_id"), id);
	assert_non_null(json_object_get(json_object_get(event, "unsigned"),
					"redacted_because"));
	reply_release(&reply);
}

static void test_account_data(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined;

	token = sync_token(w, &w->alice, NULL);
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/user/%s/rooms/%s/tags/m.favourite", w->alice.user_id,
		 room),
	     "{\"order\":0.5}");
	reply = sync_once(w, &w->alice, token, "");
	joined = room_in(&reply, "join", room);
	assert_non_null(event_of(events_of(joined, "account_data"), "m.tag",
				 NULL));
	reply_release(&reply);
}

/* --- filters ---------------------------------------------------------------------------- */

static void test_filter_of_types(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined;

	token = sync_token(w, &w->alice, NULL);
	set_state(w, &w->alice, room, "m.room.topic", "", "{\"topic\":\"a\"}");
	say(w, &w->alice, room, "x");
	/* timeline: m.room.message alone */
	reply = sync_once(w, &w->alice, token,
			  "&filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B"
			  "%22types%22%3A%5B%22m.room.message%22%5D%7D%7D%7D");
	joined = room_in(&reply, "join", room);
	assert_int_equal(json_array_size(events_of(joined, "timeline")), 1);
	/* The topic changed all the same, before what the timeline shows. */
	assert_non_null(
		event_of(events_of(joined, "state"), "m.room.topic", ""));
	reply_release(&reply);

	/* room.not_rooms */
	reply = sync_once(w, &w->alice, token,
			  fmt(w,
			      "&filter=%%7B%%22room%%22%%3A%%7B%%22not_rooms"
			      "%%22%%3A%%5B%%22%s%%22%%5D%%7D%%7D",
			      room));
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);

	/* event_fields */
	reply = sync_once(w, &w->alice, token,
			  "&filter=%7B%22event_fields%22%3A%5B%22type%22%2C"
			  "%22content.body%22%5D%7D");
	joined = json_array_get(
		events_of(room_in(&reply, "join", room), "timeline"), 1);
	assert_int_equal(json_object_size(joined), 2);
	reply_release(&reply);
}

/* --- waiting -------------------------------------------------------------------------------- */

static void test_waits_for_news(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply = { 0 };
	json_t *timeline;

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	node_send(&w->node, "GET",
		  fmt(w, API "/sync?since=%s&timeout=30000", token),
		  w->bob.token, NULL, &reply);
	mh_executor_run_until_idle(w->node.executor);
	assert_int_equal(reply.status, 0);
	say(w, &w->alice, room, "news");
	assert_int_equal(reply.status, 200);
	timeline = events_of(room_in(&reply, "join", room), "timeline");
	assert_string_equal(body_at(timeline, 0), "news");
	reply_release(&reply);
}

static void test_waits_until_timeout(void **state)
{
	struct world *w = *state;
	const char *token = sync_token(w, &w->bob, NULL);
	struct reply reply = { 0 };

	node_send(&w->node, "GET",
		  fmt(w, API "/sync?since=%s&timeout=30000", token),
		  w->bob.token, NULL, &reply);
	mh_executor_run_until_idle(w->node.executor);
	mh_executor_advance(w->node.executor, 29000);
	assert_int_equal(reply.status, 0);
	mh_executor_advance(w->node.executor, 2000);
	assert_int_equal(reply.status, 200);
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
}

/* What does not concern the client wakes it, if at all, for nothing. */
static void test_waits_through_filtered_news(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply = { 0 };

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	node_send(&w->node, "GET",
		  fmt(w,
		      API "/sync?since=%s&timeout=30000&filter=%%7B%%22room"
			  "%%22%%3A%%7B%%22rooms%%22%%3A%%5B%%5D%%7D%%7D",
		      token),
		  w->bob.token, NULL, &reply);
	say(w, &w->alice, room, "not wanted");
	assert_int_equal(reply.status, 0);
	mh_executor_advance(w->node.executor, 31000);
	assert_int_equal(reply.status, 200);
	reply_release(&reply);
}

static void test_own_other_rooms_wake(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{}"), *token;
	struct reply reply = { 0 };

	token = sync_token(w, &w->bob, NULL);
	node_send(&w->node, "GET",
		  fmt(w, API "/sync?since=%s&timeout=30000", token),
		  w->bob.token, NULL, &reply);
	invite(w, &w->alice, room, &w->bob);
	assert_int_equal(reply.status, 200);
	assert_non_null(room_in(&reply, "invite", room));
	reply_release(&reply);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = {
		"x",	     "s",	"s1",	   "s1_2",	      "s1_2_",
		"s-1_0_abc", "s1_x_abc", "t1_2", "s99999999_0_abc",
		"s1_2_abc_9",
	};
	struct world *w = *state;

	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++) {
		struct reply reply = node_request(
			&w->node, "GET", fmt(w, API "/sync?since=%s", bad[i]),
			w->alice.token, NULL);

		assert_int_equal(reply.status, 400);
		assert_string_equal(reply.errcode, "M_INVALID_PARAM");
		reply_release(&reply);
	}
}

static void test_token_survives_restart(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply reply;
	json_t *joined;

	join(w, &w->bob, room);
	token = sync_token(w, &w->bob, NULL);
	say(w, &w->alice, room, "before");
	node_restart(&w->node);
	say(w, &w->alice, room, "after");
	reply = sync_once(w, &w->bob, token, "");
	joined = room_in(&reply, "join", room);
	assert_int_equal(json_array_size(events_of(joined, "timeline")), 2);
	assert_string_equal(body_at(events_of(joined, "timeline"), 0),
			    "before");
	/* Who typed then does not any more. */
	assert_non_null(
		event_of(events_of(joined, "ephemeral"), "m.typing", NULL));
	reply_release(&reply);
}

/* The same span from memory and, after a restart, from the store. */
static void test_memory_and_store_agree(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *token;
	struct reply memory, store;
	json_t *a, *b;

	token = sync_token(w, &w->alice, NULL);
	join(w, &w->bob, room);
	set_state(w, &w->alice, room, "m.room.topic", "", "{\"topic\":\"a\"}");
	say(w, &w->bob, room, "hi");
	memory = sync_once(w, &w->alice, token, "");
	node_restart(&w->node);
	store = sync_once(w, &w->alice, token, "");
	a = events_of(room_in(&memory, "join", room), "timeline");
	b = events_of(room_in(&store, "join", room), "timeline");
	assert_int_equal(json_array_size(a), 3);
	for (size_t i = 0; i < 3; i++) {
		json_object_del(json_object_get(json_array_get(a, i),
						"unsigned"),
				"age");
		json_object_del(json_object_get(json_array_get(b, i),
						"unsigned"),
				"age");
	}
	assert_true(json_equal(a, b));
	reply_release(&memory);
	reply_release(&store);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_initial),
		T(test_incremental),
		T(test_same_token_twice),
		T(test_limited),
		T(test_state_in_timeline_is_not_repeated),
		T(test_state_after),
		T(test_full_state),
		T(test_newly_joined),
		T(test_history_before_joining),
		T(test_left),
		T(test_banned_after_leaving),
		T(test_ignored),
		T(test_invite),
		T(test_knock),
		T(test_lazy_members),
		T(test_lazy_members_of_a_gap),
		T(test_heroes),
		T(test_redaction),
		T(test_account_data),
		T(test_filter_of_types),
		T(test_waits_for_news),
		T(test_waits_until_timeout),
		T(test_waits_through_filtered_news),
		T(test_own_other_rooms_wake),
		T(test_bad_tokens),
		T(test_token_survives_restart),
		T(test_memory_and_store_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
