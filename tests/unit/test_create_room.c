/* SPDX-License-Identifier: Apache-2.0 */
/* POST createRoom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

static json_int_t number_of(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void expect(struct world *w, const char *room, const char *type,
		   const char *key, const char *value)
{
	assert_string_equal(str_of(state_of(w, &w->alice, room, type, ""), key),
			    value);
}

/* --- presets and versions --------------------------------------------------- */

static void test_presets(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *body, *join_rule, *guests;
	} cases[] = {
		{ "{}", "invite", "can_join" },
		{ "{\"visibility\":\"public\"}", "public", "forbidden" },
		{ "{\"preset\":\"private_chat\"}", "invite", "can_join" },
		{ "{\"preset\":\"trusted_private_chat\"}", "invite",
		  "can_join" },
		{ "{\"preset\":\"public_chat\"}", "public", "forbidden" },
		{ "{\"preset\":\"private_chat\",\"visibility\":\"public\"}",
		  "invite", "can_join" },
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++) {
		const char *room = make_room(w, &w->alice, cases[i].body);

		expect(w, room, "m.room.join_rules", "join_rule",
		       cases[i].join_rule);
		expect(w, room, "m.room.guest_access", "guest_access",
		       cases[i].guests);
		expect(w, room, "m.room.history_visibility",
		       "history_visibility", "shared");
	}
}

static void test_every_version(void **state)
{
	struct world *w = *state;
	const struct mh_room_rules *rules;

	for (size_t i = 0; (rules = mh_room_rules_at(i)); i++) {
		const char *room = make_room(
			w, &w->alice,
			fmt(w,
			    "{\"room_version\":\"%s\",\"preset\":"
			    "\"public_chat\",\"name\":\"v%s\"}",
			    rules->version, rules->version));
		json_t *create, *levels;

		create = state_of(w, &w->alice, room, "m.room.create", "");
		assert_string_equal(str_of(create, "room_version"),
				    rules->version);
		assert_string_equal(str_of(create, "creator"),
				    rules->creator_in_content ?
					    w->alice.user_id :
					    "");
		levels = state_of(w, &w->alice, room, "m.room.power_levels",
				  "");
		assert_int_equal(
			json_object_size(json_object_get(levels, "users")),
			rules->privileged_creators ? 0 : 1);
		assert_int_equal(number_of(json_object_get(levels, "events"),
					   "m.room.tombstone"),
				 rules->privileged_creators ? 150 : 100);
		assert_int_equal(strchr(room, ':') == NULL,
				 rules->room_id_is_create);
		join(w, &w->bob, room);
		say(w, &w->bob, room, "hello");
		set_state(w, &w->alice, room, "m.room.topic", "",
			  "{\"topic\":\"t\"}");
	}
}

static void test_creation_content(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"creation_content\":{\"m.federate\":false,\"type\":"
		"\"m.space\",\"creator\":\"@x:a.example\",\"room_version\":"
		"\"1\"}}");
	json_t *create = state_of(w, &w->alice, room, "m.room.create", "");

	assert_true(json_is_false(json_object_get(create, "m.federate")));
	assert_string_equal(str_of(create, "type"), "m.space");
	assert_string_equal(str_of(create, "room_version"), "12");
	assert_null(json_object_get(create, "creator"));
}

/* --- power -------------------------------------------------------------------- */

static void test_trusted_chat(void **state)
{
	struct world *w = *state;
	const char *body = "{\"preset\":\"trusted_private_chat\",\"invite\":["
			   "\"%s\"],\"is_direct\":true,\"room_version\":"
			   "\"%s\"}";
	const char *room = make_room(w, &w->alice,
				     fmt(w, body, w->bob.user_id, "11"));
	json_t *levels = state_of(w, &w->alice, room, "m.room.power_levels",
				  "");
	json_t *member, *creators;

	assert_int_equal(number_of(json_object_get(levels, "users"),
				   w->bob.user_id),
			 100);
	member = state_of(w, &w->alice, room, "m.room.member", w->bob.user_id);
	assert_string_equal(str_of(member, "membership"), "invite");
	assert_true(json_is_true(json_object_get(member, "is_direct")));

	room = make_room(w, &w->alice, fmt(w, body, w->bob.user_id, "12"));
	creators = json_object_get(state_of(w, &w->alice, room, "m.room.create",
					    ""),
				   "additional_creators");
	assert_int_equal(json_array_size(creators), 1);
	assert_string_equal(json_string_value(json_array_get(creators, 0)),
			    w->bob.user_id);
	join(w, &w->bob, room);
	/* A creator may do what needs 100, and be listed nowhere. */
	set_state(w, &w->bob, room, "m.room.encryption", "",
		  "{\"algorithm\":\"m.megolm.v1.aes-sha2\"}");
}

static void test_power_override(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"power_level_content_override\":{\"invite\":10,\"events\":"
		"{\"m.room.name\":1}}}");
	json_t *levels = state_of(w, &w->alice, room, "m.room.power_levels",
				  "");

	assert_int_equal(number_of(levels, "invite"), 10);
	assert_int_equal(number_of(levels, "kick"), 50);
	assert_int_equal(number_of(json_object_get(levels, "events"),
				   "m.room.name"),
			 1);
	/* Still above state_default, whatever was left out. */
	assert_int_equal(number_of(json_object_get(levels, "events"),
				   "m.room.tombstone"),
			 150);
}

/* --- state, alias, invites ------------------------------------------------------ */

static void test_initial_state(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		"{\"name\":\"Name\",\"topic\":\"Topic\",\"initial_state\":["
		"{\"type\":\"m.room.name\",\"content\":{\"name\":\"Other\"}},"
		"{\"type\":\"m.room.join_rules\",\"state_key\":\"\",\"content\":"
		"{\"join_rule\":\"knock\"}},"
		"{\"type\":\"org.example\",\"state_key\":\"k\",\"content\":"
		"{\"a\":1}}]}");
	json_t *topic = state_of(w, &w->alice, room, "m.room.topic", "");
	json_t *text = json_object_get(json_object_get(topic, "m.topic"),
				       "m.text");

	expect(w, room, "m.room.name", "name", "Name");
	expect(w, room, "m.room.join_rules", "join_rule", "knock");
	assert_string_equal(str_of(topic, "topic"), "Topic");
	assert_string_equal(str_of(json_array_get(text, 0), "body"), "Topic");
	assert_int_equal(number_of(state_of(w, &w->alice, room, "org.example",
					    "k"),
				   "a"),
			 1);
}

static void test_alias(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice,
				     "{\"room_alias_name\":\"pub\"}");
	json_t *found = get(w, &w->bob,
			    API "/directory/room/%23pub:a.example");

	assert_string_equal(str_of(found, "room_id"), room);
	expect(w, room, "m.room.canonical_alias", "alias", "#pub:a.example");
	refuse(w, &w->bob, "POST", API "/createRoom",
	       "{\"room_alias_name\":\"pub\"}", 400, "M_ROOM_IN_USE");
}

static void test_invites(void **state)
{
	struct world *w = *state;
	const char *room = make_room(
		w, &w->alice,
		fmt(w, "{\"invite\":[\"%s\",\"%s\",\"%s\"]}", w->bob.user_id,
		    w->carol.user_id, w->bob.user_id));

	assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
			    "invite");
	join(w, &w->carol, room);
	tell(w, &w->bob, "PUT",
	     fmt(w, API "/user/%s/account_data/m.invite_permission_config",
		 w->bob.user_id),
	     "{\"default_action\":\"block\"}");
	refuse(w, &w->alice, "POST", API "/createRoom",
	       fmt(w, "{\"invite\":[\"%s\"]}", w->bob.user_id), 403,
	       "M_INVITE_BLOCKED");
}

/* --- what is refused --------------------------------------------------------------- */

static void test_refusals(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *body;
		int status;
		const char *errcode;
	} cases[] = {
		{ "{\"room_version\":\"none\"}", 400,
		  "M_UNSUPPORTED_ROOM_VERSION" },
		{ "{\"room_version\":12}", 400, "M_BAD_JSON" },
		{ "{\"preset\":\"other\"}", 400, "M_BAD_JSON" },
		{ "{\"visibility\":\"other\"}", 400, "M_BAD_JSON" },
		{ "{\"room_alias_name\":\"a:b\"}", 400, "M_INVALID_PARAM" },
		{ "{\"invite\":[\"bob\"]}", 400, "M_INVALID_PARAM" },
		{ "{\"invite\":\"@bob:a.example\"}", 400, "M_BAD_JSON" },
		{ "{\"invite_3pid\":[{\"medium\":\"email\"}]}", 400,
		  "M_SERVER_NOT_TRUSTED" },
		{ "{\"initial_state\":[1]}", 400, "M_BAD_JSON" },
		{ "{\"initial_state\":[{\"type\":\"a\"}]}", 400,
		  "M_MISSING_PARAM" },
		{ "{\"initial_state\":[{\"type\":\"m.room.create\","
		  "\"content\":{}}]}",
		  400, "M_INVALID_ROOM_STATE" },
		{ "{\"power_level_content_override\":{\"kick\":\"50\"}}", 400,
		  "M_BAD_JSON" },
		{ "{\"room_version\":\"11\",\"name\":\"x\","
		  "\"power_level_content_override\":{\"users\":{}}}",
		  400, "M_INVALID_ROOM_STATE" },
		{ "{\"power_level_content_override\":{\"users\":{"
		  "\"@alice:a.example\":100}}}",
		  400, "M_INVALID_ROOM_STATE" },
		{ "{\"creation_content\":{\"additional_creators\":[\"x\"]}}",
		  400, "M_INVALID_ROOM_STATE" },
		{ "{\"name\":1}", 400, "M_BAD_JSON" },
		{ "{", 400, "M_NOT_JSON" },
	};
	json_t *joined;

	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++)
		refuse(w, &w->alice, "POST", API "/createRoom", cases[i].body,
		       cases[i].status, cases[i].errcode);
	joined = get(w, &w->alice, API "/joined_rooms");
	assert_int_equal(json_array_size(json_object_get(joined,
							 "joined_rooms")),
			 0);
}

/* --- every statement failing ----------------------------------------------------------- */

struct made {
	size_t rooms;
	const char *since; /* of bob */
};

static const char *create_target(struct world *w, int n, void *context)
{
	(void)w, (void)n, (void)context;
	return API "/createRoom";
}

static const char *create_body(struct world *w, int n, void *context)
{
	(void)context;
	return fmt(w,
		   "{\"room_alias_name\":\"x%d\",\"visibility\":\"public\","
		   "\"name\":\"X\",\"invite\":[\"@bob:a.example\"]}",
		   n);
}

static void expect_rooms(struct world *w, size_t rooms)
{
	json_t *joined = get(w, &w->alice, API "/joined_rooms");
	json_t *list = get(w, &w->alice, API "/publicRooms");

	assert_int_equal(json_array_size(json_object_get(joined,
							 "joined_rooms")),
			 rooms);
	assert_int_equal(json_array_size(json_object_get(list, "chunk")),
			 rooms);
}

static void nothing_made(struct world *w, int n, void *context)
{
	struct made *made = context;
	struct reply reply = sync_once(w, &w->bob, made->since, "");

	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	expect_rooms(w, made->rooms);
	refuse(w, &w->alice, "GET",
	       fmt(w, API "/directory/room/%%23x%d:a.example", n), NULL, 404,
	       "M_NOT_FOUND");
}

static void room_made(struct world *w, int n, const struct reply *reply,
		      void *context)
{
	const char *room = keep(w, reply_str(reply, "room_id"));
	struct made *made = context;
	json_t *found;

	made->rooms++;
	found = get(w, &w->bob,
		    fmt(w, API "/directory/room/%%23x%d:a.example", n));
	assert_string_equal(str_of(found, "room_id"), room);
	assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
			    "invite");
	join(w, &w->bob, room);
	made->since = sync_token(w, &w->bob, made->since);
	expect_rooms(w, made->rooms);
}

static void test_each_statement_failing(void **state)
{
	struct world *w = *state;
	struct made made = { .since = sync_token(w, &w->bob, NULL) };
	struct attempts attempts = {
		.w = w,
		.who = &w->alice,
		.method = "POST",
		.target = create_target,
		.body = create_body,
		.unchanged = nothing_made,
		.changed = room_made,
		.context = &made,
	};

	attempt_all(&attempts);
	assert_true(made.rooms > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_presets, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_every_version, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_creation_content,
						world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_trusted_chat, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_power_override,
						world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_initial_state, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_alias, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_invites, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_refusals, world_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_each_statement_failing,
						world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
