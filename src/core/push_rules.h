/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push rules (client-server API, "Push Rules"): the default ones, editing, and
 * evaluation.
 *
 * A user's rules are one JSON object, {"global":{"override":[..],..}}: what
 * GET /pushrules/ answers, what the m.push_rules account data holds, and what
 * is stored. To judge events it is compiled once:
 *
 *	struct mh_push_event *event = mh_push_event_new(pdu);	once an event
 *	mh_push_evaluate(rules, event, &context, &result);	once a recipient
 *
 * Pure; an object belongs to one thread at a time, but any number of threads
 * may evaluate with the same compiled rules.
 */
#pragma once

#include "core/power_levels.h"

/* --- the rules as JSON --------------------------------------------------- */

/* The server-default rules of a new user. */
json_t *mh_push_rules_default(struct mh_str user_id);
/*
 * Adds server-default rules that `rules` lacks, in their places: for rules
 * stored by an earlier version. True when it changed something.
 */
bool mh_push_rules_complete(json_t *rules, struct mh_str user_id);

/* True for override, content, room, sender and underride. */
bool mh_push_kind_valid(struct mh_str kind);

/* The rule, borrowed, or NULL when there is none of that kind and ID. */
json_t *mh_push_rules_find(json_t *rules, struct mh_str kind,
			   struct mh_str rule_id);

/*
 * PUT /pushrules/global/{kind}/{ruleId}: adds the rule of `body`, or replaces
 * it in place, or moves it next to the user's rule `before` or `after` (empty:
 * not given). M_INVALID_PARAM for an ID that is reserved or has slashes,
 * M_MISSING_PARAM, M_BAD_JSON; M_UNKNOWN (400) when before/after is no rule.
 */
int mh_push_rules_put(json_t *rules, struct mh_str kind, struct mh_str rule_id,
		      const json_t *body, struct mh_str before,
		      struct mh_str after, struct mh_error *err);
/* M_NOT_FOUND; server-default rules cannot be deleted (M_INVALID_PARAM). */
int mh_push_rules_delete(json_t *rules, struct mh_str kind,
			 struct mh_str rule_id, struct mh_error *err);
/*
 * A copy of `actions` without the historical dont_notify and coalesce.
 * M_BAD_JSON unless it is an array of strings and objects.
 */
int mh_push_actions_clean(const json_t *actions, json_t **ret,
			  struct mh_error *err);

/* --- evaluation ---------------------------------------------------------- */

struct mh_push_rules;

/* Compiles; keeps its own reference to what it needs of `rules`. */
struct mh_push_rules *mh_push_rules_compile(const json_t *rules);
void mh_push_rules_free(struct mh_push_rules *rules);
MH_DEFINE_CLEANUP(struct mh_push_rules *, mh_push_rules_free)

struct mh_push_event;
/* Keeps its own reference to `event`. NULL when its content is damaged. */
struct mh_push_event *mh_push_event_new(struct mh_event *event);
void mh_push_event_free(struct mh_push_event *event);
MH_DEFINE_CLEANUP(struct mh_push_event *, mh_push_event_free)

struct mh_push_context {
	struct mh_str user_id;	    /* the recipient */
	struct mh_str display_name; /* theirs in the room; empty: none */
	int64_t member_count;	    /* joined */
	const struct mh_power_levels *power_levels; /* NULL: sender has none */
};

struct mh_push_result {
	bool notify, highlight;
	struct mh_str actions; /* the rule's, a JSON array; the rules' memory */
};

/*
 * What the first matching rule says; nothing for the sender's own events. The
 * historical actions count as none.
 */
struct mh_push_result mh_push_evaluate(const struct mh_push_rules *rules,
				       const struct mh_push_event *event,
				       const struct mh_push_context *context);
