/* SPDX-License-Identifier: Apache-2.0 */
#include "service/room_client_send.h"

#include "core/relation.h"
#include "service/room_head.h"
#include "service/room_membership.h"
#include "store/relations.h"

struct send {
	struct mh_server *server;
	struct mh_tx *tx;
	struct mh_db *db;
	struct mh_room_head *head;
	const struct mh_client_event *asked;
	struct mh_strbuf content; /* canonical */
};

/* --- power levels ------------------------------------------------------------- */

static int check_level(const char *key, const json_t *value,
		       struct mh_error *err)
{
	if (value && !json_is_integer(value))
		return mh_fail(err, MH_M_BAD_JSON,
			       "'%.100s' must be an integer", key);
	return 0;
}

static int check_levels_of(const json_t *content, const char *key,
			   struct mh_error *err)
{
	const json_t *levels = json_object_get(content, key), *value;
	const char *name;

	if (!levels)
		return 0;
	if (!json_is_object(levels))
		return mh_fail(err, MH_M_BAD_JSON, "'%s' must be an object",
			       key);
	json_object_foreach((json_t *)(uintptr_t)levels, name, value)
		if (check_level(name, value, err) < 0)
			return -1;
	return 0;
}

int mh_power_levels_check(const json_t *content, struct mh_error *err)
{
	static const char *const levels[] = {
		"ban",	  "events_default", "invite",	     "kick",
		"redact", "state_default",  "users_default",
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(levels); i++)
		if (check_level(levels[i], json_object_get(content, levels[i]),
				err) < 0)
			return -1;
	if (check_levels_of(content, "events", err) < 0 ||
	    check_levels_of(content, "notifications", err) < 0)
		return -1;
	return check_levels_of(content, "users", err);
}

/* --- aliases ------------------------------------------------------------------- */

static bool lists_alias(const json_t *content, struct mh_str alias)
{
	const json_t *value;
	size_t i;

	if (mh_str_eq(mh_json_str(json_object_get(content, "alias")), alias))
		return true;
	json_array_foreach(json_object_get(content, "alt_aliases"), i, value)
		if (mh_str_eq(mh_json_str(value), alias))
			return true;
	return false;
}

/* Only those that are new are checked; `current` may be NULL. */
static int check_alias(struct send *s, const json_t *current,
		       const json_t *value, struct mh_error *err)
{
	struct mh_str alias = mh_json_str(value);
	mh_nid room = 0, creator;
	int rc = 0;

	if (!alias.data)
		return mh_fail(err, MH_M_BAD_JSON, "an alias must be a string");
	if (current && lists_alias(current, alias))
		return 0;
	if (!mh_room_alias_valid(alias))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%.*s' is not a room alias",
			       MH_STR_ARG(alias));
	if (mh_server_owns(s->server, alias))
		rc = mh_alias_get(s->db, alias, &room, &creator, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || room != s->asked->room)
		return mh_fail(err, MH_M_BAD_ALIAS,
			       "the alias '%.*s' does not point to this room",
			       MH_STR_ARG(alias));
	return 0;
}

static int check_aliases(struct send *s, const json_t *current,
			 struct mh_error *err)
{
	const json_t *alias = json_object_get(s->asked->content, "alias");
	const json_t *others = json_object_get(s->asked->content,
					       "alt_aliases");
	const json_t *value;
	size_t i;

	if (alias && !json_is_null(alias) &&
	    !(json_is_string(alias) && !json_string_length(alias)) &&
	    check_alias(s, current, alias, err) < 0)
		return -1;
	if (others && !json_is_null(others) && !json_is_array(others))
		return mh_fail(err, MH_M_BAD_JSON,
			       "'alt_aliases' must be an array");
	json_array_foreach(others, i, value)
		if (check_alias(s, current, value, err) < 0)
			return -1;
	return 0;
}

static int check_canonical_alias(struct send *s, const struct mh_event *now,
				 struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *current = NULL;

	if (now && mh_json_parse_object(now->content, &current, err) < 0)
		return -1;
	return check_aliases(s, current, err);
}

/* --- state events ---------------------------------------------------------------- */

static int sender_is_joined(struct send *s, bool *ret, struct mh_error *err)
{
	enum mh_membership membership;

	if (mh_room_head_membership(s->server, s->tx, s->head, s->asked->sender,
				    &membership, err) < 0)
		return -1;
	*ret = membership == MH_MEMBERSHIP_JOIN;
	return 0;
}

/* 1: the same person set the very same before; 0; -1. */
static int changes_nothing(struct send *s, const struct mh_event *now,
			   struct mh_error *err)
{
	bool joined;

	if (!now || !mh_str_eq(now->sender, s->asked->sender) ||
	    !mh_str_eq(now->content, mh_strbuf_str(&s->content)))
		return 0;
	if (sender_is_joined(s, &joined, err) < 0)
		return -1;
	return joined;
}

static int send_draft(struct send *s, struct mh_str redacts,
		      struct mh_event_row *ret_row, struct mh_error *err)
{
	struct mh_new_event draft = {
		.room = s->asked->room,
		.sender = s->asked->sender,
		.type = s->asked->type,
		.state_key = s->asked->state_key,
		.content = mh_strbuf_str(&s->content),
		.redacts = redacts,
	};

	return mh_room_send(s->server, s->tx, &draft, ret_row, err);
}

static int send_state(struct send *s, struct mh_event_row *ret_row,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *now = NULL;
	const struct mh_client_event *asked = s->asked;
	int rc;

	if (mh_str_is(asked->type, "m.room.redaction"))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "a redaction is not a state event");
	if (mh_str_is(asked->type, "m.room.create"))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "a room is created only once");
	if (mh_room_head_event(s->server, s->tx, s->head, asked->type,
			       asked->state_key, &now, err) < 0)
		return -1;
	if (mh_str_is(asked->type, "m.room.power_levels") &&
	    mh_power_levels_check(asked->content, err) < 0)
		return -1;
	if (mh_str_is(asked->type, "m.room.canonical_alias") &&
	    check_canonical_alias(s, now, err) < 0)
		return -1;
	rc = changes_nothing(s, now, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return send_draft(s, MH_STR_NONE, ret_row, err);
	ret_row->room = asked->room;
	ret_row->event = MH_TAKE(now);
	return 0;
}

static int send_member(struct send *s, struct mh_event_row *ret_row,
		       struct mh_error *err)
{
	struct mh_member_change change = {
		.room = s->asked->room,
		.sender = s->asked->sender,
		.sender_is_guest = s->asked->sender_is_guest,
		.target = s->asked->state_key,
		.content = s->asked->content,
	};

	if (mh_member_action_of(s->asked->content, s->asked->sender,
				s->asked->state_key, &change.action, err) < 0)
		return -1;
	return mh_room_change_member(s->server, s->tx, &change, ret_row, err);
}

/* --- redactions -------------------------------------------------------------------- */

/*
 * Servers let all of their users redact each other's events (rooms/v3.md); the
 * client-server API is stricter: one's own, or with the redact level.
 */
static int may_redact(struct send *s, const struct mh_event_row *target,
		      struct mh_error *err)
{
	struct mh_str sender = s->asked->sender;

	/* Without their content nobody could make sense of the room. */
	if (mh_event_is(target->event, "m.room.create", NULL) ||
	    mh_event_is(target->event, "m.room.server_acl", NULL))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "'%.*s' events may not be redacted",
			       MH_STR_ARG(target->event->type));
	if (mh_str_eq(target->event->sender, sender) ||
	    mh_power_of_user(s->head->levels, sender) >=
		    mh_power_for_action(s->head->levels, MH_POWER_REDACT))
		return 0;
	return mh_fail(err, MH_M_FORBIDDEN,
		       "you may not redact the events of others");
}

static int check_redaction(struct send *s, struct mh_str redacts,
			   struct mh_error *err)
{
	struct mh_event_row target = { 0 };
	bool joined;
	int rc;

	if (sender_is_joined(s, &joined, err) < 0)
		return -1;
	if (!joined)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	rc = mh_events_get(s->db, redacts, &target, err);
	if (rc > 0 && (target.room != s->asked->room ||
		       target.flags & MH_EVENT_REJECTED))
		rc = 0;
	if (rc == 0)
		rc = mh_fail(err, MH_M_NOT_FOUND, "no such event in this room");
	if (rc > 0)
		rc = may_redact(s, &target, err);
	mh_event_row_release(&target);
	return rc < 0 ? -1 : 0;
}

static int send_redaction(struct send *s, struct mh_str redacts,
			  struct mh_event_row *ret_row, struct mh_error *err)
{
	if (check_redaction(s, redacts, err) < 0)
		return -1;
	return send_draft(s, redacts, ret_row, err);
}

/* PUT send: the target stands in the content, whatever the version. */
static int send_redaction_of_content(struct send *s,
				     struct mh_event_row *ret_row,
				     struct mh_error *err)
{
	struct mh_str redacts;
	struct mh_json_iter it;
	MH_STRBUF(rest);

	if (mh_json_need_str(s->asked->content, "redacts", &redacts, err) < 0)
		return -1;
	mh_strbuf_addch(&rest, '{');
	for (mh_json_iter_init(&it, mh_strbuf_str(&s->content));
	     mh_json_iter_next(&it);) {
		if (mh_str_is(it.key, "redacts"))
			continue;
		mh_json_add_comma(&rest);
		mh_strbuf_addstr(&rest, it.member);
	}
	mh_strbuf_addch(&rest, '}');
	mh_strbuf_clear(&s->content);
	mh_strbuf_addstr(&s->content, mh_strbuf_str(&rest));
	return send_redaction(s, redacts, ret_row, err);
}

/* --- messages ----------------------------------------------------------------------- */

/* "Avoiding duplicate annotations". */
static int check_annotation(struct send *s, const struct mh_relation *relation,
			    struct mh_error *err)
{
	mh_nid type, sender;
	int rc;

	if (!mh_str_is(mh_strbuf_str(&relation->rel_type), "m.annotation") ||
	    !relation->has_key)
		return 0;
	type = mh_name_find(s->db, s->asked->type, err);
	sender = mh_name_find(s->db, s->asked->sender, err);
	if (type <= 0 || sender <= 0)
		return type < 0 || sender < 0 ? -1 : 0;
	rc = mh_relations_annotated(s->db, mh_strbuf_str(&relation->event_id),
				    type, sender, mh_strbuf_str(&relation->key),
				    err);
	if (rc > 0)
		return mh_fail(err, MH_M_DUPLICATE_ANNOTATION,
			       "you sent this annotation already");
	return rc;
}

static int send_message(struct send *s, struct mh_event_row *ret_row,
			struct mh_error *err)
{
	struct mh_relation relation = MH_RELATION_INIT;
	int rc = 0;

	if (mh_relation_read(mh_strbuf_str(&s->content), &relation))
		rc = check_annotation(s, &relation, err);
	mh_relation_release(&relation);
	if (rc < 0)
		return -1;
	return send_draft(s, MH_STR_NONE, ret_row, err);
}

/* --- the ways in ----------------------------------------------------------------------- */

static int prepare(struct send *s, struct mh_error *err)
{
	if (mh_room_head_get(s->server, s->tx, s->asked->room, &s->head, err) <
	    0)
		return -1;
	if (s->asked->text.len)
		return mh_canonical_json(s->asked->text, s->head->rules->json,
					 &s->content, err);
	return mh_canonical_json_value(s->asked->content, s->head->rules->json,
				       &s->content, err);
}

static int dispatch(struct send *s, struct mh_event_row *ret_row,
		    struct mh_error *err)
{
	const struct mh_client_event *asked = s->asked;

	if (!asked->state_key.data)
		return mh_str_is(asked->type, "m.room.redaction") ?
			       send_redaction_of_content(s, ret_row, err) :
			       send_message(s, ret_row, err);
	return mh_str_is(asked->type, "m.room.member") ?
		       send_member(s, ret_row, err) :
		       send_state(s, ret_row, err);
}

int mh_room_client_send(struct mh_server *server, struct mh_tx *tx,
			const struct mh_client_event *event,
			struct mh_event_row *ret_row, struct mh_error *err)
{
	struct send s = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.asked = event,
		.content = MH_STRBUF_INIT,
	};
	int rc = prepare(&s, err);

	if (rc == 0)
		rc = dispatch(&s, ret_row, err);
	mh_strbuf_release(&s.content);
	return rc;
}

int mh_room_client_redact(struct mh_server *server, struct mh_tx *tx,
			  const struct mh_client_event *event,
			  struct mh_str redacts, struct mh_event_row *ret_row,
			  struct mh_error *err)
{
	struct send s = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.asked = event,
		.content = MH_STRBUF_INIT,
	};
	int rc = prepare(&s, err);

	if (rc == 0)
		rc = send_redaction(&s, redacts, ret_row, err);
	mh_strbuf_release(&s.content);
	return rc;
}
