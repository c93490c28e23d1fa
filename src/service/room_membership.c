/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization rules in core decide whether a membership may change. Here
 * is what they leave open: who is told what when nothing would change, the
 * profile in the content, restricted joins, and what an invitee wants.
 */
#include "service/room_membership.h"

#include "service/member_content.h"
#include "service/notifier.h"
#include "service/room_head.h"

struct change {
	struct mh_server *server;
	struct mh_tx *tx;
	struct mh_db *db;
	struct mh_room_head *head;
	const struct mh_member_change *asked;
	enum mh_membership now;	    /* the target's */
	struct mh_str authoriser;   /* of a restricted join; or empty */
	struct mh_strbuf authoriser_buf;
};

static const char *membership_of(enum mh_member_action action)
{
	switch (action) {
	case MH_MEMBER_JOIN:
		return "join";
	case MH_MEMBER_INVITE:
		return "invite";
	case MH_MEMBER_BAN:
		return "ban";
	case MH_MEMBER_KNOCK:
		return "knock";
	case MH_MEMBER_LEAVE:
	case MH_MEMBER_KICK:
	case MH_MEMBER_UNBAN:
		break;
	}
	return "leave";
}

/* --- restricted joins ("Restricted rooms") ------------------------------------ */

static bool is_restricted(const struct mh_room_head *head)
{
	struct mh_str rule = MH_STR_NONE;

	if (head->join_rules)
		rule = mh_json_slice(head->join_rules->content, "join_rule");
	return (head->rules->restricted_join &&
		mh_str_is(rule, "\"restricted\"")) ||
	       (head->rules->knock_restricted &&
		mh_str_is(rule, "\"knock_restricted\""));
}

/* One condition of `allow`. 1, 0, -1. */
static int condition_met(struct change *c, const json_t *condition, mh_nid user,
			 struct mh_error *err)
{
	struct mh_str type = mh_json_str(json_object_get(condition, "type"));
	struct mh_str id = mh_json_str(json_object_get(condition, "room_id"));
	struct mh_member member = { 0 };
	mh_nid room;
	int rc;

	if (!mh_str_is(type, "m.room_membership") || !id.data)
		return 0;
	rc = mh_room_find(c->db, id, &room, err);
	if (rc > 0)
		rc = mh_member_get(c->db, room, user, &member, err);
	if (rc <= 0)
		return rc;
	return member.membership == MH_MEMBERSHIP_JOIN;
}

static int any_condition_met(struct change *c, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	mh_nid user = mh_name_find(c->db, c->asked->target, err);
	const json_t *condition;
	size_t i;

	if (user <= 0)
		return (int)user;
	if (mh_json_parse_object(c->head->join_rules->content, &content, err) <
	    0)
		return -1;
	json_array_foreach(json_object_get(content, "allow"), i, condition) {
		int rc = condition_met(c, condition, user, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

struct search {
	struct change *change;
	int64_t needed;
	bool found, failed;
	struct mh_error *err;
};

static int try_authoriser(void *context, const struct mh_member *member)
{
	struct search *search = context;
	struct change *c = search->change;

	if (!member->local)
		return 1;
	mh_strbuf_clear(&c->authoriser_buf);
	if (mh_name_get(c->db, member->user, &c->authoriser_buf, search->err) <
	    0) {
		search->failed = true;
		return 0;
	}
	search->found = mh_power_of_user(c->head->levels,
					 mh_strbuf_str(&c->authoriser_buf)) >=
			search->needed;
	return !search->found;
}

/* A local user who could have invited. Those who came first are asked first. */
static int find_authoriser(struct change *c, struct mh_error *err)
{
	struct search search = {
		.change = c,
		.needed = mh_power_for_action(c->head->levels,
					      MH_POWER_INVITE),
		.err = err,
	};

	if (mh_member_list(c->db, c->asked->room, MH_MEMBERSHIP_JOIN,
			   try_authoriser, &search, err) < 0 ||
	    search.failed)
		return -1;
	if (!search.found)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "nobody of this server may let you into the "
			       "room");
	c->authoriser = mh_strbuf_str(&c->authoriser_buf);
	return 0;
}

static int authorise_join(struct change *c, struct mh_error *err)
{
	int rc;

	if (c->now == MH_MEMBERSHIP_JOIN || c->now == MH_MEMBERSHIP_INVITE ||
	    c->now == MH_MEMBERSHIP_BAN || !is_restricted(c->head))
		return 0;
	rc = any_condition_met(c, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "you are not in any of the rooms whose members "
			       "may join");
	return find_authoriser(c, err);
}

/* --- guests ------------------------------------------------------------------- */

static int check_guest(struct change *c, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	int rc;

	if (!c->asked->sender_is_guest)
		return 0;
	rc = mh_room_head_event(c->server, c->tx, c->head,
				MH_STR("m.room.guest_access"), MH_STR(""),
				&event, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || !mh_str_is(mh_json_slice(event->content, "guest_access"),
				  "\"can_join\""))
		return mh_fail(err, MH_M_GUEST_ACCESS_FORBIDDEN,
			       "guests may not join this room");
	return 0;
}

/* --- before the rules ----------------------------------------------------------- */

/* 1: go on; 0: it is so already; -1. */
static int check_self(struct change *c, struct mh_error *err)
{
	switch (c->asked->action) {
	case MH_MEMBER_JOIN:
		if (c->now == MH_MEMBERSHIP_JOIN)
			return 0;
		if (check_guest(c, err) < 0)
			return -1;
		return authorise_join(c, err) < 0 ? -1 : 1;
	case MH_MEMBER_LEAVE:
		if (c->now == MH_MEMBERSHIP_NONE)
			return mh_fail(err, MH_M_FORBIDDEN,
				       "you are not in that room");
		return c->now != MH_MEMBERSHIP_LEAVE;
	default:
		return c->now != MH_MEMBERSHIP_KNOCK;
	}
}

static int check_other(struct change *c, struct mh_error *err)
{
	struct mh_str target = c->asked->target;

	switch (c->asked->action) {
	case MH_MEMBER_INVITE:
		if (mh_invite_allowed(c->server, c->db, c->asked->sender,
				      target, err) < 0)
			return -1;
		return c->now != MH_MEMBERSHIP_INVITE;
	case MH_MEMBER_KICK:
		if (c->now == MH_MEMBERSHIP_JOIN ||
		    c->now == MH_MEMBERSHIP_INVITE ||
		    c->now == MH_MEMBERSHIP_KNOCK)
			return 1;
		return mh_fail(err, MH_M_FORBIDDEN, "'%.*s' is not in the room",
			       MH_STR_ARG(target));
	case MH_MEMBER_UNBAN:
		if (c->now == MH_MEMBERSHIP_BAN)
			return 1;
		return mh_fail_status(err, 403, MH_M_BAD_STATE,
				      "'%.*s' is not banned",
				      MH_STR_ARG(target));
	default:
		return c->now != MH_MEMBERSHIP_BAN;
	}
}

static bool is_about_self(enum mh_member_action action)
{
	return action == MH_MEMBER_JOIN || action == MH_MEMBER_LEAVE ||
	       action == MH_MEMBER_KNOCK;
}

/*
 * Whoever may not act is told so, before the answer that nothing would change
 * tells them who is in the room.
 */
static int check_sender(struct change *c, struct mh_error *err)
{
	enum mh_membership sender;

	if (is_about_self(c->asked->action))
		return 0;
	if (mh_room_head_membership(c->server, c->tx, c->head, c->asked->sender,
				    &sender, err) < 0)
		return -1;
	if (sender != MH_MEMBERSHIP_JOIN)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	return 0;
}

/* With a content of the client's, only what protects others is checked. */
static int check_with_content(struct change *c, struct mh_error *err)
{
	switch (c->asked->action) {
	case MH_MEMBER_JOIN:
		if (check_guest(c, err) < 0 || authorise_join(c, err) < 0)
			return -1;
		return 1;
	case MH_MEMBER_INVITE:
		if (mh_invite_allowed(c->server, c->db, c->asked->sender,
				      c->asked->target, err) < 0)
			return -1;
		return 1;
	default:
		return 1;
	}
}

static int check(struct change *c, struct mh_error *err)
{
	if (check_sender(c, err) < 0)
		return -1;
	if (c->asked->content)
		return check_with_content(c, err);
	return is_about_self(c->asked->action) ? check_self(c, err) :
						 check_other(c, err);
}

/* --- the event -------------------------------------------------------------------- */

static int send(struct change *c, struct mh_event_row *ret_row,
		struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	const struct mh_member_change *asked = c->asked;
	struct mh_new_event draft = {
		.room = asked->room,
		.sender = asked->sender,
		.type = MH_STR("m.room.member"),
		.state_key = asked->target,
	};
	MH_STRBUF(text);

	content = asked->content ? json_copy((json_t *)(uintptr_t)
						     asked->content) :
				   json_object();
	json_object_set_new(content, "membership",
			    json_string(membership_of(asked->action)));
	if (asked->reason.len)
		json_object_set_new(content, "reason",
				    mh_json_new_str(asked->reason));
	if (asked->is_direct)
		json_object_set_new(content, "is_direct", json_true());
	/* Who vouches is for this server to say. */
	json_object_del(content, "join_authorised_via_users_server");
	if (c->authoriser.len)
		json_object_set_new(content, "join_authorised_via_users_server",
				    mh_json_new_str(c->authoriser));
	if (!asked->content && (asked->action == MH_MEMBER_JOIN ||
				asked->action == MH_MEMBER_INVITE ||
				asked->action == MH_MEMBER_KNOCK) &&
	    mh_member_add_profile(c->server, c->db, asked->target, content,
				  err) < 0)
		return -1;
	mh_json_add(&text, content);
	draft.content = mh_strbuf_str(&text);
	return mh_room_send(c->server, c->tx, &draft, ret_row, err);
}

int mh_room_change_member(struct mh_server *server, struct mh_tx *tx,
			  const struct mh_member_change *change,
			  struct mh_event_row *ret_row, struct mh_error *err)
{
	struct change c = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.asked = change,
		.authoriser_buf = MH_STRBUF_INIT,
	};
	int rc;

	if (!mh_user_id_valid(change->target))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%.*s' is not a user ID",
			       MH_STR_ARG(change->target));
	if (mh_room_head_get(server, tx, change->room, &c.head, err) < 0 ||
	    mh_room_head_membership(server, tx, c.head, change->target, &c.now,
				    err) < 0)
		return -1;
	rc = check(&c, err);
	if (rc > 0)
		rc = send(&c, ret_row, err);
	mh_strbuf_release(&c.authoriser_buf);
	return rc;
}

int mh_member_action_of(const json_t *content, struct mh_str sender,
			struct mh_str target, enum mh_member_action *ret,
			struct mh_error *err)
{
	struct mh_str membership;
	bool self = mh_str_eq(sender, target);

	if (mh_json_need_str(content, "membership", &membership, err) < 0)
		return -1;
	switch (mh_membership_from(membership)) {
	case MH_MEMBERSHIP_JOIN:
		*ret = MH_MEMBER_JOIN;
		return 0;
	case MH_MEMBERSHIP_INVITE:
		*ret = MH_MEMBER_INVITE;
		return 0;
	case MH_MEMBERSHIP_KNOCK:
		*ret = MH_MEMBER_KNOCK;
		return 0;
	case MH_MEMBERSHIP_BAN:
		*ret = MH_MEMBER_BAN;
		return 0;
	case MH_MEMBERSHIP_LEAVE:
		*ret = self ? MH_MEMBER_LEAVE : MH_MEMBER_KICK;
		return 0;
	case MH_MEMBERSHIP_NONE:
		break;
	}
	return mh_fail(err, MH_M_BAD_JSON, "'%.*s' is not a membership",
		       MH_STR_ARG(membership));
}

int mh_room_forget(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		   mh_nid user, struct mh_error *err)
{
	struct mh_member member = { 0 };
	int rc = mh_member_get(mh_tx_db(tx), room, user, &member, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "you were never in that room");
	if (member.membership != MH_MEMBERSHIP_LEAVE &&
	    member.membership != MH_MEMBERSHIP_BAN)
		return mh_fail_status(err, 400, MH_M_UNKNOWN,
				      "leave the room before forgetting it");
	if (member.forgotten)
		return 0;
	if (mh_member_forget(tx, room, user, err) < 0)
		return -1;
	return mh_notify_membership(tx, server, room, user, err);
}
