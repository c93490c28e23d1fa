/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers are those of the spec's "Server behaviour". The order differs in
 * one thing: in version 12 a room's ID is the hash of its create event, so that
 * the tombstone, which names the new room, comes after it and the create event
 * cannot name the tombstone; before, the ID can be chosen first, and the create
 * event names the tombstone as the last event of the old room.
 *
 * The new room begins with power levels that let the one who upgrades write its
 * state; the old room's levels follow when that is done.
 */
#include "service/room_upgrade.h"

#include "base/arena.h"
#include "service/room_create.h"
#include "service/room_head.h"
#include "service/room_membership.h"

struct upgrade {
	struct mh_server *server;
	struct mh_tx *tx;
	struct mh_db *db;
	const struct mh_upgrade *asked;
	struct mh_room_head *old;
	mh_nid room;
	struct mh_strbuf room_id;      /* of the new room */
	struct mh_strbuf tombstone_id; /* empty when it comes later */
	json_t *old_create, *old_levels; /* contents; levels may be NULL */
	struct mh_arena arena;
};

/* The content of a state event of the old room; NULL when there is none. */
static int old_content(struct upgrade *u, struct mh_str type, json_t **ret,
		       struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	int rc = mh_room_head_event(u->server, u->tx, u->old, type, MH_STR(""),
				    &event, err);

	*ret = NULL;
	if (rc <= 0)
		return rc;
	return mh_json_parse_object(event->content, ret, err) < 0 ? -1 : 1;
}

static int send_new(struct upgrade *u, const char *type,
		    struct mh_str state_key, const json_t *content,
		    struct mh_error *err)
{
	return mh_room_set_up(u->server, u->tx, u->room, u->asked->user, type,
			      state_key, content, err);
}

/* Into the old room; returns the event ID. */
static int send_old(struct upgrade *u, const char *type, const json_t *content,
		    struct mh_strbuf *ret_id, struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	MH_STRBUF(text);
	struct mh_new_event draft = {
		.room = u->asked->room,
		.sender = u->asked->user,
		.type = mh_str(type),
		.state_key = MH_STR(""),
	};
	int rc;

	mh_json_add(&text, content);
	draft.content = mh_strbuf_str(&text);
	rc = mh_room_send(u->server, u->tx, &draft, &row, err);
	if (rc == 0 && ret_id)
		mh_strbuf_addstr(ret_id, row.event->event_id);
	mh_event_row_release(&row);
	return rc;
}

/* --- 1: may they? ----------------------------------------------------------------- */

static int check(struct upgrade *u, struct mh_error *err)
{
	struct mh_str user = u->asked->user;
	enum mh_membership membership;

	if (mh_room_head_membership(u->server, u->tx, u->old, user, &membership,
				    err) < 0)
		return -1;
	if (membership != MH_MEMBERSHIP_JOIN)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	if (mh_power_of_user(u->old->levels, user) <
	    mh_power_for_event(u->old->levels, MH_STR("m.room.tombstone"),
			       true))
		return mh_fail(err, MH_M_FORBIDDEN,
			       "you may not upgrade this room");
	return 0;
}

/* --- 2: the replacement --------------------------------------------------------------- */

static void copy_member(const json_t *from, json_t *to, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (value)
		json_object_set(to, key, value);
}

static json_t *create_content(struct upgrade *u)
{
	json_t *given = json_object(), *predecessor = json_object(), *content;

	/* A room that was not to be federated stays so. */
	copy_member(u->old_create, given, "type");
	copy_member(u->old_create, given, "m.federate");
	json_object_set_new(predecessor, "room_id",
			    mh_json_new_str(u->old->room_id));
	if (u->tombstone_id.len)
		json_object_set_new(
			predecessor, "event_id",
			mh_json_new_str(mh_strbuf_str(&u->tombstone_id)));
	json_object_set_new(given, "predecessor", predecessor);
	if (u->asked->rules->additional_creators &&
	    json_array_size(u->asked->additional_creators))
		json_object_set(given, "additional_creators",
				(json_t *)(uintptr_t)
					u->asked->additional_creators);
	content = mh_room_create_content(u->asked->rules, u->asked->user,
					 given);
	json_decref(given);
	return content;
}

static int send_tombstone(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;

	content = json_pack("{s:s,s:o}", "body",
			    "This room has been replaced", "replacement_room",
			    mh_json_new_str(mh_strbuf_str(&u->room_id)));
	return send_old(u, "m.room.tombstone", content, &u->tombstone_id, err);
}

static int begin(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	struct mh_member_change join = {
		.action = MH_MEMBER_JOIN,
		.sender = u->asked->user,
		.target = u->asked->user,
	};
	bool derived = u->asked->rules->room_id_is_create;
	MH_STRBUF(text);

	if (!derived) {
		mh_room_new_id(u->server, &u->room_id);
		if (send_tombstone(u, err) < 0)
			return -1;
	}
	content = create_content(u);
	mh_json_add(&text, content);
	if (mh_room_begin(u->server, u->tx, u->asked->rules,
			  mh_strbuf_str(&u->room_id), u->asked->user,
			  mh_strbuf_str(&text), &u->room, err) < 0)
		return -1;
	if (derived && mh_name_get(u->db, u->room, &u->room_id, err) < 0)
		return -1;
	join.room = u->room;
	return mh_room_change_member(u->server, u->tx, &join, NULL, err);
}

/* --- 3: the state ------------------------------------------------------------------------ */

static bool is_new_creator(struct upgrade *u, const char *user_id)
{
	const json_t *each;
	size_t i;

	if (mh_str_is(u->asked->user, user_id))
		return true;
	json_array_foreach(u->asked->additional_creators, i, each)
		if (mh_str_is(mh_json_str(each), user_id))
			return true;
	return false;
}

/* Levels were strings once; a new room takes integers alone. */
static void make_integers(json_t *object)
{
	const char *key;
	json_t *value;
	int64_t number;

	json_object_foreach(object, key, value) {
		if (json_is_object(value))
			make_integers(value);
		else if (mh_str_to_int(mh_json_str(value), &number))
			json_object_set_new(object, key, json_integer(number));
	}
}

/* The old room's creators ruled without being listed. */
static void list_old_creators(struct upgrade *u, json_t *users)
{
	const json_t *each;
	size_t i;

	if (!u->old->rules->privileged_creators ||
	    u->asked->rules->privileged_creators)
		return;
	json_object_setn_new(users, u->old->create->sender.data,
			     u->old->create->sender.len, json_integer(100));
	json_array_foreach(json_object_get(u->old_create,
					   "additional_creators"),
			   i, each)
		if (json_is_string(each))
			json_object_set_new(users, json_string_value(each),
					    json_integer(100));
}

/* The old levels, as the new version can hold them. */
static json_t *new_levels(struct upgrade *u)
{
	json_t *levels = u->old_levels ? json_deep_copy(u->old_levels) :
					 json_object();
	json_t *users = json_object_get(levels, "users"), *value;
	const char *user_id;
	void *next;

	make_integers(levels);
	if (!json_is_object(users))
		json_object_set_new(levels, "users", users = json_object());
	list_old_creators(u, users);
	if (!u->old_levels && !u->asked->rules->privileged_creators)
		json_object_setn_new(users, u->old->create->sender.data,
				     u->old->create->sender.len,
				     json_integer(100));
	if (u->asked->rules->privileged_creators)
		json_object_foreach_safe(users, next, user_id, value)
			if (is_new_creator(u, user_id))
				json_object_del(users, user_id);
	return levels;
}

/* The most that any event of the room needs. */
static json_int_t highest_needed(const json_t *levels)
{
	static const char *const keys[] = { "ban", "state_default", "invite",
					    "events_default" };
	json_int_t highest = 100;
	const json_t *value;
	const char *type;

	for (size_t i = 0; i < MH_ARRAY_LEN(keys); i++) {
		value = json_object_get(levels, keys[i]);
		if (json_integer_value(value) > highest)
			highest = json_integer_value(value);
	}
	json_object_foreach(json_object_get(levels, "events"), type, value)
		if (json_integer_value(value) > highest)
			highest = json_integer_value(value);
	return highest;
}

static json_t *levels_for_set_up(struct upgrade *u, const json_t *levels)
{
	json_t *raised = json_deep_copy(levels);
	const json_t *user_level;
	const char *user_id;
	json_int_t needed = highest_needed(levels);

	if (u->asked->rules->privileged_creators)
		return raised;
	json_object_foreach(json_object_get(levels, "users"), user_id,
			    user_level)
		if (json_integer_value(user_level) > needed)
			needed = json_integer_value(user_level);
	json_object_setn_new(json_object_get(raised, "users"),
			     u->asked->user.data, u->asked->user.len,
			     json_integer(needed));
	return raised;
}

static int copy_state(struct upgrade *u, struct mh_error *err)
{
	static const char *const types[] = {
		"m.room.server_acl",   "m.room.encryption",
		"m.room.name",	       "m.room.avatar",
		"m.room.topic",	       "m.room.guest_access",
		"m.room.history_visibility", "m.room.join_rules",
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(types); i++) {
		MH_CLEANUP(json_decrefp) json_t *content = NULL;
		int rc = old_content(u, mh_str(types[i]), &content, err);

		if (rc > 0)
			rc = send_new(u, types[i], MH_STR(""), content, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* --- bans, which are state too --------------------------------------------------- */

struct keys {
	struct upgrade *upgrade;
	struct mh_str *items;
	size_t n, cap;
};

static void add_key(struct keys *keys, struct mh_str key)
{
	if (keys->n == keys->cap) {
		size_t cap = keys->cap ? 2 * keys->cap : 16;
		struct mh_str *items = mh_arena_alloc_array(
			&keys->upgrade->arena, cap, sizeof(*items));

		if (keys->n)
			memcpy(items, keys->items, keys->n * sizeof(*items));
		keys->items = items;
		keys->cap = cap;
	}
	keys->items[keys->n++] = mh_arena_str(&keys->upgrade->arena, key);
}

static int add_banned(void *context, const struct mh_event_row *row,
		      struct mh_error *err)
{
	struct keys *keys = context;

	(void)err;
	if (mh_str_is(row->event->membership, "ban"))
		add_key(keys, row->event->state_key);
	return 1;
}

/* Whoever was banned stays banned: nobody is impersonated by that. */
static int copy_bans(struct upgrade *u, struct mh_error *err)
{
	struct keys keys = { .upgrade = u };
	mh_nid type = mh_name_find(u->db, MH_STR("m.room.member"), err);

	if (type < 0 ||
	    mh_state_current_each(u->db, u->asked->room, type, add_banned,
				  &keys, err) < 0)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		struct mh_member_change ban = {
			.action = MH_MEMBER_BAN,
			.room = u->room,
			.sender = u->asked->user,
			.target = keys.items[i],
		};

		if (mh_room_change_member(u->server, u->tx, &ban, NULL, err) <
		    0)
			return -1;
	}
	return 0;
}

static int transfer_state(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *levels = new_levels(u);
	MH_CLEANUP(json_decrefp) json_t *raised = levels_for_set_up(u, levels);

	if (send_new(u, "m.room.power_levels", MH_STR(""), raised, err) < 0 ||
	    copy_state(u, err) < 0 || copy_bans(u, err) < 0)
		return -1;
	return send_new(u, "m.room.power_levels", MH_STR(""), levels, err);
}

/* --- 4: the aliases ------------------------------------------------------------------------ */

static int add_alias_key(void *context, struct mh_str alias)
{
	add_key(context, alias);
	return 1;
}

static int move_canonical_alias(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	MH_ERROR(refused);
	struct mh_str type = MH_STR("m.room.canonical_alias");
	int rc = old_content(u, type, &content, err);

	if (rc <= 0)
		return rc;
	/* Aliases of other servers still point to the old room. */
	rc = send_new(u, "m.room.canonical_alias", MH_STR(""), content,
		      &refused);
	if (rc < 0 && refused.code != MH_M_BAD_ALIAS &&
	    refused.code != MH_M_INVALID_ROOM_STATE &&
	    refused.code != MH_M_INVALID_PARAM) {
		mh_error_move(err, &refused);
		return -1;
	}
	return rc < 0 ? 0 : 1;
}

/* Sends what may be refused without harm. */
static int try_old(struct upgrade *u, const char *type, const json_t *content,
		   struct mh_error *err)
{
	MH_ERROR(refused);

	if (send_old(u, type, content, NULL, &refused) == 0 ||
	    refused.code == MH_M_FORBIDDEN)
		return 0;
	mh_error_move(err, &refused);
	return -1;
}

static int move_aliases(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *nothing = json_object();
	struct keys keys = { .upgrade = u };
	mh_nid room, creator;
	int rc;

	if (mh_alias_list(u->db, u->asked->room, add_alias_key, &keys, err) < 0)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		if (mh_alias_get(u->db, keys.items[i], &room, &creator, err) <
			    0 ||
		    mh_alias_remove(u->tx, keys.items[i], err) < 0 ||
		    mh_alias_add(u->tx, keys.items[i], u->room, creator, err) <
			    0)
			return -1;
	}
	rc = move_canonical_alias(u, err);
	if (rc <= 0)
		return rc;
	return try_old(u, "m.room.canonical_alias", nothing, err);
}

static int move_listing(struct upgrade *u, struct mh_error *err)
{
	struct mh_room room;
	int rc = mh_rooms_get(u->db, u->asked->room, &room, err);

	if (rc <= 0 || !room.is_public)
		return rc;
	if (mh_rooms_set_public(u->tx, u->asked->room, false, err) < 0)
		return -1;
	return mh_rooms_set_public(u->tx, u->room, true, err);
}

/* --- 5 and 6: the old room --------------------------------------------------------------------- */

static void raise_to(json_t *levels, const char *key, json_int_t least)
{
	if (json_integer_value(json_object_get(levels, key)) < least)
		json_object_set_new(levels, key, json_integer(least));
}

/* "The greater of 50 and users_default + 1". */
static int restrict_old(struct upgrade *u, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *levels = NULL;
	json_int_t users_default;

	if (!u->old_levels)
		return 0;
	levels = json_deep_copy(u->old_levels);
	make_integers(levels);
	users_default = json_integer_value(json_object_get(levels,
							   "users_default"));
	raise_to(levels, "events_default",
		 users_default + 1 > 50 ? users_default + 1 : 50);
	raise_to(levels, "invite",
		 users_default + 1 > 50 ? users_default + 1 : 50);
	return try_old(u, "m.room.power_levels", levels, err);
}

static int upgrade(struct upgrade *u, struct mh_error *err)
{
	struct mh_str type = MH_STR("m.room.power_levels");

	if (mh_room_head_get(u->server, u->tx, u->asked->room, &u->old, err) <
		    0 ||
	    check(u, err) < 0 ||
	    mh_json_parse_object(u->old->create->content, &u->old_create, err) <
		    0 ||
	    old_content(u, type, &u->old_levels, err) < 0 ||
	    begin(u, err) < 0 || transfer_state(u, err) < 0 ||
	    move_aliases(u, err) < 0 || move_listing(u, err) < 0)
		return -1;
	if (!u->tombstone_id.len && send_tombstone(u, err) < 0)
		return -1;
	return restrict_old(u, err);
}

int mh_room_upgrade(struct mh_server *server, struct mh_tx *tx,
		    const struct mh_upgrade *asked, mh_nid *ret_room,
		    struct mh_error *err)
{
	struct upgrade u = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.asked = asked,
		.room_id = MH_STRBUF_INIT,
		.tombstone_id = MH_STRBUF_INIT,
	};
	int rc;

	mh_arena_init(&u.arena);
	rc = upgrade(&u, err);
	mh_arena_release(&u.arena);
	mh_strbuf_release(&u.room_id);
	mh_strbuf_release(&u.tombstone_id);
	json_decref(u.old_create);
	json_decref(u.old_levels);
	if (rc == 0)
		*ret_room = u.room;
	return rc;
}
