/* SPDX-License-Identifier: Apache-2.0 */
/* POST upgrade: a new room with the old one's state, and the old one closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

static const char *make_old(struct world *w, const char *version, int n)
{
	const char *room = make_room(
		w, &w->alice,
		fmt(w,
		    "{\"room_version\":\"%s\",\"visibility\":\"public\","
		    "\"name\":\"Old\",\"topic\":\"T\",\"room_alias_name\":"
		    "\"a%d\",\"creation_content\":{\"type\":\"org.example\","
		    "\"m.federate\":false},\"initial_state\":[{\"type\":"
		    "\"m.room.encryption\",\"content\":{\"algorithm\":"
		    "\"m.megolm.v1.aes-sha2\"}}]}",
		    version, n));

	join(w, &w->bob, room);
	tell(w, &w->alice, "POST", act(w, room, "ban"), about(w, &w->carol));
	return room;
}

static const char *upgrade(struct world *w, const char *room,
			   const char *version)
{
	struct reply reply = ask(w, &w->alice, "POST", act(w, room, "upgrade"),
				 fmt(w, "{\"new_version\":\"%s\"}", version));
	const char *to = keep(w, reply_str(&reply, "replacement_room"));

	reply_release(&reply);
	return to;
}

static const char *text_of(struct world *w, const char *room, const char *type,
			   const char *key)
{
	return str_of(state_of(w, &w->alice, room, type, ""), key);
}

static void expect_moved(struct world *w, const char *old, const char *new,
			 const char *version, int n)
{
	json_t *create = state_of(w, &w->alice, new, "m.room.create", "");
	json_t *found, *list;
	const char *alias = fmt(w, "#a%d:a.example", n);

	assert_string_equal(str_of(create, "room_version"), version);
	assert_string_equal(str_of(create, "type"), "org.example");
	assert_true(json_is_false(json_object_get(create, "m.federate")));
	assert_string_equal(str_of(json_object_get(create, "predecessor"),
				   "room_id"),
			    old);
	assert_string_equal(text_of(w, old, "m.room.tombstone",
				    "replacement_room"),
			    new);
	assert_string_equal(text_of(w, new, "m.room.name", "name"), "Old");
	assert_string_equal(text_of(w, new, "m.room.topic", "topic"), "T");
	assert_string_equal(text_of(w, new, "m.room.join_rules", "join_rule"),
			    "public");
	assert_string_equal(text_of(w, new, "m.room.encryption", "algorithm"),
			    "m.megolm.v1.aes-sha2");
	assert_string_equal(text_of(w, new, "m.room.canonical_alias", "alias"),
			    alias);
	assert_string_equal(text_of(w, old, "m.room.canonical_alias", "alias"),
			    "");
	found = get(w, &w->bob,
		    fmt(w, API "/directory/room/%s", part(w, alias)));
	assert_string_equal(str_of(found, "room_id"), new);
	list = get(w, &w->bob, fmt(w, API "/directory/list/room/%s", new));
	assert_string_equal(str_of(list, "visibility"), "public");
	list = get(w, &w->bob, fmt(w, API "/directory/list/room/%s", old));
	assert_string_equal(str_of(list, "visibility"), "private");
	assert_string_equal(membership_of(w, &w->alice, new, &w->carol),
			    "ban");
}

static void test_between_versions(void **state)
{
	struct world *w = *state;
	static const char *const pairs[][2] = {
		{ "1", "6" },	{ "6", "11" }, { "10", "12" },
		{ "12", "12" }, { "12", "11" }, { "9", "9" },
	};

	for (int i = 0; i < (int)MH_ARRAY_LEN(pairs); i++) {
		const char *old = make_old(w, pairs[i][0], i);
		const char *new = upgrade(w, old, pairs[i][1]);

		expect_moved(w, old, new, pairs[i][1], i);
		/* The old room is closed to ordinary members. */
		refuse(w, &w->bob, "PUT",
		       act(w, old, "send/m.room.message/late"), "{}", 403,
		       "M_FORBIDDEN");
		join(w, &w->bob, new);
		say(w, &w->bob, new, "here now");
		set_state(w, &w->alice, new, "m.room.name", "",
			  "{\"name\":\"New\"}");
	}
}

/* Before version 12 the create event names the tombstone. */
static void test_predecessor_event(void **state)
{
	struct world *w = *state;
	const char *old = make_old(w, "10", 1);
	const char *new = upgrade(w, old, "11");
	json_t *create = state_of(w, &w->alice, new, "m.room.create", "");
	json_t *tombstone = get(
		w, &w->alice,
		act(w, old, "state/m.room.tombstone?format=event"));

	assert_string_equal(str_of(json_object_get(create, "predecessor"),
				   "event_id"),
			    str_of(tombstone, "event_id"));
}

static void test_levels(void **state)
{
	struct world *w = *state;
	const char *old = make_old(w, "11", 1), *new;
	json_t *users;

	set_state(w, &w->alice, old, "m.room.power_levels", "",
		  "{\"users\":{\"@alice:a.example\":70,\"@bob:a.example\":60},"
		  "\"events\":{\"m.room.tombstone\":70,"
		  "\"m.room.power_levels\":70}}");
	new = upgrade(w, old, "11");
	users = json_object_get(state_of(w, &w->alice, new,
					 "m.room.power_levels", ""),
				"users");
	assert_int_equal(json_integer_value(json_object_get(
				 users, w->alice.user_id)),
			 70);
	assert_int_equal(json_integer_value(json_object_get(users,
							    w->bob.user_id)),
			 60);
	/* A creator of version 12 is not listed. */
	new = upgrade(w, new, "12");
	users = json_object_get(state_of(w, &w->alice, new,
					 "m.room.power_levels", ""),
				"users");
	assert_null(json_object_get(users, w->alice.user_id));
	assert_int_equal(json_integer_value(json_object_get(users,
							    w->bob.user_id)),
			 60);
}

static void test_additional_creators(void **state)
{
	struct world *w = *state;
	const char *old = make_old(w, "12", 1), *new;
	struct reply reply = ask(
		w, &w->alice, "POST", act(w, old, "upgrade"),
		"{\"new_version\":\"12\",\"additional_creators\":"
		"[\"@bob:a.example\"]}");

	new = keep(w, reply_str(&reply, "replacement_room"));
	reply_release(&reply);
	join(w, &w->bob, new);
	set_state(w, &w->bob, new, "m.room.name", "", "{\"name\":\"bobs\"}");
}

static void test_refusals(void **state)
{
	struct world *w = *state;
	const char *room = make_old(w, "12", 1);
	const char *path = act(w, room, "upgrade");

	refuse(w, &w->alice, "POST", path, "{\"new_version\":\"x\"}", 400,
	       "M_UNSUPPORTED_ROOM_VERSION");
	refuse(w, &w->alice, "POST", path, "{}", 400, "M_MISSING_PARAM");
	refuse(w, &w->alice, "POST", path,
	       "{\"new_version\":\"12\",\"additional_creators\":[\"x\"]}", 400,
	       "M_BAD_JSON");
	refuse(w, &w->bob, "POST", path, "{\"new_version\":\"12\"}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->carol, "POST", path, "{\"new_version\":\"12\"}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->alice, "POST", act(w, "!none", "upgrade"),
	       "{\"new_version\":\"12\"}", 403, "M_FORBIDDEN");
}

/* --- every statement failing ------------------------------------------------------ */

struct upgrading {
	const char *room;
	size_t rooms;
	int made;
};

static const char *upgrade_target(struct world *w, int n, void *context)
{
	struct upgrading *u = context;

	(void)n;
	return act(w, u->room, "upgrade");
}

static const char *upgrade_body(struct world *w, int n, void *context)
{
	(void)w, (void)n, (void)context;
	return "{\"new_version\":\"11\"}";
}

static void expect_rooms(struct world *w, size_t n)
{
	json_t *joined = get(w, &w->alice, API "/joined_rooms");

	assert_int_equal(json_array_size(json_object_get(joined,
							 "joined_rooms")),
			 n);
}

static void not_upgraded(struct world *w, int n, void *context)
{
	struct upgrading *u = context;
	json_t *found = get(w, &w->alice,
			    fmt(w, API "/directory/room/%%23a%d:a.example",
				u->made));

	(void)n;
	assert_string_equal(str_of(found, "room_id"), u->room);
	refuse(w, &w->alice, "GET", act(w, u->room, "state/m.room.tombstone"),
	       NULL, 404, "M_NOT_FOUND");
	expect_rooms(w, u->rooms);
	/* It is as open as it was. */
	say(w, &w->bob, u->room, "still here");
}

static void upgraded(struct world *w, int n, const struct reply *reply,
		     void *context)
{
	struct upgrading *u = context;

	(void)n;
	expect_moved(w, u->room, keep(w, reply_str(reply, "replacement_room")),
		     "11", u->made);
	u->room = make_old(w, "11", ++u->made);
	u->rooms += 2;
}

static void test_each_statement_failing(void **state)
{
	struct world *w = *state;
	struct upgrading u = { .room = make_old(w, "11", 0), .rooms = 1 };
	struct attempts attempts = {
		.w = w,
		.who = &w->alice,
		.method = "POST",
		.target = upgrade_target,
		.body = upgrade_body,
		.unchanged = not_upgraded,
		.changed = upgraded,
		.context = &u,
	};

	attempt_all(&attempts);
}

#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_between_versions), TEST(test_predecessor_event),
		TEST(test_levels),	     TEST(test_additional_creators),
		TEST(test_refusals),	     TEST(test_each_statement_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
