/* SPDX-License-Identifier: Apache-2.0 */
/* Push rules: judging events, and editing over a whole node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/push_rules.h"
#include "unit/room_helpers.h"

#define ME "@alice:a.example"

/* How the rules judge a message of bob: "", "notify" or "highlight". */
static const char *judge_rules(json_t *json, const char *type,
			       const char *content, int64_t members,
			       const struct mh_power_levels *levels)
{
	MH_CLEANUP(mh_push_rules_freep)
	struct mh_push_rules *rules = mh_push_rules_compile(json);
	MH_CLEANUP(mh_push_event_freep) struct mh_push_event *push = NULL;
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct mh_push_context context = { .user_id = MH_STR(ME),
					   .display_name = MH_STR("Al*ce"),
					   .member_count = members,
					   .power_levels = levels };
	struct mh_push_result result;
	MH_STRBUF(bytes);
	MH_STRBUF(canonical);
	MH_ERROR(err);

	mh_strbuf_addf(&bytes,
		       "{\"type\":\"%s\",\"content\":%s,\"room_id\":\"!r:x\","
		       "\"sender\":\"@bob:a.example\"}",
		       type, content);
	assert_int_equal(mh_canonical_json(mh_strbuf_str(&bytes),
					   MH_JSON_STRICT, &canonical, &err),
			 0);
	assert_int_equal(mh_event_load(mh_room_rules_find(MH_STR("11")),
				       MH_STR("$e"), mh_strbuf_str(&canonical),
				       &event, &err),
			 0);
	push = mh_push_event_new(event);
	assert_non_null(push);
	result = mh_push_evaluate(rules, push, &context);
	return result.highlight ? "highlight" : result.notify ? "notify" : "";
}

static const char *judge(const char *type, const char *content)
{
	MH_CLEANUP(json_decrefp)
	json_t *json = mh_push_rules_default(MH_STR(ME));

	return judge_rules(json, type, content, 5, NULL);
}

static void the_default_rules_judge_as_the_spec_says(void **state)
{
	(void)state;
	assert_string_equal(judge("m.room.message", "{\"body\":\"hi\"}"),
			    "notify");
	assert_string_equal(judge("m.room.encrypted", "{}"), "notify");
	assert_string_equal(judge("m.room.message",
				  "{\"msgtype\":\"m.notice\"}"),
			    "");
	assert_string_equal(judge("m.reaction", "{}"), "");
	assert_string_equal(judge("m.room.topic", "{}"), "");
	assert_string_equal(
		judge("m.room.message",
		      "{\"m.relates_to\":{\"rel_type\":\"m.replace\"}}"),
		"");
	assert_string_equal(
		judge("m.room.message",
		      "{\"m.mentions\":{\"user_ids\":[\"" ME "\"]}}"),
		"highlight");
	assert_string_equal(
		judge("m.room.message",
		      "{\"m.mentions\":{\"user_ids\":\"" ME "\"}}"),
		"notify");
	/* Without the power to, @room is an ordinary message. */
	assert_string_equal(judge("m.room.message",
				  "{\"m.mentions\":{\"room\":true}}"),
			    "notify");
}

static const char *judge_own(const char *kind, const char *rule,
			     const char *content, int64_t members)
{
	MH_CLEANUP(json_decrefp)
	json_t *json = mh_push_rules_default(MH_STR(ME));
	MH_CLEANUP(json_decrefp) json_t *body = json_loads(rule, 0, NULL);
	MH_ERROR(err);

	assert_non_null(body);
	assert_int_equal(mh_push_rules_put(json, mh_str(kind), MH_STR("own"),
					   body, MH_STR_NONE, MH_STR_NONE,
					   &err),
			 0);
	return judge_rules(json, "m.room.message", content, members, NULL);
}

#define LOUD "\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]"

static void words_match_between_boundaries(void **state)
{
	static const struct {
		const char *pattern, *body, *verdict;
	} cases[] = {
		{ "cake", "The CAKE is a lie", "highlight" },
		{ "cake", "pancakes", "notify" },
		{ "cake", "pancake cake", "highlight" },
		{ "ex*ple", "An exciting triple-whammy", "highlight" },
		{ "ex*ple", "An example event.", "highlight" },
		{ "lunc?", "lunch", "highlight" },
		{ "lunc?", "lunc", "notify" },
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++) {
		MH_STRBUF(rule);
		MH_STRBUF(content);

		mh_strbuf_addf(&rule, "{\"pattern\":\"%s\"," LOUD "}",
			       cases[i].pattern);
		mh_strbuf_addf(&content, "{\"body\":\"%s\"}", cases[i].body);
		assert_string_equal(judge_own("content", rule.data,
					      content.data, 5),
				    cases[i].verdict);
	}
}

static void conditions_are_judged_one_by_one(void **state)
{
	static const struct {
		const char *condition, *content;
		int64_t members;
		const char *verdict;
	} cases[] = {
		{ "{\"kind\":\"room_member_count\",\"is\":\"<3\"}", "{}", 2,
		  "highlight" },
		{ "{\"kind\":\"room_member_count\",\"is\":\"<3\"}", "{}", 3,
		  "notify" },
		{ "{\"kind\":\"room_member_count\",\"is\":\">=3\"}", "{}", 3,
		  "highlight" },
		{ "{\"kind\":\"event_property_is\",\"key\":\"content.a\\\\.b\","
		  "\"value\":1}",
		  "{\"a.b\":1}", 5, "highlight" },
		{ "{\"kind\":\"event_property_is\",\"key\":\"content.a\","
		  "\"value\":true}",
		  "{\"a\":\"true\"}", 5, "notify" },
		{ "{\"kind\":\"event_match\",\"key\":\"content.t\","
		  "\"pattern\":\"*\"}",
		  "{\"t\":null}", 5, "notify" },
		{ "{\"kind\":\"contains_display_name\"}",
		  "{\"body\":\"hey al*ce!\"}", 5, "highlight" },
		{ "{\"kind\":\"contains_display_name\"}",
		  "{\"body\":\"hey alice!\"}", 5, "notify" },
		{ "{\"kind\":\"of the future\"}", "{}", 5, "notify" },
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(cases); i++) {
		MH_STRBUF(rule);

		mh_strbuf_addf(&rule, "{\"conditions\":[%s]," LOUD "}",
			       cases[i].condition);
		assert_string_equal(judge_own("override", rule.data,
					      cases[i].content,
					      cases[i].members),
				    cases[i].verdict);
	}
}

static void stored_rules_get_what_is_new_in_its_place(void **state)
{
	MH_CLEANUP(json_decrefp)
	json_t *json = mh_push_rules_default(MH_STR(ME));
	json_t *list = json_object_get(json_object_get(json, "global"),
				       "override");
	MH_CLEANUP(json_decrefp) json_t *whole = json_deep_copy(json);

	(void)state;
	assert_false(mh_push_rules_complete(json, MH_STR(ME)));
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_array_remove(list, i);
		assert_true(mh_push_rules_complete(json, MH_STR(ME)));
		assert_true(json_equal(json, whole));
	}
}

/* --- over a node --------------------------------------------------------------- */

#define RULES API "/pushrules/global/"

static const char *order(struct world *w)
{
	json_t *rules = get(w, &w->alice, API "/pushrules/");
	json_t *list = json_object_get(json_object_get(rules, "global"),
				       "content");
	const char *text = "";
	json_t *rule;
	size_t i;

	json_array_foreach (list, i, rule)
		text = fmt(w, "%s%s ", text, str_of(rule, "rule_id"));
	return text;
}

static void put(struct world *w, const char *rule)
{
	tell(w, &w->alice, "PUT", fmt(w, RULES "content/%s", rule),
	     "{\"pattern\":\"x\",\"actions\":[\"notify\",\"dont_notify\"]}");
}

static void rules_are_ordered_changed_and_deleted(void **state)
{
	struct world *w = *state;

	put(w, "a");
	put(w, "b");
	put(w, "c?after=b");
	put(w, "d?before=a");
	assert_string_equal(order(w), "b c d a ");
	put(w, "a?before=b");
	assert_string_equal(order(w), "a b c d ");
	assert_int_equal(json_array_size(json_object_get(
				 get(w, &w->alice, RULES "content/a/actions"),
				 "actions")),
			 1);
	tell(w, &w->alice, "PUT", RULES "content/a/enabled",
	     "{\"enabled\":false}");
	put(w, "a"); /* stays where and as it was */
	assert_string_equal(order(w), "a b c d ");
	assert_true(json_is_false(json_object_get(
		get(w, &w->alice, RULES "content/a/enabled"), "enabled")));
	tell(w, &w->alice, "DELETE", RULES "content/b", NULL);
	assert_string_equal(order(w), "a c d ");
	node_restart(&w->node);
	assert_string_equal(order(w), "a c d ");
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const rule =
		"{\"pattern\":\"x\",\"actions\":[]}";
	struct world *w = *state;

	refuse(w, &w->alice, "PUT", RULES "content/.own", rule, 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", RULES "content/a%2Fb", rule, 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", RULES "nonsense/a", rule, 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", RULES "content/a", "{\"actions\":[]}", 400,
	       "M_MISSING_PARAM");
	refuse(w, &w->alice, "PUT", RULES "content/a?after=none", rule, 400,
	       "M_UNKNOWN");
	refuse(w, &w->alice, "GET", RULES "content/none", NULL, 404,
	       "M_NOT_FOUND");
	refuse(w, &w->alice, "DELETE", RULES "override/.m.rule.master", NULL,
	       400, "M_INVALID_PARAM");
	assert_string_equal(order(w), "");
}

static void a_change_reaches_the_other_clients(void **state)
{
	struct world *w = *state;
	const char *token = sync_token(w, &w->alice, NULL);
	struct reply reply;

	put(w, "a");
	reply = sync_once(w, &w->alice, token, "");
	assert_non_null(event_of(json_object_get(json_object_get(reply.json,
								 "account_data"),
						 "events"),
				 "m.push_rules", NULL));
	reply_release(&reply);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_rules_judge_as_the_spec_says),
		cmocka_unit_test(words_match_between_boundaries),
		cmocka_unit_test(conditions_are_judged_one_by_one),
		cmocka_unit_test(stored_rules_get_what_is_new_in_its_place),
		TEST(rules_are_ordered_changed_and_deleted),
		TEST(what_is_wrong_is_refused),
		TEST(a_change_reaches_the_other_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
