/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redaction algorithm of each room version (rooms/v*.md, "Redactions"), over
 * canonical bytes: members that stay are copied, in the order they stand in, so
 * the result is canonical too.
 */
#include "core/event.h"

/* A bit for each generation of the rules; a key lists those that keep it. */
enum {
	V1 = 1 << MH_REDACTION_V1,
	V6 = 1 << MH_REDACTION_V6,
	V8 = 1 << MH_REDACTION_V8,
	V9 = 1 << MH_REDACTION_V9,
	V11 = 1 << MH_REDACTION_V11,
	ALL = V1 | V6 | V8 | V9 | V11,
};

struct kept {
	const char *type; /* NULL: a key of the event itself */
	const char *key;  /* NULL: the whole content */
	unsigned generations;
};

static const struct kept kept[] = {
	{ NULL, "event_id", ALL },
	{ NULL, "type", ALL },
	{ NULL, "room_id", ALL },
	{ NULL, "sender", ALL },
	{ NULL, "state_key", ALL },
	{ NULL, "content", ALL },
	{ NULL, "hashes", ALL },
	{ NULL, "signatures", ALL },
	{ NULL, "depth", ALL },
	{ NULL, "prev_events", ALL },
	{ NULL, "auth_events", ALL },
	{ NULL, "origin_server_ts", ALL },
	{ NULL, "prev_state", ALL & ~V11 },
	{ NULL, "origin", ALL & ~V11 },
	{ NULL, "membership", ALL & ~V11 },
	{ "m.room.member", "membership", ALL },
	{ "m.room.member", "join_authorised_via_users_server", V9 | V11 },
	{ "m.room.create", "creator", ALL & ~V11 },
	{ "m.room.create", NULL, V11 },
	{ "m.room.join_rules", "join_rule", ALL },
	{ "m.room.join_rules", "allow", V8 | V9 | V11 },
	{ "m.room.power_levels", "ban", ALL },
	{ "m.room.power_levels", "events", ALL },
	{ "m.room.power_levels", "events_default", ALL },
	{ "m.room.power_levels", "kick", ALL },
	{ "m.room.power_levels", "redact", ALL },
	{ "m.room.power_levels", "state_default", ALL },
	{ "m.room.power_levels", "users", ALL },
	{ "m.room.power_levels", "users_default", ALL },
	{ "m.room.power_levels", "invite", V11 },
	{ "m.room.aliases", "aliases", V1 },
	{ "m.room.history_visibility", "history_visibility", ALL },
	{ "m.room.redaction", "redacts", V11 },
};

static bool keeps(const struct mh_room_rules *rules, struct mh_str type,
		  struct mh_str key)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(kept); i++) {
		if (!(kept[i].generations & (1u << rules->redaction)))
			continue;
		if (type.data ? !kept[i].type || !mh_str_is(type, kept[i].type) :
				kept[i].type != NULL)
			continue;
		if (!kept[i].key || mh_str_is(key, kept[i].key))
			return true;
	}
	return false;
}

/*
 * third_party_invite keeps nothing but `signed` (version 11 and later). An
 * object without it stays as an empty one: event IDs depend on it, and the
 * other homeservers do so.
 */
static void add_third_party_invite(struct mh_str invite, struct mh_strbuf *out)
{
	struct mh_str proof = mh_json_slice(invite, "signed");

	if (invite.data[0] != '{')
		return;
	mh_json_add_key(out, MH_STR("third_party_invite"));
	mh_strbuf_addch(out, '{');
	if (proof.data) {
		mh_strbuf_addlit(out, "\"signed\":");
		mh_strbuf_addstr(out, proof);
	}
	mh_strbuf_addch(out, '}');
}

static void add_content(const struct mh_room_rules *rules, struct mh_str type,
			struct mh_str content, struct mh_strbuf *out)
{
	struct mh_json_iter it;

	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, content); mh_json_iter_next(&it);) {
		if (keeps(rules, type, it.key)) {
			mh_json_add_comma(out);
			mh_strbuf_addstr(out, it.member);
		} else if (rules->redaction == MH_REDACTION_V11 &&
			   mh_str_is(type, "m.room.member") &&
			   mh_str_is(it.key, "third_party_invite")) {
			add_third_party_invite(it.value, out);
		}
	}
	mh_strbuf_addch(out, '}');
}

void mh_event_redact_json(const struct mh_room_rules *rules, struct mh_str json,
			  struct mh_strbuf *out)
{
	struct mh_json_iter it;
	MH_STRBUF(type);

	if (!mh_json_unescape(mh_json_slice(json, "type"), &type))
		mh_strbuf_clear(&type);
	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, json); mh_json_iter_next(&it);) {
		if (!keeps(rules, MH_STR_NONE, it.key))
			continue;
		if (mh_str_is(it.key, "content")) {
			mh_json_add_key(out, it.key);
			add_content(rules, mh_strbuf_str(&type), it.value, out);
			continue;
		}
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	mh_strbuf_addch(out, '}');
}

struct mh_event *mh_event_redact(const struct mh_event *event)
{
	struct mh_event *redacted = NULL;
	MH_STRBUF(json);
	MH_ERROR(err);

	mh_event_redact_json(event->rules, event->json, &json);
	if (mh_event_load(event->rules, event->event_id, mh_strbuf_str(&json),
			  &redacted, &err) < 0)
		MH_ASSERT(!"a redacted event loads like the one it came from");
	return redacted;
}
