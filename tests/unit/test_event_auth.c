/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorisation rules against one room, in every version that has the
 * rule. The cases stand in event_auth_cases.h; each names what it shows.
 *
 * The room: @alice:a made it and has the highest level, @bob:b has 50 and
 * @carol:c 0; they are joined. @dave:d is banned, @erin:e invited, @kim:k
 * knocks, @zoe:z was never there. Whoever wants may join. A case gives what is
 * different in `with`, and "gone" for what is missing.
 */
#include "tests/unit/core_fixture.h"

#include "base/base64.h"
#include "core/signing.h"

struct auth_case {
	const char *name;
	int first, last; /* room versions */
	const char *with;
	const char *event;
	const char *reason; /* part of the reason to reject; NULL: accepted */
};

#include "tests/unit/event_auth_cases.h"

#define MAX_STATE 16

struct room {
	const struct mh_room_rules *rules;
	struct mh_event *events[MAX_STATE];
	size_t n;
};

static const char *const room_text[] = {
	MEMBER("@alice:a", "@alice:a", "join"),
	MEMBER("@bob:b", "@bob:b", "join"),
	MEMBER("@carol:c", "@carol:c", "join"),
	MEMBER("@alice:a", "@dave:d", "ban"),
	MEMBER("@alice:a", "@erin:e", "invite"),
	MEMBER("@kim:k", "@kim:k", "knock"),
	JOIN_RULE("public"),
};

/* Puts an event into the room in place of one with the same key. */
static void room_set(struct room *room, struct mh_event *event, bool gone)
{
	for (size_t i = 0; i < room->n; i++)
		if (mh_str_eq(room->events[i]->type, event->type) &&
		    mh_str_eq(room->events[i]->state_key, event->state_key)) {
			mh_event_unref(room->events[i]);
			room->events[i] = room->events[--room->n];
			break;
		}
	if (gone) {
		mh_event_unref(event);
		return;
	}
	assert_true(room->n < MAX_STATE);
	room->events[room->n++] = event;
}

static void room_init(struct room *room, const char *version, const char *with)
{
	MH_CLEANUP(json_decrefp) json_t *list = NULL;
	json_t *in;
	size_t i;

	*room = (struct room){ .rules = fixture_rules(version) };
	room_set(room, fixture_create(room->rules), false);
	/* Version 12 knows that alice is above all. */
	room_set(room,
		 fixture_event_text(room->rules,
				    room->rules->privileged_creators
					    ? LEVELS("{'users':{'@bob:b':50}}")
					    : LEVELS("{'users':{'@alice:a':100,"
						     "'@bob:b':50}}")),
		 false);
	for (i = 0; i < MH_ARRAY_LEN(room_text); i++)
		room_set(room, fixture_event_text(room->rules, room_text[i]),
			 false);
	if (!with)
		return;
	list = fixture_json(with);
	json_array_foreach(list, i, in)
		room_set(room, fixture_event(room->rules, in),
			 json_is_true(json_object_get(in, "gone")));
}

static void room_release(struct room *room)
{
	for (size_t i = 0; i < room->n; i++)
		mh_event_unref(room->events[i]);
}

static const struct mh_event *room_get(const struct room *room,
				       const struct mh_state_key *key)
{
	for (size_t i = 0; i < room->n; i++)
		if (mh_str_eq(room->events[i]->type, key->type) &&
		    mh_str_eq(room->events[i]->state_key, key->state_key))
			return room->events[i];
	return NULL;
}

static size_t types_of(const struct mh_event *event, struct mh_state_key *out,
		       struct mh_strbuf *scratch)
{
	return mh_event_auth_types(event->rules, event->type, event->state_key,
				   event->sender, event->content, out, scratch);
}

/* Only what the event's auth types name may be needed. */
static struct mh_verdict check_in(const struct room *room,
				  const struct mh_event *event,
				  bool signed_by_authoriser)
{
	MH_STRBUF(scratch);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n = types_of(event, types, &scratch);
	struct mh_auth_state state = { .n = 0 };

	for (size_t i = 0; i < n; i++)
		mh_auth_state_add(&state, room_get(room, &types[i]));
	return mh_event_auth_check(event, &state, signed_by_authoriser);
}

static void expect(const struct mh_verdict *verdict, const char *reason,
		   const char *name, const char *version)
{
	if (!reason && !verdict->accepted)
		fail_msg("version %s, %s: rejected: %s", version, name,
			 verdict->reason);
	if (!reason) {
		assert_int_equal(verdict->reason[0], '\0');
		return;
	}
	if (verdict->accepted)
		fail_msg("version %s, %s: accepted", version, name);
	if (!strstr(verdict->reason, reason))
		fail_msg("version %s, %s: rejected for another reason: %s",
			 version, name, verdict->reason);
}

static void run_case(const struct auth_case *c, const char *version,
		     bool signed_by_authoriser)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event =
		fixture_event_text(fixture_rules(version), c->event);
	struct mh_verdict verdict;
	struct room room;

	room_init(&room, version, c->with);
	verdict = check_in(&room, event, signed_by_authoriser);
	room_release(&room);
	expect(&verdict, c->reason, c->name, version);
}

static void run_cases(const struct auth_case *cases, size_t n,
		      bool signed_by_authoriser)
{
	for (size_t i = 0; i < n; i++)
		for (int v = cases[i].first; v <= cases[i].last; v++)
			run_case(&cases[i],
				 mh_room_rules_at((size_t)v - 1)->version,
				 signed_by_authoriser);
}

static void every_rule_in_every_version(void **state)
{
	(void)state;
	run_cases(auth_cases, MH_ARRAY_LEN(auth_cases), true);
	run_cases(unsigned_cases, MH_ARRAY_LEN(unsigned_cases), false);
}

/* --- third-party invites ------------------------------------------------ */

struct third_party {
	const char *name;
	const char *key; /* where the m.room.third_party_invite has it */
	const char *mxid, *token, *state_token;
	const char *sender; /* of both, alice unless given here for one */
	const char *reason;
	bool forged;
};

#define IN_KEY "{'public_key':'%s'}"
#define IN_KEYS "{'public_keys':[{'public_key':'bm8'},{'public_key':'%s'}]}"

static const struct third_party third_parties[] = {
	{ .name = "signed by the key", .key = IN_KEY },
	{ .name = "signed by one of the keys", .key = IN_KEYS },
	{ .name = "a token with a character that JSON escapes",
	  .key = IN_KEY,
	  .token = "t\\\"k",
	  .state_token = "t\\\"k" },
	{ .name = "signed by another key",
	  .key = IN_KEY,
	  .forged = true,
	  .reason = "no key of the third-party invite" },
	{ .name = "the invite has no key",
	  .key = "{'key':'%s'}",
	  .reason = "no key of the third-party invite" },
	{ .name = "mxid of somebody else",
	  .key = IN_KEY,
	  .mxid = "@kim:k",
	  .reason = "'mxid' is not the invited user" },
	{ .name = "an unknown token",
	  .key = IN_KEY,
	  .state_token = "other",
	  .reason = "no third-party invite has this token" },
	{ .name = "accepted through another user than invited",
	  .key = IN_KEY,
	  .sender = "@bob:b",
	  .reason = "another user sent the third-party invite" },
};

static void signer_of(unsigned char seed, struct mh_signer *signer)
{
	unsigned char seeds[MH_ED25519_SEED] = { seed };

	mh_signer_init(signer, MH_STR("id.example"), MH_STR("ed25519:0"),
		       seeds);
}

static void add_signed(const struct third_party *c, struct mh_strbuf *out)
{
	struct mh_signer signer;
	MH_STRBUF(text);
	MH_STRBUF(canonical);
	MH_ERROR(err);

	mh_strbuf_addf(&text, "{\"mxid\":\"%s\",\"token\":\"%s\"}",
		       c->mxid ? c->mxid : "@zoe:z",
		       c->token ? c->token : "tok");
	assert_int_equal(mh_canonical_json(mh_strbuf_str(&text), MH_JSON_STRICT,
					   &canonical, &err),
			 0);
	signer_of(c->forged ? 9 : 1, &signer);
	assert_int_equal(
		mh_sign_json(&signer, mh_strbuf_str(&canonical), out, &err), 0);
	mh_signer_release(&signer);
}

/* The state: a third-party invite by @alice:a with the key of signer 1. */
static void add_third_party_state(const struct third_party *c,
				  struct mh_strbuf *out)
{
	struct mh_signer signer;
	MH_STRBUF(key);
	struct mh_str content = mh_str(c->key);
	ptrdiff_t at = mh_str_find(content, '%');

	signer_of(1, &signer);
	mh_base64_encode(MH_BASE64_STD, signer.public_key, MH_ED25519_PUBLIC,
			 &key);
	mh_signer_release(&signer);
	mh_strbuf_addf(out,
		       "[{'type':'m.room.third_party_invite','key':'%s',"
		       "'content':%.*s%s%s}]",
		       c->state_token ? c->state_token : "tok", (int)at,
		       content.data, key.data, content.data + at + 2);
}

static void run_third_party(const struct third_party *c, const char *version,
			    const char *more_state, const char *reason)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	MH_STRBUF(with);
	MH_STRBUF(text);
	struct mh_verdict verdict;
	struct room room;

	add_third_party_state(c, &with);
	if (more_state) {
		mh_strbuf_truncate(&with, with.len - 1);
		mh_strbuf_addf(&with, ",%s]", more_state);
	}
	mh_strbuf_addf(&text,
		       "{'type':'m.room.member','key':'@zoe:z','sender':'%s',"
		       "'content':{'membership':'invite','third_party_invite':"
		       "{'display_name':'z','signed':",
		       c->sender ? c->sender : "@alice:a");
	add_signed(c, &text);
	mh_strbuf_addlit(&text, "}}}");
	event = fixture_event_text(fixture_rules(version), text.data);
	room_init(&room, version, with.data);
	verdict = check_in(&room, event, true);
	room_release(&room);
	expect(&verdict, reason, c->name, version);
}

static void third_party_invites_are_signed(void **state)
{
	(void)state;
	for (size_t v = 0; mh_room_rules_at(v); v++) {
		const char *version = mh_room_rules_at(v)->version;

		for (size_t i = 0; i < MH_ARRAY_LEN(third_parties); i++)
			run_third_party(&third_parties[i], version, NULL,
					third_parties[i].reason);
		/* The token counts, not that the inviter is still there. */
		run_third_party(&third_parties[0], version,
				MEMBER("@alice:a", "@alice:a", "leave"), NULL);
		run_third_party(&third_parties[0], version,
				MEMBER("@alice:a", "@zoe:z", "ban"),
				"the invited user is banned");
	}
}

/* --- auth events -------------------------------------------------------- */

struct selection {
	const struct mh_event *events[MH_EVENT_MAX_AUTH];
	bool rejected[MH_EVENT_MAX_AUTH];
	size_t n;
	const struct mh_event *create;
};

/* What a well-behaved server puts into auth_events. */
static void select_from(const struct room *room, const struct mh_event *event,
			struct selection *out)
{
	MH_STRBUF(scratch);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n = types_of(event, types, &scratch);

	*out = (struct selection){ .create = room_get(room, &types[0]) };
	for (size_t i = 0; i < n; i++) {
		const struct mh_event *found = room_get(room, &types[i]);

		if (found &&
		    !(room->rules->room_id_is_create && found == out->create))
			out->events[out->n++] = found;
	}
}

static void expect_selection(const struct mh_event *event,
			     const struct selection *selection,
			     const char *reason, const char *name)
{
	struct mh_verdict verdict =
		mh_event_auth_events_check(event, selection->events,
					   selection->rejected, selection->n,
					   selection->create, true);

	expect(&verdict, reason, name, event->rules->version);
}

static void with_extra(const struct mh_event *event,
		       const struct selection *selection, const char *extra,
		       const char *reason, const char *name)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *more = fixture_event_text(event->rules, extra);
	struct selection changed = *selection;

	changed.events[changed.n++] = more;
	expect_selection(event, &changed, reason, name);
}

static void check_selections(const struct room *room)
{
	bool v12 = room->rules->room_id_is_create;
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *message =
		fixture_event_text(room->rules, "{'type':'m.room.message',"
						"'sender':'@bob:b'}");
	struct selection good, bad;

	select_from(room, message, &good);
	assert_int_equal(good.n, v12 ? 2 : 3);
	expect_selection(message, &good, NULL, "the selected events");

	with_extra(message, &good, MEMBER("@bob:b", "@bob:b", "join"),
		   "two auth_events", "the same key twice");
	with_extra(message, &good, MEMBER("@carol:c", "@carol:c", "join"),
		   "does not belong", "a member who has no part in it");
	with_extra(message, &good, JOIN_RULE("public"), "does not belong",
		   "join rules for a message");
	with_extra(message, &good, "{'type':'m.room.message'}",
		   "does not belong", "a message as auth event");

	bad = good;
	bad.rejected[1] = true;
	expect_selection(message, &bad, "was rejected", "a rejected one");

	/* The last is bob's membership: it is of the room or of none. */
	bad = good;
	bad.n--;
	expect_selection(message, &bad, "not joined", "no membership");
	with_extra(message, &bad,
		   "{'type':'m.room.member','key':'@bob:b','sender':'@bob:b',"
		   "'room':'!other:a','content':{'membership':'join'}}",
		   "another room", "a membership of another room");

	/* The first is the create event, where it is selected. */
	bad = good;
	if (v12) {
		bad.create = NULL;
		expect_selection(message, &bad, "no create event",
				 "no accepted create event");
		bad = good;
		bad.events[bad.n++] = good.create;
		expect_selection(message, &bad, "does not belong",
				 "the create event in version 12");
	} else {
		bad.events[0] = good.events[--bad.n];
		expect_selection(message, &bad, "no create event among",
				 "no create event");
	}
}

static void auth_events_are_the_selected_ones(void **state)
{
	(void)state;
	for (size_t v = 0; mh_room_rules_at(v); v++) {
		struct room room;

		room_init(&room, mh_room_rules_at(v)->version, NULL);
		check_selections(&room);
		room_release(&room);
	}
}

static void the_create_event_needs_no_auth_events(void **state)
{
	(void)state;
	for (size_t v = 0; mh_room_rules_at(v); v++) {
		MH_CLEANUP(mh_event_unrefp)
		struct mh_event *create = fixture_create(mh_room_rules_at(v));
		struct selection none = { .n = 0 };

		expect_selection(create, &none, NULL, "a create event");
	}
}

/* --- auth types --------------------------------------------------------- */

static void assert_types(const char *version, const char *text,
			 const char *expected)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event =
		fixture_event_text(fixture_rules(version), text);
	MH_STRBUF(scratch);
	MH_STRBUF(list);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n = types_of(event, types, &scratch);

	for (size_t i = 0; i < n; i++)
		mh_strbuf_addf(&list, "%.*s|%.*s ", MH_STR_ARG(types[i].type),
			       MH_STR_ARG(types[i].state_key));
	assert_string_equal(list.data, expected);
}

#define COMMON "m.room.create| m.room.power_levels| "
#define BY(user) "m.room.member|" user " "

static void auth_types_follow_the_selection(void **state)
{
	(void)state;
	assert_types("11", "{'type':'m.room.create','key':''}", "");
	assert_types("11", "{'type':'m.room.message'}", COMMON BY("@alice:a"));
	assert_types("11", "{'type':'m.room.power_levels','key':''}",
		     COMMON BY("@alice:a"));
	assert_types("11", MEMBER("@bob:b", "@bob:b", "leave"),
		     COMMON BY("@bob:b"));
	assert_types("11", MEMBER("@bob:b", "@carol:c", "ban"),
		     COMMON BY("@bob:b") BY("@carol:c"));
	assert_types("11", MEMBER("@bob:b", "@bob:b", "join"),
		     COMMON BY("@bob:b") "m.room.join_rules| ");
	assert_types("11", MEMBER("@bob:b", "@bob:b", "knock"),
		     COMMON BY("@bob:b") "m.room.join_rules| ");
	assert_types("11", MEMBER("@bob:b", "@carol:c", "invite"),
		     COMMON BY("@bob:b") BY("@carol:c") "m.room.join_rules| ");
	assert_types("7", MEMBER_BY("@zoe:z", "@bob:b"),
		     COMMON BY("@zoe:z") "m.room.join_rules| ");
	assert_types("8", MEMBER_BY("@zoe:z", "@bob:b"),
		     COMMON BY("@zoe:z") "m.room.join_rules| " BY("@bob:b"));
	assert_types("8", MEMBER_BY("@zoe:z", "@b\\\"ob:b"),
		     COMMON BY("@zoe:z") "m.room.join_rules| " BY("@b\"ob:b"));
	assert_types("11",
		     "{'type':'m.room.member','key':'@zoe:z','content':{"
		     "'membership':'invite','third_party_invite':{'signed':{"
		     "'token':'t\\\\k'}}}}",
		     COMMON BY("@alice:a") BY("@zoe:z") "m.room.join_rules| "
							"m.room.third_party_"
							"invite|t\\k ");
	/* Nonsense selects nothing more, and is for the rules to reject. */
	assert_types("11",
		     "{'type':'m.room.member','key':'@zoe:z','content':{"
		     "'membership':'invite','third_party_invite':[]}}",
		     COMMON BY("@alice:a") BY("@zoe:z") "m.room.join_rules| ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_in_every_version),
		cmocka_unit_test(third_party_invites_are_signed),
		cmocka_unit_test(auth_events_are_the_selected_ones),
		cmocka_unit_test(the_create_event_needs_no_auth_events),
		cmocka_unit_test(auth_types_follow_the_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
