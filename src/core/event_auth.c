/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorisation rules, in the order of rooms/v12.md, whose numbers the
 * comments carry; other versions number a little differently. What a version
 * does not have is switched off by a field of its struct mh_room_rules, so
 * that one pass serves all twelve.
 *
 *	1      m.room.create		check_create()
 *	2, 3   the auth events		mh_event_auth_events_check()
 *	4      m.federate		check_federate()
 *	5      m.room.member		event_auth_member.c
 *	6-9    other events		check_sender()
 *	10     m.room.power_levels	check_power_levels()
 *
 * Deliberately absent: whether a redaction may be applied from version 3 on
 * ("Handling redactions"), which is not authorisation; and signatures of
 * servers, for which the keys have to be fetched.
 */
#include "core/event_auth_rules.h"

#include "core/content.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* --- verdicts ----------------------------------------------------------- */

struct mh_verdict mh_auth_accept(void)
{
	return (struct mh_verdict){ .accepted = true };
}

struct mh_verdict mh_auth_reject(const char *format, ...)
{
	struct mh_verdict verdict = { .accepted = false };
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(verdict.reason, sizeof(verdict.reason), format, args);
	va_end(args);

	/* A long name may have been cut inside a character. */
	len = strlen(verdict.reason);
	while (!mh_str_is_utf8(mh_str_n(verdict.reason, len)))
		len--;
	verdict.reason[len] = '\0';
	return verdict;
}

/* --- the state that authorises ------------------------------------------ */

static size_t add_type(struct mh_state_key *out, size_t n, const char *type,
		       struct mh_str state_key)
{
	for (size_t i = 0; i < n; i++)
		if (mh_str_is(out[i].type, type) &&
		    mh_str_eq(out[i].state_key, state_key))
			return n;
	MH_ASSERT(n < MH_AUTH_TYPES_MAX);
	out[n] = (struct mh_state_key){ mh_str(type), state_key };
	return n + 1;
}

static size_t add_member_types(const struct mh_room_rules *rules,
			       struct mh_str target, struct mh_str content,
			       struct mh_state_key *out, size_t n,
			       struct mh_strbuf *scratch)
{
	struct mh_str membership = mh_content_get(content, "membership");
	bool join = mh_content_str_is(membership, MH_STR("join"));
	bool invite = mh_content_str_is(membership, MH_STR("invite"));
	struct mh_str raw, key;

	if (target.data)
		n = add_type(out, n, "m.room.member", target);
	if (join || invite || mh_content_str_is(membership, MH_STR("knock")))
		n = add_type(out, n, "m.room.join_rules", MH_STR(""));
	if (invite) {
		raw = mh_content_get(content, "third_party_invite");
		raw = mh_content_get(raw, "signed");
		raw = mh_content_get(raw, "token");
		if (mh_content_str(raw, scratch, &key))
			n = add_type(out, n, "m.room.third_party_invite", key);
	}
	if (join && rules->restricted_join) {
		raw = mh_content_get(content,
				     "join_authorised_via_users_server");
		if (mh_content_str(raw, scratch, &key))
			n = add_type(out, n, "m.room.member", key);
	}
	return n;
}

size_t mh_event_auth_types(const struct mh_room_rules *rules,
			   struct mh_str type, struct mh_str state_key,
			   struct mh_str sender, struct mh_str content,
			   struct mh_state_key *out, struct mh_strbuf *scratch)
{
	size_t n = 0;

	if (mh_str_is(type, "m.room.create"))
		return 0;
	n = add_type(out, n, "m.room.create", MH_STR(""));
	n = add_type(out, n, "m.room.power_levels", MH_STR(""));
	n = add_type(out, n, "m.room.member", sender);
	if (mh_str_is(type, "m.room.member"))
		n = add_member_types(rules, state_key, content, out, n,
				     scratch);
	return n;
}

void mh_auth_state_add(struct mh_auth_state *state,
		       const struct mh_event *event)
{
	if (!event)
		return;
	MH_ASSERT(state->n < MH_ARRAY_LEN(state->events));
	state->events[state->n++] = event;
}

const struct mh_event *mh_auth_state_get(const struct mh_auth_state *state,
					 const char *type,
					 struct mh_str state_key)
{
	for (size_t i = 0; i < state->n; i++) {
		const struct mh_event *event = state->events[i];

		if (mh_event_is_state(event) &&
		    mh_str_eq(event->state_key, state_key) &&
		    mh_str_is(event->type, type))
			return event;
	}
	return NULL;
}

struct mh_str mh_auth_membership(const struct mh_auth_context *context,
				 struct mh_str user_id)
{
	const struct mh_event *member =
		mh_auth_state_get(context->state, "m.room.member", user_id);

	return member ? member->membership : MH_STR_NONE;
}

const struct mh_power_levels *mh_auth_levels(struct mh_auth_context *context)
{
	const struct mh_event *event;

	if (context->levels)
		return context->levels;
	event = mh_auth_state_get(context->state, "m.room.power_levels",
				  MH_STR(""));
	if (mh_power_levels_new(context->create, event, &context->own_levels,
				context->err) == 0)
		context->levels = context->own_levels;
	return context->levels;
}

struct mh_verdict mh_auth_no_levels(const struct mh_auth_context *context)
{
	return mh_auth_reject("the room's power levels are malformed: %s",
			      context->err->message);
}

/* --- the rules ---------------------------------------------------------- */

/* 1.4: additional_creators is an array of user IDs. */
static bool are_user_ids(struct mh_str raw)
{
	MH_STRBUF(scratch);
	struct mh_json_iter it;
	struct mh_str user_id;

	if (!mh_content_is_array(raw))
		return false;
	for (mh_json_iter_init(&it, raw); mh_json_iter_next(&it);)
		if (!mh_content_str(it.value, &scratch, &user_id) ||
		    !mh_user_id_valid(user_id))
			return false;
	return true;
}

static bool is_known_version(struct mh_str raw)
{
	MH_STRBUF(scratch);
	struct mh_str version;

	return mh_content_str(raw, &scratch, &version) &&
	       mh_room_rules_find(version) != NULL;
}

static struct mh_verdict check_create(const struct mh_event *event)
{
	const struct mh_room_rules *rules = event->rules;
	struct mh_str raw;

	if (event->n_prev_events > 0)
		return mh_auth_reject("create event has prev_events");
	if (rules->room_id_is_create) {
		if (mh_json_slice(event->json, "room_id").data)
			return mh_auth_reject("create event has a room_id");
	} else if (!mh_str_eq(mh_id_domain(event->room_id),
			      mh_id_domain(event->sender))) {
		return mh_auth_reject("the room ID is of another server than "
				      "the create event's sender");
	}
	raw = mh_content_get(event->content, "room_version");
	if (raw.data && !is_known_version(raw))
		return mh_auth_reject("unknown room version");
	raw = mh_content_get(event->content, "additional_creators");
	if (rules->additional_creators && raw.data && !are_user_ids(raw))
		return mh_auth_reject("'additional_creators' is not an array "
				      "of user IDs");
	if (rules->creator_in_content &&
	    !mh_content_get(event->content, "creator").data)
		return mh_auth_reject("create event has no 'creator'");
	return mh_auth_accept();
}

static struct mh_verdict check_federate(const struct mh_auth_context *context)
{
	const struct mh_event *create = context->create;

	if (mh_str_is(mh_content_get(create->content, "m.federate"), "false") &&
	    !mh_str_eq(mh_id_domain(create->sender),
		       mh_id_domain(context->event->sender)))
		return mh_auth_reject("the room is not open to other servers");
	return mh_auth_accept();
}

/* Versions 1 to 5: a server manages the aliases that it hands out. */
static struct mh_verdict check_aliases(const struct mh_event *event)
{
	if (!mh_event_is_state(event))
		return mh_auth_reject("m.room.aliases has no state_key");
	if (!mh_str_eq(mh_id_domain(event->sender), event->state_key))
		return mh_auth_reject("m.room.aliases is for another server");
	return mh_auth_accept();
}

static struct mh_verdict check_power_levels(struct mh_auth_context *context)
{
	const struct mh_event *event = context->event;
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *new = NULL;
	MH_ERROR(err);
	char reason[sizeof(((struct mh_verdict *)NULL)->reason)];

	/* 10.1 to 10.4 */
	if (mh_power_levels_new(context->create, event, &new, &err) < 0)
		return mh_auth_reject("%s", err.message);
	/* 10.5 */
	if (!mh_auth_state_get(context->state, "m.room.power_levels",
			       MH_STR("")))
		return mh_auth_accept();
	/* 10.6 to 10.10 */
	if (!mh_power_levels_change_allowed(context->levels, new, event->sender,
					    reason, sizeof(reason)))
		return mh_auth_reject("%s", reason);
	return mh_auth_accept();
}

/* Versions 1 and 2, where the domain of an event ID is its server. */
static struct mh_verdict check_redaction(const struct mh_auth_context *context)
{
	const struct mh_event *event = context->event;
	struct mh_str domain = mh_id_domain(event->event_id);

	if (mh_power_of_user(context->levels, event->sender) >=
	    mh_power_for_action(context->levels, MH_POWER_REDACT))
		return mh_auth_accept();
	if (domain.len && mh_str_eq(domain, mh_id_domain(event->redacts)))
		return mh_auth_accept();
	return mh_auth_reject("sender may not redact other servers' events");
}

/* 6 to 9, and then the rules for single types. */
static struct mh_verdict check_sender(struct mh_auth_context *context)
{
	const struct mh_event *event = context->event;
	const struct mh_power_levels *levels;
	int64_t power, needed;

	/* 6 */
	if (!mh_str_is(mh_auth_membership(context, event->sender), "join"))
		return mh_auth_reject("sender is not joined to the room");

	levels = mh_auth_levels(context);
	if (!levels)
		return mh_auth_no_levels(context);
	power = mh_power_of_user(levels, event->sender);

	/* 7 */
	if (mh_str_is(event->type, "m.room.third_party_invite")) {
		needed = mh_power_for_action(levels, MH_POWER_INVITE);
		if (power >= needed)
			return mh_auth_accept();
		return mh_auth_reject("sender may not invite: %" PRId64
				      " is needed, the sender has %" PRId64,
				      needed, power);
	}
	/* 8 */
	needed = mh_power_for_event(levels, event->type,
				    mh_event_is_state(event));
	if (power < needed)
		return mh_auth_reject("sender may not send this type: %" PRId64
				      " is needed, the sender has %" PRId64,
				      needed, power);
	/* 9 */
	if (event->state_key.len && event->state_key.data[0] == '@' &&
	    !mh_str_eq(event->state_key, event->sender))
		return mh_auth_reject("state_key is another user's ID");
	/* 10 */
	if (mh_str_is(event->type, "m.room.power_levels"))
		return check_power_levels(context);
	if (context->rules->redaction_auth &&
	    mh_str_is(event->type, "m.room.redaction"))
		return check_redaction(context);
	return mh_auth_accept();
}

static struct mh_verdict check_in_room(struct mh_auth_context *context)
{
	const struct mh_event *event = context->event;
	struct mh_verdict verdict = check_federate(context);

	if (!verdict.accepted)
		return verdict;
	if (context->rules->special_aliases_auth &&
	    mh_str_is(event->type, "m.room.aliases"))
		return check_aliases(event);
	if (mh_str_is(event->type, "m.room.member"))
		return mh_auth_member(context);
	return check_sender(context);
}

struct mh_verdict mh_event_auth_check(const struct mh_event *event,
				      const struct mh_auth_state *state,
				      bool signed_by_authoriser)
{
	MH_ERROR(err);
	struct mh_auth_context context = {
		.event = event,
		.rules = event->rules,
		.state = state,
		.signed_by_authoriser = signed_by_authoriser,
		.levels = state->levels,
		.err = &err,
	};
	struct mh_verdict verdict;

	if (mh_str_is(event->type, "m.room.create"))
		return check_create(event);
	context.create = mh_auth_state_get(state, "m.room.create", MH_STR(""));
	if (!context.create)
		return mh_auth_reject("the room has no create event");
	/* 2: both room IDs are the create event's ID with another sigil. */
	if (context.rules->room_id_is_create &&
	    !mh_str_eq(event->room_id, context.create->room_id))
		return mh_auth_reject("the room ID is not the create event's");
	verdict = check_in_room(&context);
	mh_power_levels_free(context.own_levels);
	return verdict;
}

/* --- auth events -------------------------------------------------------- */

static bool is_duplicate(const struct mh_event *const *events, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (mh_str_eq(events[i]->type, events[j]->type) &&
		    mh_str_eq(events[i]->state_key, events[j]->state_key))
			return true;
	return false;
}

static bool is_selected(const struct mh_event *auth_event,
			const struct mh_state_key *types, size_t n)
{
	if (!mh_event_is_state(auth_event))
		return false;
	for (size_t i = 0; i < n; i++)
		if (mh_str_eq(types[i].type, auth_event->type) &&
		    mh_str_eq(types[i].state_key, auth_event->state_key))
			return true;
	return false;
}

/* 3.1 to 3.5 */
static struct mh_verdict
check_auth_events(const struct mh_event *event,
		  const struct mh_event *const *auth_events,
		  const bool *auth_rejected, size_t n)
{
	MH_STRBUF(scratch);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n_types, first;
	bool has_create = false;

	n_types = mh_event_auth_types(event->rules, event->type,
				      event->state_key, event->sender,
				      event->content, types, &scratch);
	/* The create event comes first and, in version 12, is not selected. */
	first = event->rules->room_id_is_create ? 1 : 0;

	for (size_t i = 0; i < n; i++)
		if (is_duplicate(auth_events, i))
			return mh_auth_reject("two auth_events of type '%.*s'",
					      MH_STR_ARG(auth_events[i]->type));
	for (size_t i = 0; i < n; i++)
		if (!is_selected(auth_events[i], types + first,
				 n_types - first))
			return mh_auth_reject("an event of type '%.*s' does "
					      "not belong to auth_events",
					      MH_STR_ARG(auth_events[i]->type));
	for (size_t i = 0; i < n; i++)
		if (auth_rejected[i])
			return mh_auth_reject("an auth event was rejected");
	for (size_t i = 0; i < n; i++)
		if (mh_str_is(auth_events[i]->type, "m.room.create"))
			has_create = true;
	if (!has_create && !event->rules->room_id_is_create)
		return mh_auth_reject("no create event among the auth_events");
	for (size_t i = 0; i < n; i++)
		if (!mh_str_eq(auth_events[i]->room_id, event->room_id))
			return mh_auth_reject("an auth event is of another "
					      "room");
	return mh_auth_accept();
}

struct mh_verdict mh_event_auth_events_check(
	const struct mh_event *event, const struct mh_event *const *auth_events,
	const bool *auth_rejected, size_t n_auth_events,
	const struct mh_event *create, bool signed_by_authoriser)
{
	struct mh_auth_state state = { .n = 0 };
	struct mh_verdict verdict;

	if (mh_str_is(event->type, "m.room.create"))
		return check_create(event);
	verdict = check_auth_events(event, auth_events, auth_rejected,
				    n_auth_events);
	if (!verdict.accepted)
		return verdict;
	if (event->rules->room_id_is_create)
		mh_auth_state_add(&state, create);
	/* No more than there are types to select, or they were refused. */
	for (size_t i = 0; i < n_auth_events; i++)
		mh_auth_state_add(&state, auth_events[i]);
	return mh_event_auth_check(event, &state, signed_by_authoriser);
}
