/* SPDX-License-Identifier: Apache-2.0 */
/* Joining, leaving, inviting, kicking, banning, knocking, forgetting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

static size_t rooms_of(struct world *w, const struct person *who)
{
	return json_array_size(json_object_get(get(w, who, API "/joined_rooms"),
					       "joined_rooms"));
}

static void test_join_and_leave(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"preset\":\"public_chat\",\"room_alias_name\":\"pub\"}");
	json_t *member;

	tell(w, &w->bob, "PUT",
	     fmt(w, API "/profile/%s/displayname", w->bob.user_id),
	     "{\"displayname\":\"Bob\"}");
	tell(w, &w->bob, "POST", API "/join/%23pub:a.example?via=b.example",
	     "{\"reason\":\"hi\"}");
	member = state_of(w, &w->bob, room, "m.room.member", w->bob.user_id);
	assert_string_equal(str_of(member, "membership"), "join");
	assert_string_equal(str_of(member, "displayname"), "Bob");
	assert_string_equal(str_of(member, "reason"), "hi");
	/* Again: nothing new is made. */
	tell(w, &w->bob, "POST", act(w, room, "join"), "{}");
	member = state_of(w, &w->bob, room, "m.room.member", w->bob.user_id);
	assert_string_equal(str_of(member, "reason"), "hi");
	assert_int_equal(rooms_of(w, &w->bob), 1);
	leave(w, &w->bob, room);
	leave(w, &w->bob, room);
	assert_int_equal(rooms_of(w, &w->bob), 0);
	refuse(w, &w->carol, "POST", act(w, room, "leave"), "{}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->carol, "POST", API "/join/!none:a.example", "{}", 404,
	       "M_NOT_FOUND");
	refuse(w, &w->carol, "POST", API "/join/%23none:a.example", "{}", 404,
	       "M_NOT_FOUND");
	refuse(w, &w->carol, "POST", API "/join/nonsense", "{}", 400,
	       "M_INVALID_PARAM");
}

static void test_invite(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{}");
	const char *to_room = act(w, room, "invite");

	refuse(w, &w->bob, "POST", act(w, room, "join"), "{}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->bob, "POST", to_room, about(w, &w->carol), 403,
	       "M_FORBIDDEN");
	invite(w, &w->alice, room, &w->bob);
	invite(w, &w->alice, room, &w->bob);
	join(w, &w->bob, room);
	refuse(w, &w->alice, "POST", to_room, about(w, &w->bob), 403,
	       "M_FORBIDDEN");
	/* Inviting needs 50 here. */
	refuse(w, &w->bob, "POST", to_room, about(w, &w->carol), 403,
	       "M_FORBIDDEN");
	refuse(w, &w->alice, "POST", to_room, "{\"user_id\":\"carol\"}", 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "POST", to_room, "{}", 400, "M_MISSING_PARAM");
	/* Their server would have to sign. */
	refuse(w, &w->alice, "POST", to_room, "{\"user_id\":\"@x:b.example\"}",
	       502, "M_CONNECTION_FAILED");
	refuse(w, &w->alice, "POST", to_room,
	       "{\"medium\":\"email\",\"address\":\"c@c.example\","
	       "\"id_server\":\"id.example\",\"id_access_token\":\"t\"}",
	       400, "M_SERVER_NOT_TRUSTED");
	/* Rejected, and invited again. */
	invite(w, &w->alice, room, &w->carol);
	leave(w, &w->carol, room);
	refuse(w, &w->carol, "POST", act(w, room, "join"), "{}", 403,
	       "M_FORBIDDEN");
	invite(w, &w->alice, room, &w->carol);
	join(w, &w->carol, room);
}

static void test_invite_blocked(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{}");
	const char *config = fmt(
		w, API "/user/%s/account_data/m.invite_permission_config",
		w->bob.user_id);

	tell(w, &w->bob, "PUT", config, "{\"default_action\":\"block\"}");
	refuse(w, &w->alice, "POST", act(w, room, "invite"), about(w, &w->bob),
	       403, "M_INVITE_BLOCKED");
	refuse_state(w, &w->alice, room,
		     fmt(w, "m.room.member/%s", w->bob.user_id),
		     "{\"membership\":\"invite\"}", 403, "M_INVITE_BLOCKED");
	tell(w, &w->bob, "PUT", config, "{}");
	invite(w, &w->alice, room, &w->bob);
}

static void test_kick_and_ban(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *bob = about(w, &w->bob);

	refuse(w, &w->alice, "POST", act(w, room, "kick"), bob, 403,
	       "M_FORBIDDEN");
	join(w, &w->bob, room);
	join(w, &w->carol, room);
	refuse(w, &w->carol, "POST", act(w, room, "kick"), bob, 403,
	       "M_FORBIDDEN");
	tell(w, &w->alice, "POST", act(w, room, "kick"), bob);
	assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
			    "leave");
	join(w, &w->bob, room);
	refuse(w, &w->carol, "POST", act(w, room, "ban"), bob, 403,
	       "M_FORBIDDEN");
	tell(w, &w->alice, "POST", act(w, room, "ban"), bob);
	tell(w, &w->alice, "POST", act(w, room, "ban"), bob);
	refuse(w, &w->bob, "POST", act(w, room, "join"), "{}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->alice, "POST", act(w, room, "invite"), bob, 403,
	       "M_FORBIDDEN");
	/* A kick does not lift a ban. */
	refuse(w, &w->alice, "POST", act(w, room, "kick"), bob, 403,
	       "M_FORBIDDEN");
	refuse(w, &w->bob, "POST", act(w, room, "leave"), "{}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->carol, "POST", act(w, room, "unban"), bob, 403,
	       "M_FORBIDDEN");
	tell(w, &w->alice, "POST", act(w, room, "unban"), bob);
	refuse(w, &w->alice, "POST", act(w, room, "unban"), bob, 403,
	       "M_BAD_STATE");
	join(w, &w->bob, room);
}

static void test_knock(void **state)
{
	struct world *w = *state;
	const char *closed = make_room(w, &w->alice, "{}");
	const char *room = make_room(
		w, &w->alice,
		"{\"initial_state\":[{\"type\":\"m.room.join_rules\","
		"\"content\":{\"join_rule\":\"knock\"}}]}");

	refuse(w, &w->bob, "POST", fmt(w, API "/knock/%s", closed), "{}", 403,
	       "M_FORBIDDEN");
	tell(w, &w->bob, "POST", fmt(w, API "/knock/%s", room),
	     "{\"reason\":\"please\"}");
	assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
			    "knock");
	tell(w, &w->bob, "POST", fmt(w, API "/knock/%s", room), "{}");
	refuse(w, &w->bob, "POST", act(w, room, "join"), "{}", 403,
	       "M_FORBIDDEN");
	invite(w, &w->alice, room, &w->bob);
	join(w, &w->bob, room);
	/* A knock taken back. */
	tell(w, &w->carol, "POST", fmt(w, API "/knock/%s", room), "{}");
	leave(w, &w->carol, room);
	assert_string_equal(membership_of(w, &w->alice, room, &w->carol),
			    "leave");
}

static void test_forget(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *said;

	join(w, &w->bob, room);
	said = say(w, &w->alice, room, "for bob");
	refuse(w, &w->bob, "POST", act(w, room, "forget"), "{}", 400,
	       "M_UNKNOWN");
	leave(w, &w->bob, room);
	event_by_id(w, &w->bob, room, said);
	tell(w, &w->bob, "POST", act(w, room, "forget"), "{}");
	tell(w, &w->bob, "POST", act(w, room, "forget"), "{}");
	cannot_see(w, &w->bob, room, said);
	refuse(w, &w->bob, "GET", act(w, room, "state"), NULL, 403,
	       "M_FORBIDDEN");
	refuse(w, &w->carol, "POST", act(w, room, "forget"), "{}", 404,
	       "M_NOT_FOUND");
	/* Whoever comes back has never been away. */
	join(w, &w->bob, room);
	event_by_id(w, &w->bob, room, said);
}

static const char *restricted_to(struct world *w, const char *rule,
				 const char *room)
{
	return fmt(w,
		   "{\"initial_state\":[{\"type\":\"m.room.join_rules\","
		   "\"content\":{\"join_rule\":\"%s\",\"allow\":[{\"type\":"
		   "\"m.room_membership\",\"room_id\":\"%s\"}]}}]}",
		   rule, room);
}

static void test_restricted(void **state)
{
	struct world *w = *state;
	static const char *const rules[] = { "restricted", "knock_restricted" };

	for (size_t i = 0; i < MH_ARRAY_LEN(rules); i++) {
		const char *space = make_room(w, &w->alice, PUBLIC);
		const char *room = make_room(
			w, &w->alice, restricted_to(w, rules[i], space));
		json_t *member;

		refuse(w, &w->bob, "POST", act(w, room, "join"), "{}", 403,
		       "M_FORBIDDEN");
		/* Vouching is the server's. */
		refuse_state(w, &w->bob, room,
			     fmt(w, "m.room.member/%s", w->bob.user_id),
			     "{\"membership\":\"join\",\"join_authorised_via_"
			     "users_server\":\"@alice:a.example\"}",
			     403, "M_FORBIDDEN");
		join(w, &w->bob, space);
		join(w, &w->bob, room);
		member = state_of(w, &w->bob, room, "m.room.member",
				  w->bob.user_id);
		assert_string_equal(
			str_of(member, "join_authorised_via_users_server"),
			w->alice.user_id);
		/* Who is in may stay in. */
		set_state(w, &w->bob, room, "m.room.member", w->bob.user_id,
			  "{\"membership\":\"join\",\"displayname\":\"B\"}");
		/* Nobody with power left: nobody can vouch. */
		leave(w, &w->alice, room);
		join(w, &w->carol, space);
		refuse(w, &w->carol, "POST", act(w, room, "join"), "{}", 403,
		       "M_FORBIDDEN");
	}
}

static void test_put_state(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *bob = fmt(w, "m.room.member/%s", w->bob.user_id);
	json_t *member;

	set_state(w, &w->alice, room, "m.room.member", w->alice.user_id,
		  "{\"membership\":\"join\",\"displayname\":\"A\"}");
	member = state_of(w, &w->alice, room, "m.room.member",
			  w->alice.user_id);
	assert_string_equal(str_of(member, "displayname"), "A");
	refuse_state(w, &w->alice, room, bob, "{\"membership\":\"join\"}", 403,
		     "M_FORBIDDEN");
	refuse_state(w, &w->alice, room, bob, "{\"membership\":\"member\"}",
		     400, "M_BAD_JSON");
	refuse_state(w, &w->alice, room, bob, "{}", 400, "M_MISSING_PARAM");
	refuse_state(w, &w->alice, room, "m.room.member/bob",
		     "{\"membership\":\"ban\"}", 400, "M_INVALID_PARAM");
	set_state(w, &w->alice, room, "m.room.member", w->bob.user_id,
		  "{\"membership\":\"ban\"}");
	set_state(w, &w->alice, room, "m.room.member", w->bob.user_id,
		  "{\"membership\":\"leave\"}");
	join(w, &w->bob, room);
}

/* --- every statement failing ------------------------------------------------------ */

struct joining {
	const char *room;
	bool joined;
};

static const char *toggle_target(struct world *w, int n, void *context)
{
	struct joining *joining = context;

	(void)n;
	return act(w, joining->room, joining->joined ? "leave" : "join");
}

static const char *toggle_body(struct world *w, int n, void *context)
{
	(void)w, (void)n, (void)context;
	return "{}";
}

static void expect_joined(struct world *w, struct joining *joining)
{
	json_t *joined = get(w, &w->alice,
			     fmt(w, API "/rooms/%s/joined_members",
				 joining->room));
	json_t *chunk = get(w, &w->alice,
			    fmt(w, API "/rooms/%s/members?membership=join",
				joining->room));

	assert_int_equal(rooms_of(w, &w->bob), joining->joined);
	assert_int_equal(json_object_size(json_object_get(joined, "joined")),
			 1 + joining->joined);
	assert_int_equal(json_array_size(json_object_get(chunk, "chunk")),
			 1 + joining->joined);
}

static void not_toggled(struct world *w, int n, void *context)
{
	(void)n;
	expect_joined(w, context);
}

static void toggled(struct world *w, int n, const struct reply *reply,
		    void *context)
{
	struct joining *joining = context;

	(void)n, (void)reply;
	joining->joined = !joining->joined;
	expect_joined(w, joining);
}

static void test_each_statement_failing(void **state)
{
	struct world *w = *state;
	struct joining joining = { .room = make_room(w, &w->alice, PUBLIC) };
	struct attempts attempts = {
		.w = w,
		.who = &w->bob,
		.method = "POST",
		.target = toggle_target,
		.body = toggle_body,
		.unchanged = not_toggled,
		.changed = toggled,
		.context = &joining,
	};

	attempt_all(&attempts);
	attempt_all(&attempts);
}

#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_join_and_leave),
		TEST(test_invite),
		TEST(test_invite_blocked),
		TEST(test_kick_and_ban),
		TEST(test_knock),
		TEST(test_forget),
		TEST(test_restricted),
		TEST(test_put_state),
		TEST(test_each_statement_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
