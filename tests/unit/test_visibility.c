/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see which event: "Room history visibility". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

static const char *make(struct world *w, const char *visibility)
{
	return make_room(
		w, &w->alice,
		fmt(w,
		    "{\"preset\":\"public_chat\",\"initial_state\":[{\"type\":"
		    "\"m.room.history_visibility\",\"content\":{"
		    "\"history_visibility\":\"%s\"}}]}",
		    visibility));
}

static void set_visibility(struct world *w, const char *room,
			   const char *visibility)
{
	set_state(w, &w->alice, room, "m.room.history_visibility", "",
		  fmt(w, "{\"history_visibility\":\"%s\"}", visibility));
}

/* One conversation, and what bob may see of it under each setting. */
static void test_four_settings(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *visibility;
		bool as_stranger, before_invite, invited, after_leaving;
	} cases[] = {
		{ "world_readable", true, true, true, true },
		{ "shared", false, true, true, false },
		{ "invited", false, false, true, false },
		{ "joined", false, false, false, false },
		{ "nonsense", false, true, true, false },
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++) {
		const char *room = make(w, cases[i].visibility);
		const char *before = say(w, &w->alice, room, "before");
		const char *invited, *joined, *after;
		void (*const no)(struct world *, const struct person *,
				 const char *, const char *) = cannot_see;

		if (cases[i].as_stranger)
			event_by_id(w, &w->bob, room, before);
		else
			no(w, &w->bob, room, before);
		invite(w, &w->alice, room, &w->bob);
		invited = say(w, &w->alice, room, "invited");
		join(w, &w->bob, room);
		joined = say(w, &w->alice, room, "joined");
		event_by_id(w, &w->bob, room, joined);
		if (cases[i].before_invite)
			event_by_id(w, &w->bob, room, before);
		else
			no(w, &w->bob, room, before);
		if (cases[i].invited)
			event_by_id(w, &w->bob, room, invited);
		else
			no(w, &w->bob, room, invited);
		leave(w, &w->bob, room);
		after = say(w, &w->alice, room, "after");
		event_by_id(w, &w->bob, room, joined);
		if (cases[i].after_leaving)
			event_by_id(w, &w->bob, room, after);
		else
			no(w, &w->bob, room, after);
		/* What was seen before leaving is seen still. */
		if (cases[i].before_invite)
			event_by_id(w, &w->bob, room, before);
		else
			no(w, &w->bob, room, before);
	}
}

/* The setting counts at the time of the event. */
static void test_setting_changes(void **state)
{
	struct world *w = *state;
	const char *room = make(w, "joined");
	const char *hidden = say(w, &w->alice, room, "hidden"), *shown;
	json_t *all;
	const char *change;

	set_visibility(w, room, "world_readable");
	shown = say(w, &w->alice, room, "shown");
	cannot_see(w, &w->bob, room, hidden);
	event_by_id(w, &w->bob, room, shown);
	all = state_of(w, &w->bob, room, "m.room.history_visibility",
		       "?format=event");
	/* Visible by what it brings, though not by what was before. */
	change = str_of(all, "event_id");
	event_by_id(w, &w->bob, room, change);
	set_visibility(w, room, "joined");
	event_by_id(w, &w->bob, room, change);
	event_by_id(w, &w->bob, room, shown);
	join(w, &w->bob, room);
	cannot_see(w, &w->bob, room, hidden);
}

static void test_own_membership(void **state)
{
	struct world *w = *state;
	const char *room = make(w, "joined"), *event;
	json_t *found;

	join(w, &w->bob, room);
	tell(w, &w->alice, "POST", act(w, room, "kick"), about(w, &w->bob));
	found = get(w, &w->alice,
		    fmt(w, API "/rooms/%s/state/m.room.member/%s?format=event",
			room, w->bob.user_id));
	event = str_of(found, "event_id");
	found = event_by_id(w, &w->bob, room, event);
	assert_string_equal(str_of(json_object_get(found, "unsigned"),
				   "membership"),
			    "leave");
	assert_string_equal(str_of(found, "room_id"), room);
}

/* Banned after leaving: the time in the room is found behind the ban. */
static void test_banned_after_leaving(void **state)
{
	struct world *w = *state;
	const char *room = make(w, "shared");
	const char *early = say(w, &w->alice, room, "early"), *late;

	join(w, &w->bob, room);
	leave(w, &w->bob, room);
	late = say(w, &w->alice, room, "late");
	tell(w, &w->alice, "POST", act(w, room, "ban"), about(w, &w->bob));
	event_by_id(w, &w->bob, room, early);
	cannot_see(w, &w->bob, room, late);
	/* Invited and never joined is no time in the room. */
	invite(w, &w->alice, room, &w->carol);
	leave(w, &w->carol, room);
	cannot_see(w, &w->carol, room, early);
}

static void test_state_when_leaving(void **state)
{
	struct world *w = *state;
	const char *room = make(w, "shared");
	json_t *members;

	set_state(w, &w->alice, room, "m.room.name", "", "{\"name\":\"old\"}");
	join(w, &w->bob, room);
	leave(w, &w->bob, room);
	set_state(w, &w->alice, room, "m.room.name", "", "{\"name\":\"new\"}");
	join(w, &w->carol, room);
	assert_string_equal(str_of(state_of(w, &w->bob, room, "m.room.name",
					    ""),
				   "name"),
			    "old");
	assert_string_equal(str_of(state_of(w, &w->carol, room, "m.room.name",
					    ""),
				   "name"),
			    "new");
	members = get(w, &w->bob, act(w, room, "members"));
	assert_int_equal(json_array_size(json_object_get(members, "chunk")), 2);
	members = get(w, &w->bob, act(w, room, "members?membership=join"));
	assert_int_equal(json_array_size(json_object_get(members, "chunk")), 1);
	members = get(w, &w->carol,
		      act(w, room, "members?not_membership=join"));
	assert_int_equal(json_array_size(json_object_get(members, "chunk")), 1);
	refuse(w, &w->bob, "GET", act(w, room, "joined_members"), NULL, 403,
	       "M_FORBIDDEN");
	refuse(w, &w->bob, "GET", act(w, room, "members?membership=x"), NULL,
	       400, "M_INVALID_PARAM");
}

static void test_strangers(void **state)
{
	struct world *w = *state;
	const char *room = make(w, "shared"), *open = make(w, "world_readable");
	const char *said = say(w, &w->alice, room, "hello");

	refuse(w, &w->bob, "GET", act(w, room, "state"), NULL, 403,
	       "M_FORBIDDEN");
	refuse(w, &w->bob, "GET", act(w, room, "state/m.room.create"), NULL,
	       403, "M_FORBIDDEN");
	refuse(w, &w->bob, "GET", act(w, room, "members"), NULL, 403,
	       "M_FORBIDDEN");
	refuse(w, &w->bob, "GET", act(w, room, "aliases"), NULL, 403,
	       "M_FORBIDDEN");
	get(w, &w->bob, act(w, open, "state"));
	get(w, &w->bob, act(w, open, "aliases"));
	/* An event is found in its own room alone. */
	cannot_see(w, &w->alice, open, said);
	refuse(w, &w->alice, "GET", act(w, room, "state/m.room.topic"), NULL,
	       404, "M_NOT_FOUND");
	refuse(w, &w->alice, "GET",
	       act(w, room, "state/m.room.create?format=x"), NULL, 400,
	       "M_INVALID_PARAM");
}

#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_four_settings),
		TEST(test_setting_changes),
		TEST(test_own_membership),
		TEST(test_banned_after_leaving),
		TEST(test_state_when_leaving),
		TEST(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
