/* SPDX-License-Identifier: Apache-2.0 */
/* Paging through a room's timeline, over a whole node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

static json_t *page(struct world *w, const struct person *who, const char *room,
		    const char *query)
{
	return get(w, who, fmt(w, API "/rooms/%s/messages?%s", room, query));
}

/* The bodies of a chunk, with spaces between; state events are left out. */
static const char *bodies(struct world *w, json_t *page_of)
{
	const char *text = "";
	json_t *event;
	size_t i;

	json_array_foreach (json_object_get(page_of, "chunk"), i, event)
		if (!strcmp(str_of(event, "type"), "m.room.message"))
			text = fmt(w, "%s%s ", text,
				   str_of(json_object_get(event, "content"),
					  "body"));
	return text;
}

static void say_all(struct world *w, const struct person *who, const char *room,
		    const char *letters)
{
	for (; *letters; letters++)
		say(w, who, room, fmt(w, "%c", *letters));
}

/* Pages to the end; every event once. */
static const char *walk(struct world *w, const char *room, const char *dir,
			int limit, size_t *events)
{
	const char *text = "", *from = "";
	json_t *got;

	*events = 0;
	do {
		got = page(w, &w->alice, room,
			   fmt(w, "dir=%s&limit=%d%s", dir, limit, from));
		*events += json_array_size(json_object_get(got, "chunk"));
		text = fmt(w, "%s%s", text, bodies(w, got));
		from = fmt(w, "&from=%s", str_of(got, "end"));
	} while (json_object_get(got, "end"));
	return text;
}

static void every_event_comes_once_in_either_direction(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	size_t all, n;

	say_all(w, &w->alice, room, "abcdefg");
	assert_string_equal(walk(w, room, "b", 100, &all), "g f e d c b a ");
	for (int limit = 1; limit < 6; limit++) {
		assert_string_equal(walk(w, room, "b", limit, &n),
				    "g f e d c b a ");
		assert_int_equal(n, all);
		assert_string_equal(walk(w, room, "f", limit, &n),
				    "a b c d e f g ");
		assert_int_equal(n, all);
	}
}

static void tokens_of_sync_are_places(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *since, *prev;
	struct reply reply;

	say_all(w, &w->alice, room, "abc");
	since = sync_token(w, &w->alice, NULL);
	say_all(w, &w->alice, room, "def");
	assert_string_equal(
		bodies(w, page(w, &w->alice, room,
			       fmt(w, "dir=b&limit=2&from=%s", since))),
		"c b ");
	assert_string_equal(bodies(w, page(w, &w->alice, room,
					   fmt(w, "dir=f&from=%s", since))),
			    "d e f ");
	assert_string_equal(bodies(w, page(w, &w->alice, room,
					   fmt(w, "dir=b&to=%s", since))),
			    "f e d ");

	reply = sync_once(w, &w->alice, NULL,
			  "&filter={\"room\":{\"timeline\":{\"limit\":2}}}");
	prev = keep(w, str_of(json_object_get(room_in(&reply, "join", room),
					      "timeline"),
			      "prev_batch"));
	reply_release(&reply);
	assert_string_equal(
		bodies(w, page(w, &w->alice, room,
			       fmt(w, "dir=b&limit=2&from=%s", prev))),
		"d c ");
}

static void a_filter_narrows_and_members_come_along(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	json_t *got;

	join(w, &w->bob, room);
	say_all(w, &w->alice, room, "ab");
	say_all(w, &w->bob, room, "cd");
	got = page(w, &w->alice, room,
		   fmt(w,
		       "dir=b&filter={\"senders\":[\"%s\"],\"types\":"
		       "[\"m.room.message\"],\"lazy_load_members\":true}",
		       w->bob.user_id));
	assert_string_equal(bodies(w, got), "d c ");
	assert_int_equal(json_array_size(json_object_get(got, "state")), 1);
	assert_string_equal(str_of(json_array_get(json_object_get(got, "state"),
						  0),
				   "state_key"),
			    w->bob.user_id);
}

static void nobody_sees_what_is_not_theirs(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);

	set_state(w, &w->alice, room, "m.room.history_visibility", "",
		  "{\"history_visibility\":\"joined\"}");
	say_all(w, &w->alice, room, "ab");
	join(w, &w->bob, room);
	say_all(w, &w->alice, room, "cd");
	assert_string_equal(bodies(w, page(w, &w->bob, room, "dir=b")),
			    "d c ");
	leave(w, &w->bob, room);
	say_all(w, &w->alice, room, "e");
	assert_string_equal(bodies(w, page(w, &w->bob, room, "dir=b")),
			    "d c ");
	refuse(w, &w->carol, "GET",
	       fmt(w, API "/rooms/%s/messages?dir=b", room), NULL, 403,
	       "M_FORBIDDEN");
}

static void ignored_users_are_not_shown_but_their_state_is(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *event;
	json_t *got;
	bool found = false;
	json_t *one;
	size_t i;

	join(w, &w->bob, room);
	say_all(w, &w->alice, room, "a");
	event = say(w, &w->bob, room, "b");
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/user/%s/account_data/m.ignored_user_list",
		 w->alice.user_id),
	     fmt(w, "{\"ignored_users\":{\"%s\":{}}}", w->bob.user_id));
	got = page(w, &w->alice, room, "dir=b");
	assert_string_equal(bodies(w, got), "a ");
	json_array_foreach (json_object_get(got, "chunk"), i, one)
		found = found || !strcmp(str_of(one, "sender"),
					 w->bob.user_id);
	assert_true(found); /* that bob joined */
	cannot_see(w, &w->alice, room, event);
	assert_string_equal(bodies(w, page(w, &w->bob, room, "dir=b")),
			    "b a ");
}

static void what_is_wrong_is_refused(void **state)
{
	struct world *w = *state;
	const char *path = fmt(w, API "/rooms/%s/messages",
			       make_room(w, &w->alice, PUBLIC));

	refuse(w, &w->alice, "GET", path, NULL, 400, "M_MISSING_PARAM");
	refuse(w, &w->alice, "GET", fmt(w, "%s?dir=x", path), NULL, 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "GET", fmt(w, "%s?dir=b&limit=-1", path), NULL,
	       400, "M_INVALID_PARAM");
	refuse(w, &w->alice, "GET", fmt(w, "%s?dir=b&from=zz", path), NULL,
	       400, "M_INVALID_PARAM");
	refuse(w, &w->alice, "GET", fmt(w, "%s?dir=b&from=t1_x", path), NULL,
	       400, "M_INVALID_PARAM");
	refuse(w, &w->alice, "GET", fmt(w, "%s?dir=b&filter=[]", path), NULL,
	       400, "M_BAD_JSON");
	refuse(w, &w->alice, "GET", API "/rooms/!none:x/messages?dir=b", NULL,
	       403, "M_FORBIDDEN");
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_event_comes_once_in_either_direction),
		TEST(tokens_of_sync_are_places),
		TEST(a_filter_narrows_and_members_come_along),
		TEST(nobody_sees_what_is_not_theirs),
		TEST(ignored_users_are_not_shown_but_their_state_is),
		TEST(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
