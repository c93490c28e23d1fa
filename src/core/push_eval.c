/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging events by push rules. Rules are compiled into arrays of conditions
 * with their property paths split and patterns lower-cased, and an event's
 * content is parsed once for all its recipients; what is left per recipient is
 * a dozen look-ups.
 */
#include "core/push_rules.h"

#include <stdlib.h>

#define MAX_PATH 8 /* deeper properties never match */

enum condition_kind {
	COND_EVENT_MATCH,
	COND_PROPERTY_IS,
	COND_PROPERTY_CONTAINS,
	COND_DISPLAY_NAME,
	COND_MEMBER_COUNT,
	COND_SENDER_PERMISSION,
	COND_WORDS,   /* content rules: pattern within content.body */
	COND_ROOM,    /* room rules: text is the room ID */
	COND_SENDER,  /* sender rules: text is the user ID */
	COND_UNKNOWN, /* never matches */
};

struct condition {
	enum condition_kind kind;
	char *path[MAX_PATH]; /* "content", "m.mentions", "room" */
	size_t n_path;
	bool in_body;	    /* the path is content.body */
	struct mh_str text; /* pattern in lower case, key, ID; owned */
	json_t *value;	    /* what event_property_* compares with; owned */
	char op;	    /* of room_member_count: '=', '<', '>', 'l', 'g' */
	int64_t number;
};

struct rule {
	struct condition *conditions;
	size_t n_conditions;
	bool notify, highlight;
	char *actions;
};

struct mh_push_rules {
	struct rule *rules;
	size_t n_rules;
};

struct mh_push_event {
	struct mh_event *event;
	json_t *content;
	char *body; /* content.body in lower case, or NULL */
	size_t body_len;
};

/* Lower case of ASCII: the exact meaning is the homeserver's to define. */
static char *lower_dup(struct mh_str s)
{
	char *copy = mh_str_dup(s);

	for (size_t i = 0; i < s.len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] - 'A' + 'a');
	return copy;
}

static struct mh_str lower_str(struct mh_str s)
{
	return mh_str_n(lower_dup(s), s.len);
}

/* --- compiling ----------------------------------------------------------- */

/* Splits at dots; "\." and "\\" are escapes (appendices). */
static bool split_path(struct mh_str key, struct condition *condition)
{
	MH_STRBUF(part);

	for (size_t i = 0; i <= key.len; i++) {
		if (i == key.len || key.data[i] == '.') {
			if (condition->n_path == MAX_PATH)
				return false;
			condition->path[condition->n_path++] =
				mh_memdup(part.data, part.len);
			mh_strbuf_clear(&part);
			continue;
		}
		if (key.data[i] == '\\' && i + 1 < key.len &&
		    (key.data[i + 1] == '.' || key.data[i + 1] == '\\'))
			i++;
		mh_strbuf_addch(&part, key.data[i]);
	}
	condition->in_body = condition->n_path == 2 &&
			     !strcmp(condition->path[0], "content") &&
			     !strcmp(condition->path[1], "body");
	return true;
}

static bool compile_count(struct mh_str is, struct condition *condition)
{
	condition->op = '=';
	if (mh_str_starts(is, MH_STR("=="))) {
		is = mh_str_from(is, 2);
	} else if (mh_str_starts(is, MH_STR("<="))) {
		condition->op = 'l';
		is = mh_str_from(is, 2);
	} else if (mh_str_starts(is, MH_STR(">="))) {
		condition->op = 'g';
		is = mh_str_from(is, 2);
	} else if (is.len && (is.data[0] == '<' || is.data[0] == '>')) {
		condition->op = is.data[0];
		is = mh_str_from(is, 1);
	}
	return mh_str_to_int(is, &condition->number);
}

static bool is_scalar(const json_t *value)
{
	return json_is_string(value) || json_is_integer(value) ||
	       json_is_boolean(value) || json_is_null(value);
}

static bool compile_property(const json_t *json, struct condition *condition)
{
	json_t *value = json_object_get(json, "value");

	if (!is_scalar(value))
		return false;
	condition->value = json_incref(value);
	return true;
}

/* False when it can never match. */
static bool compile_known(const json_t *json, struct condition *condition)
{
	struct mh_str kind = mh_json_str(json_object_get(json, "kind"));
	struct mh_str key = mh_json_str(json_object_get(json, "key"));
	struct mh_str pattern = mh_json_str(json_object_get(json, "pattern"));

	if (mh_str_is(kind, "event_match")) {
		condition->kind = COND_EVENT_MATCH;
		if (!pattern.data)
			return false;
		condition->text = lower_str(pattern);
		return key.data && split_path(key, condition);
	}
	if (mh_str_is(kind, "event_property_is")) {
		condition->kind = COND_PROPERTY_IS;
		return compile_property(json, condition) && key.data &&
		       split_path(key, condition);
	}
	if (mh_str_is(kind, "event_property_contains")) {
		condition->kind = COND_PROPERTY_CONTAINS;
		return compile_property(json, condition) && key.data &&
		       split_path(key, condition);
	}
	if (mh_str_is(kind, "contains_display_name")) {
		condition->kind = COND_DISPLAY_NAME;
		return true;
	}
	if (mh_str_is(kind, "room_member_count")) {
		condition->kind = COND_MEMBER_COUNT;
		return compile_count(mh_json_str(json_object_get(json, "is")),
				     condition);
	}
	if (mh_str_is(kind, "sender_notification_permission")) {
		condition->kind = COND_SENDER_PERMISSION;
		condition->text = mh_str_n(mh_str_dup(key), key.len);
		return key.data != NULL;
	}
	return false;
}

static void compile_condition(const json_t *json, struct condition *condition)
{
	if (!compile_known(json, condition))
		condition->kind = COND_UNKNOWN;
}

static void compile_implied(const char *kind, const json_t *json,
			    struct rule *rule)
{
	struct mh_str id = mh_json_str(json_object_get(json, "rule_id"));
	struct mh_str pattern = mh_json_str(json_object_get(json, "pattern"));
	struct condition *condition;

	rule->conditions = mh_alloc_array(1, sizeof(*rule->conditions));
	rule->n_conditions = 1;
	condition = rule->conditions;
	if (!strcmp(kind, "content")) {
		condition->kind = pattern.data ? COND_WORDS : COND_UNKNOWN;
		condition->text = lower_str(pattern);
		return;
	}
	condition->kind = !strcmp(kind, "room") ? COND_ROOM : COND_SENDER;
	condition->text = mh_str_n(mh_str_dup(id), id.len);
}

static void compile_actions(const json_t *json, struct rule *rule)
{
	const json_t *actions = json_object_get(json, "actions"), *action;
	size_t i;

	json_array_foreach (actions, i, action) {
		const json_t *value = json_object_get(action, "value");

		if (mh_str_is(mh_json_str(action), "notify"))
			rule->notify = true;
		if (mh_str_is(mh_json_str(json_object_get(action, "set_tweak")),
			      "highlight"))
			rule->highlight = !json_is_false(value);
	}
	rule->actions = json_dumps(actions, JSON_COMPACT);
	if (!rule->actions)
		rule->actions = mh_strdup("[]");
}

static void compile_rule(const char *kind, const json_t *json,
			 struct rule *rule)
{
	const json_t *conditions = json_object_get(json, "conditions"), *one;
	size_t i;

	compile_actions(json, rule);
	if (strcmp(kind, "override") != 0 && strcmp(kind, "underride") != 0) {
		compile_implied(kind, json, rule);
		return;
	}
	rule->n_conditions = json_array_size(conditions);
	rule->conditions = mh_alloc_array(rule->n_conditions,
					  sizeof(*rule->conditions));
	json_array_foreach (conditions, i, one)
		compile_condition(one, &rule->conditions[i]);
}

struct mh_push_rules *mh_push_rules_compile(const json_t *json)
{
	static const char *const order[] = { "override", "content", "room",
					     "sender", "underride" };
	const json_t *global = json_object_get(json, "global"), *one;
	struct mh_push_rules *rules = MH_NEW(struct mh_push_rules);
	size_t total = 0, i;

	for (size_t k = 0; k < MH_ARRAY_LEN(order); k++)
		total += json_array_size(json_object_get(global, order[k]));
	rules->rules = mh_alloc_array(total, sizeof(*rules->rules));
	for (size_t k = 0; k < MH_ARRAY_LEN(order); k++) {
		const json_t *list = json_object_get(global, order[k]);

		json_array_foreach (list, i, one)
			if (json_is_true(json_object_get(one, "enabled")))
				compile_rule(order[k], one,
					     &rules->rules[rules->n_rules++]);
	}
	return rules;
}

static void release_condition(struct condition *condition)
{
	for (size_t i = 0; i < condition->n_path; i++)
		free(condition->path[i]);
	free((char *)(uintptr_t)condition->text.data);
	json_decref(condition->value);
}

void mh_push_rules_free(struct mh_push_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n_rules; i++) {
		struct rule *rule = &rules->rules[i];

		for (size_t j = 0; j < rule->n_conditions; j++)
			release_condition(&rule->conditions[j]);
		free(rule->conditions);
		free(rule->actions);
	}
	free(rules->rules);
	free(rules);
}

/* --- the event ----------------------------------------------------------- */

struct mh_push_event *mh_push_event_new(struct mh_event *event)
{
	struct mh_push_event *push;
	MH_ERROR(err);
	struct mh_str body;
	json_t *content;

	if (mh_json_parse_object(event->content, &content, &err) < 0)
		return NULL;
	push = MH_NEW(struct mh_push_event);
	push->event = mh_event_ref(event);
	push->content = content;
	body = mh_json_str(json_object_get(content, "body"));
	if (body.data) {
		push->body = lower_dup(body);
		push->body_len = body.len;
	}
	return push;
}

void mh_push_event_free(struct mh_push_event *event)
{
	if (!event)
		return;
	json_decref(event->content);
	mh_event_unref(event->event);
	free(event->body);
	free(event);
}

/* A property as a string; data NULL when it is none. */
static struct mh_str string_at(const struct mh_push_event *event,
			       const struct condition *condition,
			       const json_t **ret_value)
{
	const struct mh_event *pdu = event->event;
	const char *top = condition->path[0];
	const json_t *value = event->content;

	*ret_value = NULL;
	if (!strcmp(top, "content")) {
		for (size_t i = 1; i < condition->n_path; i++)
			value = json_object_get(value, condition->path[i]);
		*ret_value = value;
		return mh_json_str(value);
	}
	if (condition->n_path != 1)
		return MH_STR_NONE;
	if (!strcmp(top, "type"))
		return pdu->type;
	if (!strcmp(top, "sender"))
		return pdu->sender;
	if (!strcmp(top, "room_id"))
		return pdu->room_id;
	if (!strcmp(top, "state_key"))
		return pdu->state_key;
	if (!strcmp(top, "event_id"))
		return pdu->event_id;
	return MH_STR_NONE;
}

/* --- matching ------------------------------------------------------------ */

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_';
}

static bool word_boundary(struct mh_str s, size_t at)
{
	return at == 0 || at == s.len || !is_word_char(s.data[at - 1]) ||
	       !is_word_char(s.data[at]);
}

/* Is `word` in `body` between word boundaries, letter by letter? */
static bool words_contain(struct mh_str word, struct mh_str body)
{
	for (size_t at = 0; word.len && at + word.len <= body.len; at++) {
		const char *hit = memmem(body.data + at, body.len - at,
					 word.data, word.len);

		if (!hit)
			return false;
		at = (size_t)(hit - body.data);
		if (word_boundary(body, at) &&
		    word_boundary(body, at + word.len))
			return true;
	}
	return false;
}

/*
 * Does `pattern` match a substring between word boundaries? Plain words, the
 * usual case, are searched for; globs try each pair of boundaries, bounded by
 * looking no further than MAX_GLOB_BODY bytes.
 */
#define MAX_GLOB_BODY 1024
static bool words_match(struct mh_str pattern, struct mh_str body)
{
	if (mh_str_find(pattern, '*') < 0 && mh_str_find(pattern, '?') < 0)
		return words_contain(pattern, body);
	body = mh_str_first(body, MAX_GLOB_BODY);
	for (size_t from = 0; from < body.len; from++) {
		if (!word_boundary(body, from))
			continue;
		for (size_t to = from + 1; to <= body.len; to++)
			if (word_boundary(body, to) &&
			    mh_str_glob(pattern,
					mh_str_n(body.data + from, to - from)))
				return true;
	}
	return false;
}

static bool match_event(const struct condition *condition,
			const struct mh_push_event *event)
{
	const json_t *value;
	struct mh_str text;
	MH_CLEANUP(mh_freep) char *lower = NULL;

	if (condition->in_body)
		return event->body &&
		       words_match(condition->text,
				   mh_str_n(event->body, event->body_len));
	text = string_at(event, condition, &value);
	if (!text.data)
		return false;
	lower = lower_dup(text);
	return mh_str_glob(condition->text, mh_str_n(lower, text.len));
}

static bool match_property(const struct condition *condition,
			   const struct mh_push_event *event)
{
	const json_t *value, *item;
	struct mh_str text = string_at(event, condition, &value);
	size_t i;

	if (condition->kind == COND_PROPERTY_IS) {
		if (value)
			return json_equal(value, condition->value);
		return text.data &&
		       mh_str_eq(text, mh_json_str(condition->value));
	}
	json_array_foreach (value, i, item)
		if (json_equal(item, condition->value))
			return true;
	return false;
}

static bool match_count(const struct condition *condition, int64_t count)
{
	switch (condition->op) {
	case '<':
		return count < condition->number;
	case '>':
		return count > condition->number;
	case 'l':
		return count <= condition->number;
	case 'g':
		return count >= condition->number;
	default:
		return count == condition->number;
	}
}

static bool match_display_name(const struct mh_push_event *event,
			       const struct mh_push_context *context)
{
	MH_CLEANUP(mh_freep) char *name = lower_dup(context->display_name);

	/* A name is text and no pattern, whatever characters it has. */
	return event->body &&
	       words_contain(mh_str_n(name, context->display_name.len),
			     mh_str_n(event->body, event->body_len));
}

static bool match(const struct condition *condition,
		  const struct mh_push_event *event,
		  const struct mh_push_context *context)
{
	switch (condition->kind) {
	case COND_EVENT_MATCH:
		return match_event(condition, event);
	case COND_PROPERTY_IS:
	case COND_PROPERTY_CONTAINS:
		return match_property(condition, event);
	case COND_DISPLAY_NAME:
		return match_display_name(event, context);
	case COND_MEMBER_COUNT:
		return match_count(condition, context->member_count);
	case COND_SENDER_PERMISSION:
		return context->power_levels &&
		       mh_power_of_user(context->power_levels,
					event->event->sender) >=
			       mh_power_for_notification(context->power_levels,
							 condition->text);
	case COND_WORDS:
		return event->body &&
		       words_match(condition->text,
				   mh_str_n(event->body, event->body_len));
	case COND_ROOM:
		return mh_str_eq(condition->text, event->event->room_id);
	case COND_SENDER:
		return mh_str_eq(condition->text, event->event->sender);
	case COND_UNKNOWN:
		break;
	}
	return false;
}

struct mh_push_result mh_push_evaluate(const struct mh_push_rules *rules,
				       const struct mh_push_event *event,
				       const struct mh_push_context *context)
{
	struct mh_push_result result = { .actions = MH_STR_NONE };

	if (mh_str_eq(event->event->sender, context->user_id))
		return result;
	for (size_t i = 0; i < rules->n_rules; i++) {
		const struct rule *rule = &rules->rules[i];
		size_t j = 0;

		while (j < rule->n_conditions &&
		       match(&rule->conditions[j], event, context))
			j++;
		if (j < rule->n_conditions)
			continue;
		result.notify = rule->notify;
		result.highlight = rule->notify && rule->highlight;
		result.actions = mh_str(rule->actions);
		return result;
	}
	return result;
}
