/* SPDX-License-Identifier: Apache-2.0 */
#include "service/room_aliases.h"

#include "core/json.h"
#include "service/room_head.h"

/* May this user set the room's canonical alias? */
static int speaks_for_room(struct mh_server *server, struct mh_tx *tx,
			   mh_nid room, const struct mh_alias_user *who,
			   bool *ret, struct mh_error *err)
{
	enum mh_membership membership;
	struct mh_room_head *head;

	if (mh_room_head_get(server, tx, room, &head, err) < 0 ||
	    mh_room_head_membership(server, tx, head, who->user_id, &membership,
				    err) < 0)
		return -1;
	*ret = membership == MH_MEMBERSHIP_JOIN &&
	       mh_power_of_user(head->levels, who->user_id) >=
		       mh_power_for_event(head->levels,
					  MH_STR("m.room.canonical_alias"),
					  true);
	return 0;
}

int mh_room_alias_put(struct mh_server *server, struct mh_tx *tx,
		      struct mh_str alias, mh_nid room,
		      const struct mh_alias_user *who, struct mh_error *err)
{
	mh_nid other, creator;
	int rc;

	if (!mh_room_alias_valid(alias) || !mh_server_owns(server, alias))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%.*s' is not a room alias of '%.*s'",
			       MH_STR_ARG(alias), MH_STR_ARG(server->name));
	if (mh_room_need_joined(mh_tx_db(tx), room, who->user, err) < 0)
		return -1;
	rc = mh_alias_get(mh_tx_db(tx), alias, &other, &creator, err);
	if (rc > 0)
		return mh_fail_status(err, 409, MH_M_UNKNOWN,
				      "the alias '%.*s' is taken",
				      MH_STR_ARG(alias));
	if (rc < 0)
		return -1;
	return mh_alias_add(tx, alias, room, who->user, err);
}

/* --- removing ------------------------------------------------------------------ */

/* Takes the alias out of a canonical alias content; false: it was not in. */
static bool take_out(json_t *content, struct mh_str alias)
{
	json_t *others = json_object_get(content, "alt_aliases");
	bool found = false;

	if (mh_str_eq(mh_json_str(json_object_get(content, "alias")), alias)) {
		json_object_del(content, "alias");
		found = true;
	}
	for (size_t i = json_array_size(others); i > 0; i--)
		if (mh_str_eq(mh_json_str(json_array_get(others, i - 1)),
			      alias)) {
			json_array_remove(others, i - 1);
			found = true;
		}
	return found;
}

static int update_canonical(struct mh_server *server, struct mh_tx *tx,
			    mh_nid room, struct mh_str alias,
			    const struct mh_alias_user *who,
			    struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	struct mh_new_event draft = {
		.room = room,
		.sender = who->user_id,
		.type = MH_STR("m.room.canonical_alias"),
		.state_key = MH_STR(""),
	};
	struct mh_room_head *head;
	MH_STRBUF(text);
	int rc;

	if (mh_room_head_get(server, tx, room, &head, err) < 0)
		return -1;
	rc = mh_room_head_event(server, tx, head, draft.type, draft.state_key,
				&event, err);
	if (rc <= 0)
		return rc;
	if (mh_json_parse_object(event->content, &content, err) < 0)
		return -1;
	if (!take_out(content, alias))
		return 0;
	mh_json_add(&text, content);
	draft.content = mh_strbuf_str(&text);
	return mh_room_send(server, tx, &draft, NULL, err);
}

int mh_room_alias_delete(struct mh_server *server, struct mh_tx *tx,
			 struct mh_str alias, const struct mh_alias_user *who,
			 struct mh_error *err)
{
	mh_nid room, creator;
	bool speaks;
	int rc = mh_alias_get(mh_tx_db(tx), alias, &room, &creator, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "no alias '%.*s' here",
			       MH_STR_ARG(alias));
	if (speaks_for_room(server, tx, room, who, &speaks, err) < 0)
		return -1;
	if (creator != who->user && !speaks && !who->is_admin)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "you may not remove the alias '%.*s'",
			       MH_STR_ARG(alias));
	if (mh_alias_remove(tx, alias, err) < 0)
		return -1;
	return speaks ? update_canonical(server, tx, room, alias, who, err) : 0;
}

/* --- the directory -------------------------------------------------------------- */

int mh_room_list(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		 bool is_public, const struct mh_alias_user *who,
		 struct mh_error *err)
{
	bool speaks;

	if (speaks_for_room(server, tx, room, who, &speaks, err) < 0)
		return -1;
	if (!speaks && !who->is_admin)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "you may not list this room in the directory");
	return mh_rooms_set_public(tx, room, is_public, err);
}
