/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule for m.room.member: who may join, be invited, leave, be banned and
 * knock. Numbers are those of rooms/v12.md, rule 5.
 */
#include "core/event_auth_rules.h"

#include "base/base64.h"
#include "core/content.h"
#include "core/signing.h"

#include <inttypes.h>

/* What every branch asks about; slices borrow from events. */
struct member {
	struct mh_auth_context *context;
	const struct mh_event *event;
	struct mh_str target;
	bool by_target; /* sender and state_key are the same user */
	struct mh_str sender_was, target_was; /* memberships until now */
};

static bool sender_is_joined(const struct member *member)
{
	return mh_str_is(member->sender_was, "join");
}

static struct mh_verdict too_low(const char *what, int64_t needed,
				 int64_t power)
{
	return mh_auth_reject("sender may not %s: %" PRId64
			      " is needed, the sender has %" PRId64,
			      what, needed, power);
}

/* --- join --------------------------------------------------------------- */

static struct mh_str join_rule(const struct member *member,
			       struct mh_strbuf *scratch)
{
	const struct mh_event *event = mh_auth_state_get(
		member->context->state, "m.room.join_rules", MH_STR(""));
	struct mh_str rule;

	if (event && mh_content_str(mh_content_get(event->content, "join_rule"),
				    scratch, &rule))
		return rule;
	return MH_STR("invite");
}

/* 5.3.1: the creator's own first event after the create event. */
static bool is_first_join(const struct member *member)
{
	const struct mh_event *create = member->context->create;
	const struct mh_event *event = member->event;

	if (event->n_prev_events != 1 ||
	    !mh_str_eq(event->prev_events[0], create->event_id))
		return false;
	/* Additional creators join like everybody else. */
	if (create->rules->creator_in_content)
		return mh_room_is_creator(create, member->target);
	return mh_str_eq(create->sender, member->target);
}

/* 5.3.5.2: somebody who could have invited vouches for this join. */
static struct mh_verdict check_authoriser(const struct member *member)
{
	MH_STRBUF(scratch);
	struct mh_str raw = mh_content_get(member->event->content,
					   "join_authorised_via_users_server");
	const struct mh_power_levels *levels;
	struct mh_str user_id;

	if (!mh_content_str(raw, &scratch, &user_id))
		return mh_auth_reject("a restricted join needs "
				      "'join_authorised_via_users_server'");
	if (!mh_str_is(mh_auth_membership(member->context, user_id), "join"))
		return mh_auth_reject("the user who authorised the join is not "
				      "joined to the room");
	levels = mh_auth_levels(member->context);
	if (!levels)
		return mh_auth_no_levels(member->context);
	if (mh_power_of_user(levels, user_id) <
	    mh_power_for_action(levels, MH_POWER_INVITE))
		return mh_auth_reject("the user who authorised the join may "
				      "not invite");
	return mh_auth_accept();
}

static struct mh_verdict check_join(const struct member *member)
{
	const struct mh_room_rules *rules = member->context->rules;
	MH_STRBUF(scratch);
	struct mh_str rule = join_rule(member, &scratch);
	bool welcome = mh_str_is(member->target_was, "invite") ||
		       mh_str_is(member->target_was, "join");

	/* 5.3.1 */
	if (is_first_join(member))
		return mh_auth_accept();
	/* 5.3.2 */
	if (!member->by_target)
		return mh_auth_reject("nobody can join for another user");
	/* 5.3.3 */
	if (mh_str_is(member->sender_was, "ban"))
		return mh_auth_reject("the user is banned");
	/* 5.3.4 */
	if (mh_str_is(rule, "invite") ||
	    (rules->knocking && mh_str_is(rule, "knock")))
		return welcome ? mh_auth_accept()
			       : mh_auth_reject("the user is not invited");
	/* 5.3.5 */
	if ((rules->restricted_join && mh_str_is(rule, "restricted")) ||
	    (rules->knock_restricted && mh_str_is(rule, "knock_restricted")))
		return welcome ? mh_auth_accept() : check_authoriser(member);
	/* 5.3.6 */
	if (mh_str_is(rule, "public"))
		return mh_auth_accept();
	/* 5.3.7 */
	return mh_auth_reject("the room's join rule lets nobody join");
}

/* --- invite ------------------------------------------------------------- */

/* Bounds the signature checks that one event can cost. */
#define MAX_KEYS 32
#define MAX_CHECKS 256

struct keys {
	unsigned char at[MAX_KEYS][MH_ED25519_PUBLIC];
	size_t n;
};

static void add_key(struct keys *keys, struct mh_str raw)
{
	MH_STRBUF(scratch);
	struct mh_str text;
	size_t len;

	if (keys->n == MAX_KEYS || !mh_content_str(raw, &scratch, &text))
		return;
	/* Identity servers have published both alphabets. */
	if (!mh_base64_decode(MH_BASE64_STD, text, keys->at[keys->n],
			      MH_ED25519_PUBLIC, &len) &&
	    !mh_base64_decode(MH_BASE64_URL, text, keys->at[keys->n],
			      MH_ED25519_PUBLIC, &len))
		return;
	if (len == MH_ED25519_PUBLIC)
		keys->n++;
}

static void read_keys(const struct mh_event *invite, struct keys *keys)
{
	struct mh_str list = mh_content_get(invite->content, "public_keys");
	struct mh_json_iter it;

	keys->n = 0;
	add_key(keys, mh_content_get(invite->content, "public_key"));
	if (!mh_content_is_array(list))
		return;
	for (mh_json_iter_init(&it, list); mh_json_iter_next(&it);)
		add_key(keys, mh_content_get(it.value, "public_key"));
}

static bool signed_by_key(struct mh_str object, struct mh_str entity,
			  struct mh_str key_id, const struct keys *keys,
			  size_t *checks)
{
	for (size_t i = 0; i < keys->n && *checks < MAX_CHECKS; i++) {
		(*checks)++;
		if (mh_verify_json(object, entity, key_id, keys->at[i]))
			return true;
	}
	return false;
}

/* 5.4.1.7: any signature by any of the keys. */
static bool signed_by_any(struct mh_str object, const struct keys *keys)
{
	MH_STRBUF(entity_scratch);
	MH_STRBUF(key_scratch);
	struct mh_str raw = mh_content_get(object, "signatures");
	struct mh_json_iter entities, signatures;
	size_t checks = 0;

	if (!mh_content_is_object(raw))
		return false;
	mh_json_iter_init(&entities, raw);
	while (mh_json_iter_next(&entities)) {
		struct mh_str entity =
			mh_content_key(&entities, &entity_scratch);

		if (!mh_content_is_object(entities.value))
			continue;
		mh_json_iter_init(&signatures, entities.value);
		while (mh_json_iter_next(&signatures)) {
			struct mh_str key_id =
				mh_content_key(&signatures, &key_scratch);

			if (mh_str_starts(key_id, MH_STR("ed25519:")) &&
			    signed_by_key(object, entity, key_id, keys,
					  &checks))
				return true;
		}
	}
	return false;
}

/* 5.4.1 */
static struct mh_verdict check_third_party(const struct member *member,
					   struct mh_str third_party)
{
	MH_STRBUF(scratch);
	struct mh_str object = mh_content_get(third_party, "signed");
	struct mh_str raw_mxid = mh_content_get(object, "mxid");
	struct mh_str raw_token = mh_content_get(object, "token");
	struct mh_str token;
	const struct mh_event *invite;
	struct keys keys;

	/* 5.4.1.1 */
	if (mh_str_is(member->target_was, "ban"))
		return mh_auth_reject("the invited user is banned");
	/* 5.4.1.2 */
	if (!object.data)
		return mh_auth_reject("'third_party_invite' has no 'signed'");
	/* 5.4.1.3 */
	if (!raw_mxid.data || !mh_content_str(raw_token, &scratch, &token))
		return mh_auth_reject("'signed' lacks 'mxid' or 'token'");
	/* 5.4.1.4 */
	if (!mh_content_str_is(raw_mxid, member->target))
		return mh_auth_reject("'mxid' is not the invited user");
	/* 5.4.1.5 */
	invite = mh_auth_state_get(member->context->state,
				   "m.room.third_party_invite", token);
	if (!invite)
		return mh_auth_reject("no third-party invite has this token");
	/* 5.4.1.6 */
	if (!mh_str_eq(invite->sender, member->event->sender))
		return mh_auth_reject("another user sent the third-party "
				      "invite");
	/* 5.4.1.7 */
	read_keys(invite, &keys);
	if (signed_by_any(object, &keys))
		return mh_auth_accept();
	/* 5.4.1.8 */
	return mh_auth_reject("no key of the third-party invite signed this");
}

static struct mh_verdict check_invite(const struct member *member)
{
	struct mh_str third_party =
		mh_content_get(member->event->content, "third_party_invite");
	const struct mh_power_levels *levels;
	int64_t power, needed;

	if (third_party.data)
		return check_third_party(member, third_party);
	/* 5.4.2 */
	if (!sender_is_joined(member))
		return mh_auth_reject("sender is not joined to the room");
	/* 5.4.3 */
	if (mh_str_is(member->target_was, "join"))
		return mh_auth_reject("the user is joined already");
	if (mh_str_is(member->target_was, "ban"))
		return mh_auth_reject("the invited user is banned");
	/* 5.4.4 */
	levels = mh_auth_levels(member->context);
	if (!levels)
		return mh_auth_no_levels(member->context);
	power = mh_power_of_user(levels, member->event->sender);
	needed = mh_power_for_action(levels, MH_POWER_INVITE);
	return power >= needed ? mh_auth_accept()
			       : too_low("invite", needed, power);
}

/* --- leave, ban, knock -------------------------------------------------- */

/* 5.5.4 and 5.6.2: enough power, and more than the target has. */
static struct mh_verdict check_power_over(const struct member *member,
					  enum mh_power_action action,
					  const char *what)
{
	const struct mh_power_levels *levels = mh_auth_levels(member->context);
	int64_t power, needed;

	if (!levels)
		return mh_auth_no_levels(member->context);
	power = mh_power_of_user(levels, member->event->sender);
	needed = mh_power_for_action(levels, action);
	if (power < needed)
		return too_low(what, needed, power);
	if (mh_power_of_user(levels, member->target) >= power)
		return mh_auth_reject("sender may not %s a user of the same or "
				      "a higher level",
				      what);
	return mh_auth_accept();
}

static struct mh_verdict check_leave(const struct member *member)
{
	/* 5.5.1 */
	if (member->by_target) {
		if (mh_str_is(member->target_was, "invite") ||
		    mh_str_is(member->target_was, "join") ||
		    (member->context->rules->knocking &&
		     mh_str_is(member->target_was, "knock")))
			return mh_auth_accept();
		return mh_auth_reject("the user is not in the room");
	}
	/* 5.5.2 */
	if (!sender_is_joined(member))
		return mh_auth_reject("sender is not joined to the room");
	/* 5.5.3 */
	if (mh_str_is(member->target_was, "ban")) {
		const struct mh_power_levels *levels =
			mh_auth_levels(member->context);
		int64_t power, needed;

		if (!levels)
			return mh_auth_no_levels(member->context);
		power = mh_power_of_user(levels, member->event->sender);
		needed = mh_power_for_action(levels, MH_POWER_BAN);
		if (power < needed)
			return too_low("unban", needed, power);
	}
	/* 5.5.4 */
	return check_power_over(member, MH_POWER_KICK, "kick");
}

static struct mh_verdict check_ban(const struct member *member)
{
	/* 5.6.1 */
	if (!sender_is_joined(member))
		return mh_auth_reject("sender is not joined to the room");
	/* 5.6.2 */
	return check_power_over(member, MH_POWER_BAN, "ban");
}

static struct mh_verdict check_knock(const struct member *member)
{
	MH_STRBUF(scratch);
	struct mh_str rule = join_rule(member, &scratch);

	/* 5.7.1 */
	if (!mh_str_is(rule, "knock") &&
	    !(member->context->rules->knock_restricted &&
	      mh_str_is(rule, "knock_restricted")))
		return mh_auth_reject(
			"the room's join rule allows no knocking");
	/* 5.7.2 */
	if (!member->by_target)
		return mh_auth_reject("nobody can knock for another user");
	/* 5.7.3 */
	if (mh_str_is(member->sender_was, "ban"))
		return mh_auth_reject("the user is banned");
	if (mh_str_is(member->sender_was, "invite"))
		return mh_auth_reject("the user is invited already");
	if (mh_str_is(member->sender_was, "join"))
		return mh_auth_reject("the user is joined already");
	return mh_auth_accept();
}

struct mh_verdict mh_auth_member(struct mh_auth_context *context)
{
	const struct mh_event *event = context->event;
	const struct member member = {
		.context = context,
		.event = event,
		.target = event->state_key,
		.by_target = mh_str_eq(event->sender, event->state_key),
		.sender_was = mh_auth_membership(context, event->sender),
		.target_was = mh_auth_membership(context, event->state_key),
	};
	struct mh_str authoriser;

	/* 5.1 */
	if (!mh_event_is_state(event))
		return mh_auth_reject("m.room.member has no state_key");
	if (!event->membership.data)
		return mh_auth_reject("m.room.member has no 'membership'");
	/* 5.2 */
	authoriser = mh_content_get(event->content,
				    "join_authorised_via_users_server");
	if (context->rules->restricted_join && authoriser.data &&
	    !context->signed_by_authoriser)
		return mh_auth_reject("the server that authorised the join "
				      "did not sign");

	if (mh_str_is(event->membership, "join"))
		return check_join(&member);
	if (mh_str_is(event->membership, "invite"))
		return check_invite(&member);
	if (mh_str_is(event->membership, "leave"))
		return check_leave(&member);
	if (mh_str_is(event->membership, "ban"))
		return check_ban(&member);
	if (context->rules->knocking && mh_str_is(event->membership, "knock"))
		return check_knock(&member);
	/* 5.8 */
	return mh_auth_reject("unknown membership '%.*s'",
			      MH_STR_ARG(event->membership));
}
