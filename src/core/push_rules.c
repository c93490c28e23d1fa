/* SPDX-License-Identifier: Apache-2.0 */
/* Push rules as JSON: the defaults and editing. See push_eval.c for judging. */
#include "core/push_rules.h"

#include <stdlib.h>

#define SOUND(name) "{\"set_tweak\":\"sound\",\"value\":\"" name "\"}"
#define HIGHLIGHT "{\"set_tweak\":\"highlight\"}"
#define MATCH(key, pattern)                                                    \
	"{\"kind\":\"event_match\",\"key\":\"" key "\",\"pattern\":\"" pattern \
	"\"}"
#define USER_ID "%USER%" /* replaced by the user's ID in a pattern or value */

/*
 * "Predefined Rules", in the spec's order. Both kinds: the order of the table
 * is the order of priority. `user` rules that precede .m.rule.master do not
 * exist, so it stays first.
 */
static const struct default_rule {
	const char *kind, *rule_id;
	bool enabled;
	const char *conditions, *actions;
} default_rules[] = {
	{ "override", ".m.rule.master", false, "[]", "[]" },
	{ "override", ".m.rule.suppress_notices", true,
	  "[" MATCH("content.msgtype", "m.notice") "]", "[]" },
	{ "override", ".m.rule.invite_for_me", true,
	  "[" MATCH("type", "m.room.member") ","
	  MATCH("content.membership", "invite") ","
	  MATCH("state_key", USER_ID) "]",
	  "[\"notify\"," SOUND("default") "]" },
	{ "override", ".m.rule.member_event", true,
	  "[" MATCH("type", "m.room.member") "]", "[]" },
	{ "override", ".m.rule.is_user_mention", true,
	  "[{\"kind\":\"event_property_contains\","
	  "\"key\":\"content.m\\\\.mentions.user_ids\","
	  "\"value\":\"" USER_ID "\"}]",
	  "[\"notify\"," SOUND("default") "," HIGHLIGHT "]" },
	{ "override", ".m.rule.is_room_mention", true,
	  "[{\"kind\":\"event_property_is\","
	  "\"key\":\"content.m\\\\.mentions.room\",\"value\":true},"
	  "{\"kind\":\"sender_notification_permission\",\"key\":\"room\"}]",
	  "[\"notify\"," HIGHLIGHT "]" },
	{ "override", ".m.rule.tombstone", true,
	  "[" MATCH("type", "m.room.tombstone") "," MATCH("state_key", "") "]",
	  "[\"notify\"," HIGHLIGHT "]" },
	{ "override", ".m.rule.reaction", true,
	  "[" MATCH("type", "m.reaction") "]", "[]" },
	{ "override", ".m.rule.room.server_acl", true,
	  "[" MATCH("type", "m.room.server_acl") "," MATCH("state_key", "")
	  "]", "[]" },
	{ "override", ".m.rule.suppress_edits", true,
	  "[{\"kind\":\"event_property_is\","
	  "\"key\":\"content.m\\\\.relates_to.rel_type\","
	  "\"value\":\"m.replace\"}]", "[]" },
	{ "underride", ".m.rule.call", true,
	  "[" MATCH("type", "m.call.invite") "]",
	  "[\"notify\"," SOUND("ring") "]" },
	{ "underride", ".m.rule.encrypted_room_one_to_one", true,
	  "[{\"kind\":\"room_member_count\",\"is\":\"2\"},"
	  MATCH("type", "m.room.encrypted") "]",
	  "[\"notify\"," SOUND("default") "]" },
	{ "underride", ".m.rule.room_one_to_one", true,
	  "[{\"kind\":\"room_member_count\",\"is\":\"2\"},"
	  MATCH("type", "m.room.message") "]",
	  "[\"notify\"," SOUND("default") "]" },
	{ "underride", ".m.rule.message", true,
	  "[" MATCH("type", "m.room.message") "]", "[\"notify\"]" },
	{ "underride", ".m.rule.encrypted", true,
	  "[" MATCH("type", "m.room.encrypted") "]", "[\"notify\"]" },
};

static const char *const kinds[] = { "override", "content", "room", "sender",
				     "underride" };

bool mh_push_kind_valid(struct mh_str kind)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(kinds); i++)
		if (mh_str_is(kind, kinds[i]))
			return true;
	return false;
}

static bool has_conditions(struct mh_str kind)
{
	return mh_str_is(kind, "override") || mh_str_is(kind, "underride");
}

static void put_user_id(json_t *condition, const char *key,
			struct mh_str user_id)
{
	if (mh_str_is(mh_json_str(json_object_get(condition, key)), USER_ID))
		json_object_set_new(condition, key, mh_json_new_str(user_id));
}

static json_t *make_default(const struct default_rule *def,
			    struct mh_str user_id)
{
	json_t *conditions = json_loads(def->conditions, 0, NULL);
	json_t *actions = json_loads(def->actions, 0, NULL);
	json_t *condition;
	size_t i;

	MH_ASSERT(conditions && actions);
	json_array_foreach (conditions, i, condition) {
		put_user_id(condition, "pattern", user_id);
		put_user_id(condition, "value", user_id);
	}
	return json_pack("{s:s, s:b, s:b, s:o, s:o}", "rule_id", def->rule_id,
			 "default", 1, "enabled", def->enabled, "conditions",
			 conditions, "actions", actions);
}

/* The array of a kind, made where it is missing. */
static json_t *rules_of(json_t *rules, const char *kind)
{
	json_t *global = json_object_get(rules, "global");
	json_t *list;

	if (!json_is_object(global)) {
		global = json_object();
		json_object_set_new(rules, "global", global);
	}
	list = json_object_get(global, kind);
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(global, kind, list);
	}
	return list;
}

static json_t *find_in(const json_t *list, struct mh_str rule_id,
		       size_t *ret_index)
{
	json_t *rule;
	size_t i;

	json_array_foreach (list, i, rule) {
		if (!mh_str_eq(mh_json_str(json_object_get(rule, "rule_id")),
			       rule_id))
			continue;
		if (ret_index)
			*ret_index = i;
		return rule;
	}
	return NULL;
}

bool mh_push_rules_complete(json_t *rules, struct mh_str user_id)
{
	bool changed = false;

	for (size_t i = 0; i < MH_ARRAY_LEN(kinds); i++)
		rules_of(rules, kinds[i]);
	for (size_t i = 0; i < MH_ARRAY_LEN(default_rules); i++) {
		const struct default_rule *def = &default_rules[i];
		json_t *list = rules_of(rules, def->kind);
		size_t place = json_array_size(list);

		if (find_in(list, mh_str(def->rule_id), NULL))
			continue;
		/* Right behind the default that precedes it in the table. */
		if (i == 0)
			place = 0;
		else if (default_rules[i - 1].kind == def->kind &&
			 find_in(list, mh_str(default_rules[i - 1].rule_id),
				 &place))
			place++;
		/* The user's own override rules come after the master. */
		while (i == 1 && place < json_array_size(list) &&
		       !json_is_true(json_object_get(
			       json_array_get(list, place), "default")))
			place++;
		json_array_insert_new(list, place, make_default(def, user_id));
		changed = true;
	}
	return changed;
}

json_t *mh_push_rules_default(struct mh_str user_id)
{
	json_t *rules = json_object();

	mh_push_rules_complete(rules, user_id);
	return rules;
}

json_t *mh_push_rules_find(json_t *rules, struct mh_str kind,
			   struct mh_str rule_id)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(kinds); i++)
		if (mh_str_is(kind, kinds[i]))
			return find_in(rules_of(rules, kinds[i]), rule_id,
				       NULL);
	return NULL;
}

int mh_push_actions_clean(const json_t *actions, json_t **ret,
			  struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *clean = json_array();
	json_t *action;
	size_t i;

	if (!json_is_array(actions))
		return mh_fail(err, MH_M_BAD_JSON, "'actions' must be an array");
	json_array_foreach (actions, i, action) {
		struct mh_str name = mh_json_str(action);

		if (!json_is_string(action) && !json_is_object(action))
			return mh_fail(err, MH_M_BAD_JSON,
				       "an action is a string or an object");
		if (!mh_str_is(name, "dont_notify") &&
		    !mh_str_is(name, "coalesce"))
			json_array_append(clean, action);
	}
	*ret = MH_TAKE(clean);
	return 0;
}

/* Builds the stored rule from a request body. */
static int make_rule(struct mh_str kind, struct mh_str rule_id,
		     const json_t *body, json_t **ret, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rule = json_object();
	MH_CLEANUP(json_decrefp) json_t *actions = NULL;
	json_t *conditions, *condition;
	struct mh_str pattern;
	size_t i;

	if (!json_object_get(body, "actions"))
		return mh_fail(err, MH_M_MISSING_PARAM, "'actions' is missing");
	if (mh_push_actions_clean(json_object_get(body, "actions"), &actions,
				  err) < 0)
		return -1;
	json_object_set_new(rule, "rule_id", mh_json_new_str(rule_id));
	json_object_set_new(rule, "default", json_false());
	json_object_set_new(rule, "enabled", json_true());
	json_object_set(rule, "actions", actions);

	if (mh_str_is(kind, "content")) {
		if (mh_json_need_str(body, "pattern", &pattern, err) < 0)
			return -1;
		json_object_set_new(rule, "pattern", mh_json_new_str(pattern));
	}
	if (has_conditions(kind)) {
		if (mh_json_get_array(body, "conditions", &conditions, err) < 0)
			return -1;
		conditions = json_object_get(body, "conditions");
		json_array_foreach (conditions, i, condition)
			if (!json_is_string(json_object_get(condition, "kind")))
				return mh_fail(err, MH_M_BAD_JSON,
					       "a condition needs a 'kind'");
		json_object_set_new(rule, "conditions",
				    json_is_array(conditions) ?
					    json_incref(conditions) :
					    json_array());
	}
	*ret = MH_TAKE(rule);
	return 0;
}

static bool has_slash(struct mh_str rule_id)
{
	return mh_str_find(rule_id, '/') >= 0 || mh_str_find(rule_id, '\\') >= 0;
}

/* Where user rules of a kind begin: after .m.rule.master. */
static size_t first_place(const json_t *list)
{
	const json_t *first = json_array_get(list, 0);

	return mh_str_is(mh_json_str(json_object_get(first, "rule_id")),
			 ".m.rule.master");
}

static int place_of(const json_t *list, struct mh_str before,
		    struct mh_str after, size_t *place, struct mh_error *err)
{
	struct mh_str anchor = before.len ? before : after;
	size_t at;

	if (!anchor.len)
		return 0;
	if (anchor.data[0] == '.' || !find_in(list, anchor, &at))
		return mh_fail_status(err, 400, MH_M_UNKNOWN,
				      "before/after rule not found: %.*s",
				      MH_STR_ARG(anchor));
	/* `before` makes it the next more important: right in front. */
	*place = before.len ? at : at + 1;
	return 0;
}

int mh_push_rules_put(json_t *rules, struct mh_str kind, struct mh_str rule_id,
		      const json_t *body, struct mh_str before,
		      struct mh_str after, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rule = NULL;
	MH_CLEANUP(mh_freep) char *kind_name = mh_str_dup(kind);
	json_t *list, *old;
	size_t at = 0, place;

	if (!mh_push_kind_valid(kind))
		return mh_fail(err, MH_M_INVALID_PARAM, "unknown kind of rule");
	if (rule_id.len == 0 || rule_id.data[0] == '.' || has_slash(rule_id))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a rule ID of a user has no slashes and does "
			       "not begin with a dot");
	if (make_rule(kind, rule_id, body, &rule, err) < 0)
		return -1;

	list = rules_of(rules, kind_name);
	old = find_in(list, rule_id, &at);
	place = old ? at : first_place(list);
	if (place_of(list, before, after, &place, err) < 0)
		return -1;
	if (old) {
		json_object_set(rule, "enabled",
				json_object_get(old, "enabled"));
		json_array_remove(list, at);
		if (place > at)
			place--;
	}
	json_array_insert(list, place, rule);
	return 0;
}

int mh_push_rules_delete(json_t *rules, struct mh_str kind,
			 struct mh_str rule_id, struct mh_error *err)
{
	MH_CLEANUP(mh_freep) char *kind_name = mh_str_dup(kind);
	json_t *list, *rule;
	size_t at;

	if (!mh_push_kind_valid(kind))
		return mh_fail(err, MH_M_INVALID_PARAM, "unknown kind of rule");
	list = rules_of(rules, kind_name);
	rule = find_in(list, rule_id, &at);
	if (!rule)
		return mh_fail(err, MH_M_NOT_FOUND, "the push rule was not found");
	if (json_is_true(json_object_get(rule, "default")))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "server-default rules cannot be deleted");
	json_array_remove(list, at);
	return 0;
}
