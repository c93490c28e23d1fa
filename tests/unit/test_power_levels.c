/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels: their forms in each room version, defaults and creators. */
#include "tests/unit/core_fixture.h"

#define ALICE MH_STR("@alice:a")
#define BOB MH_STR("@bob:b")
#define CAROL MH_STR("@carol:c")

/* Parses a content as it stands (numbers may be such that jansson has none). */
static int parse(const char *version, const char *content,
		 struct mh_power_levels **ret, struct mh_error *err)
{
	const struct mh_room_rules *rules = fixture_rules(version);
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *create = fixture_create(rules);
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	MH_STRBUF(text);
	MH_STRBUF(bytes);

	mh_strbuf_addf(&text,
		       "{'type':'m.room.power_levels','state_key':'','sender':"
		       "'@alice:a','content':%s}",
		       content);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\'')
			text.data[i] = '"';
	assert_int_equal(mh_canonical_json(mh_strbuf_str(&text), rules->json,
					   &bytes, err),
			 0);
	assert_int_equal(mh_event_load(rules, MH_STR("$levels"),
				       mh_strbuf_str(&bytes), &event, err),
			 0);
	return mh_power_levels_new(create, event, ret, err);
}

static struct mh_power_levels *levels_of(const char *version,
					 const char *content)
{
	struct mh_power_levels *levels = NULL;
	MH_ERROR(err);

	if (parse(version, content, &levels, &err) < 0)
		fail_msg("version %s refuses %s: %s", version, content,
			 err.message);
	return levels;
}

static void assert_refused(const char *version, const char *content)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;
	MH_ERROR(err);

	if (parse(version, content, &levels, &err) == 0)
		fail_msg("version %s accepts %s", version, content);
	assert_int_equal(err.code, MH_M_BAD_JSON);
	assert_null(levels);
}

/* The level of @bob:b when it is written like this. */
static void assert_level(const char *version, const char *written,
			 int64_t expected)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;
	MH_STRBUF(content);

	mh_strbuf_addf(&content, "{'users':{'@bob:b':%s}}", written);
	levels = levels_of(version, content.data);
	if (mh_power_of_user(levels, BOB) != expected)
		fail_msg("version %s reads %s as %lld", version, written,
			 (long long)mh_power_of_user(levels, BOB));
}

static void assert_no_level(const char *version, const char *written)
{
	MH_STRBUF(content);

	mh_strbuf_addf(&content, "{'users':{'@bob:b':%s}}", written);
	assert_refused(version, content.data);
}

static void named_levels_and_maps_are_read(void **state)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;

	(void)state;
	levels = levels_of("11", "{'ban':1,'kick':2,'invite':3,'redact':4,"
				 "'events_default':5,'state_default':6,"
				 "'users_default':7,'events':{'a':8,'b':-9},"
				 "'users':{'@bob:b':10},"
				 "'notifications':{'room':11}}");
	assert_int_equal(mh_power_for_action(levels, MH_POWER_BAN), 1);
	assert_int_equal(mh_power_for_action(levels, MH_POWER_KICK), 2);
	assert_int_equal(mh_power_for_action(levels, MH_POWER_INVITE), 3);
	assert_int_equal(mh_power_for_action(levels, MH_POWER_REDACT), 4);
	assert_int_equal(mh_power_for_event(levels, MH_STR("c"), false), 5);
	assert_int_equal(mh_power_for_event(levels, MH_STR("c"), true), 6);
	assert_int_equal(mh_power_of_user(levels, CAROL), 7);
	assert_int_equal(mh_power_for_event(levels, MH_STR("a"), true), 8);
	assert_int_equal(mh_power_for_event(levels, MH_STR("b"), false), -9);
	assert_int_equal(mh_power_of_user(levels, BOB), 10);
	assert_int_equal(mh_power_for_notification(levels, MH_STR("room")), 11);
	assert_int_equal(mh_power_for_notification(levels, MH_STR("x")), 50);
}

static void absent_levels_have_defaults(void **state)
{
	(void)state;
	for (int with_event = 0; with_event < 2; with_event++) {
		const struct mh_room_rules *rules = fixture_rules("11");
		MH_CLEANUP(mh_event_unrefp)
		struct mh_event *create = fixture_create(rules);
		MH_CLEANUP(mh_power_levels_freep)
		struct mh_power_levels *levels = NULL;
		MH_ERROR(err);

		if (with_event)
			levels = levels_of("11", "{}");
		else
			assert_int_equal(mh_power_levels_new(create, NULL,
							     &levels, &err),
					 0);
		assert_int_equal(mh_power_for_action(levels, MH_POWER_BAN), 50);
		assert_int_equal(mh_power_for_action(levels, MH_POWER_KICK),
				 50);
		assert_int_equal(mh_power_for_action(levels, MH_POWER_REDACT),
				 50);
		assert_int_equal(mh_power_for_action(levels, MH_POWER_INVITE),
				 0);
		assert_int_equal(mh_power_for_event(levels, MH_STR("x"), true),
				 50);
		assert_int_equal(mh_power_for_event(levels, MH_STR("x"), false),
				 0);
		assert_int_equal(mh_power_of_user(levels, BOB), 0);
		/* Only without an event is the creator above others. */
		assert_int_equal(mh_power_of_user(levels, ALICE),
				 with_event ? 0 : 100);
	}
}

static void the_creator_is_where_the_version_keeps_it(void **state)
{
	static const char create_text[] =
		"{'id':'$create','type':'m.room.create','key':'',"
		"'sender':'@alice:a','content':{'creator':'@bob:b',"
		"'additional_creators':['@carol:c']}}";

	(void)state;
	for (size_t i = 0; mh_room_rules_at(i); i++) {
		const struct mh_room_rules *rules = mh_room_rules_at(i);
		MH_CLEANUP(mh_event_unrefp)
		struct mh_event *create =
			fixture_event_text(rules, create_text);
		MH_CLEANUP(mh_power_levels_freep)
		struct mh_power_levels *levels = NULL;
		bool old = rules->creator_in_content;
		bool v12 = rules->privileged_creators;
		int64_t top = v12 ? MH_POWER_INFINITE : 100;
		MH_ERROR(err);

		assert_int_equal(mh_room_is_creator(create, ALICE), !old);
		assert_int_equal(mh_room_is_creator(create, BOB), old);
		assert_int_equal(mh_room_is_creator(create, CAROL), v12);
		assert_int_equal(
			mh_power_levels_new(create, NULL, &levels, &err), 0);
		assert_int_equal(mh_power_of_user(levels, ALICE),
				 old ? 0 : top);
		assert_int_equal(mh_power_of_user(levels, BOB), old ? 100 : 0);
		assert_int_equal(mh_power_of_user(levels, CAROL),
				 v12 ? MH_POWER_INFINITE : 0);
	}
}

static void strings_are_levels_before_version_10(void **state)
{
	(void)state;
	for (size_t i = 0; mh_room_rules_at(i); i++) {
		const char *version = mh_room_rules_at(i)->version;

		if (mh_room_rules_at(i)->integer_power_levels) {
			assert_no_level(version, "'100'");
			assert_refused(version, "{'ban':'50'}");
			assert_refused(version, "{'events':{'a':'50'}}");
			assert_refused(version, "{'notifications':{'a':'5'}}");
			continue;
		}
		assert_level(version, "'100'", 100);
		assert_level(version, "'000100'", 100);
		assert_level(version, "'+100'", 100);
		assert_level(version, "'-100'", -100);
		assert_level(version, "' 00100 '", 100);
		assert_level(version, "'\\n\\t-7\\r'", -7);
		assert_no_level(version, "''");
		assert_no_level(version, "' '");
		assert_no_level(version, "'+'");
		assert_no_level(version, "'+-1'");
		assert_no_level(version, "'1 0'");
		assert_no_level(version, "'5.7'");
		assert_no_level(version, "'1e2'");
		assert_no_level(version, "'0x10'");
	}
}

static void any_number_is_a_level_before_version_6(void **state)
{
	(void)state;
	for (size_t i = 0; mh_room_rules_at(i); i++) {
		const struct mh_room_rules *rules = mh_room_rules_at(i);
		const char *version = rules->version;

		if (rules->json == MH_JSON_STRICT)
			continue;
		assert_level(version, "50.57", 50);
		assert_level(version, "-50.99", -50);
		assert_level(version, "5.114698E4", 51146);
		assert_level(version, "1e2", 100);
		assert_level(version, "12345e-2", 123);
		assert_level(version, "0.5e1", 5);
		assert_level(version, "1e-400", 0);
		assert_level(version, "0e999999999999", 0);
		assert_level(version, "99999999999999999999",
			     MH_POWER_INFINITE - 1);
		assert_level(version, "-1e300", -(MH_POWER_INFINITE - 1));
		assert_level(version, "1.7976931348623157e308",
			     MH_POWER_INFINITE - 1);
		assert_no_level(version, "1.8e308");
		assert_no_level(version, "1e309");
		assert_no_level(version, "true");
		assert_no_level(version, "null");
		assert_no_level(version, "[]");
	}
}

static void old_versions_pass_over_nonsense_outside_of_users(void **state)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;

	(void)state;
	levels = levels_of("9", "{'ban':'high','kick':null,'events':[],"
				"'notifications':{'room':{}}}");
	assert_int_equal(mh_power_for_action(levels, MH_POWER_BAN), 50);
	assert_int_equal(mh_power_for_action(levels, MH_POWER_KICK), 50);
	assert_int_equal(mh_power_for_notification(levels, MH_STR("room")), 50);

	assert_refused("10", "{'ban':'high'}");
	assert_refused("10", "{'kick':null}");
	assert_refused("10", "{'users_default':true}");
	assert_refused("10", "{'events':[]}");
	assert_refused("10", "{'events':{'a':null}}");
	assert_refused("10", "{'notifications':{'room':{}}}");
}

static void users_are_checked_in_every_version(void **state)
{
	(void)state;
	for (size_t i = 0; mh_room_rules_at(i); i++) {
		const char *version = mh_room_rules_at(i)->version;

		assert_refused(version, "{'users':[]}");
		assert_refused(version, "{'users':null}");
		assert_refused(version, "{'users':{'bob':1}}");
		assert_refused(version, "{'users':{'@bob':1}}");
		assert_refused(version, "{'users':{'@bob:b':null}}");
		assert_refused(version, "{'users':{'@bob:b':'x'}}");
	}
}

static void creators_do_not_belong_to_users_in_version_12(void **state)
{
	(void)state;
	assert_refused("12", "{'users':{'@alice:a':100}}");
	assert_level("12", "100", 100);
	assert_level("11", "100", 100);
}

static void keys_may_be_escaped(void **state)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;

	(void)state;
	levels = levels_of("11", "{'events':{'a\\\"b':1,'a\\\\c':2,'z':3}}");
	assert_int_equal(mh_power_for_event(levels, MH_STR("a\"b"), false), 1);
	assert_int_equal(mh_power_for_event(levels, MH_STR("a\\c"), false), 2);
	assert_int_equal(mh_power_for_event(levels, MH_STR("z"), false), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_levels_and_maps_are_read),
		cmocka_unit_test(absent_levels_have_defaults),
		cmocka_unit_test(the_creator_is_where_the_version_keeps_it),
		cmocka_unit_test(strings_are_levels_before_version_10),
		cmocka_unit_test(any_number_is_a_level_before_version_6),
		cmocka_unit_test(
			old_versions_pass_over_nonsense_outside_of_users),
		cmocka_unit_test(users_are_checked_in_every_version),
		cmocka_unit_test(creators_do_not_belong_to_users_in_version_12),
		cmocka_unit_test(keys_may_be_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
