/* SPDX-License-Identifier: Apache-2.0 */
#include "service/room_create.h"

#include "service/room_client_send.h"
#include "service/room_head.h"
#include "service/room_membership.h"

struct creation {
	struct mh_server *server;
	struct mh_tx *tx;
	const struct mh_room_spec *spec;
	mh_nid room;
	struct mh_strbuf alias;
};

int mh_room_preset_find(struct mh_str name, enum mh_room_preset *ret,
			struct mh_error *err)
{
	static const char *const names[] = {
		[MH_PRESET_PRIVATE] = "private_chat",
		[MH_PRESET_TRUSTED] = "trusted_private_chat",
		[MH_PRESET_PUBLIC] = "public_chat",
	};

	for (unsigned i = 0; i < MH_ARRAY_LEN(names); i++)
		if (mh_str_is(name, names[i])) {
			*ret = (enum mh_room_preset)i;
			return 0;
		}
	return mh_fail(err, MH_M_BAD_JSON, "'%.*s' is not a preset",
		       MH_STR_ARG(name));
}

/* --- sending ------------------------------------------------------------------ */

/* What a request implies but the rules refuse is the request's fault. */
static int as_invalid_state(int rc, struct mh_error *err)
{
	if (rc < 0 && err->code == MH_M_FORBIDDEN) {
		err->code = MH_M_INVALID_ROOM_STATE;
		err->status = 0;
	}
	return rc;
}

static int set_up(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		  struct mh_str sender, struct mh_str type,
		  struct mh_str state_key, const json_t *content,
		  struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	struct mh_client_event event = {
		.room = room,
		.sender = sender,
		.type = type,
		.state_key = state_key,
		.content = (json_t *)(uintptr_t)content,
	};
	int rc = mh_room_client_send(server, tx, &event, &row, err);

	mh_event_row_release(&row);
	return as_invalid_state(rc, err);
}

int mh_room_set_up(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		   struct mh_str sender, const char *type,
		   struct mh_str state_key, const json_t *content,
		   struct mh_error *err)
{
	return set_up(server, tx, room, sender, mh_str(type), state_key,
		      content, err);
}

static int send(struct creation *c, const char *type, const json_t *content,
		struct mh_error *err)
{
	return mh_room_set_up(c->server, c->tx, c->room, c->spec->creator, type,
			      MH_STR(""), content, err);
}

/* {key: value} as the content. */
static int send_one(struct creation *c, const char *type, const char *key,
		    struct mh_str value, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = json_object();

	json_object_set_new(content, key, mh_json_new_str(value));
	return send(c, type, content, err);
}

/* --- 1 and 2: the create event and the creator -------------------------------- */

json_t *mh_room_create_content(const struct mh_room_rules *rules,
			       struct mh_str creator, const json_t *given)
{
	json_t *content = given ? json_copy((json_t *)(uintptr_t)given) :
				  json_object();

	json_object_set_new(content, "room_version",
			    json_string(rules->version));
	json_object_del(content, "creator");
	if (rules->creator_in_content)
		json_object_set_new(content, "creator",
				    mh_json_new_str(creator));
	return content;
}

static bool lists(const json_t *array, struct mh_str value)
{
	const json_t *each;
	size_t i;

	json_array_foreach(array, i, each)
		if (mh_str_eq(mh_json_str(each), value))
			return true;
	return false;
}

/* A trusted chat's invitees are creators like the one who makes it. */
static void add_creators(const struct mh_room_spec *spec, json_t *content)
{
	const json_t *given = json_object_get(content, "additional_creators");
	json_t *creators;

	if (given && !json_is_array(given))
		return; /* the rules refuse it */
	creators = given ? json_copy((json_t *)(uintptr_t)given) : json_array();
	for (size_t i = 0; i < spec->n_invites; i++)
		if (!lists(creators, spec->invites[i]))
			json_array_append_new(
				creators, mh_json_new_str(spec->invites[i]));
	json_object_set_new(content, "additional_creators", creators);
}

static int begin(struct creation *c, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	const struct mh_room_spec *spec = c->spec;
	MH_STRBUF(room_id);
	MH_STRBUF(text);

	content = mh_room_create_content(spec->rules, spec->creator,
					 spec->creation_content);
	if (spec->rules->additional_creators &&
	    spec->preset == MH_PRESET_TRUSTED && spec->n_invites)
		add_creators(spec, content);
	mh_json_add(&text, content);
	if (!spec->rules->room_id_is_create)
		mh_room_new_id(c->server, &room_id);
	return as_invalid_state(
		mh_room_begin(c->server, c->tx, spec->rules,
			      mh_strbuf_str(&room_id), spec->creator,
			      mh_strbuf_str(&text), &c->room, err),
		err);
}

static int join(struct creation *c, struct mh_error *err)
{
	struct mh_member_change change = {
		.action = MH_MEMBER_JOIN,
		.room = c->room,
		.sender = c->spec->creator,
		.target = c->spec->creator,
	};

	return as_invalid_state(mh_room_change_member(c->server, c->tx, &change,
						      NULL, err),
				err);
}

/* --- 3: the power levels ---------------------------------------------------------- */

static json_t *users_of(const struct mh_room_spec *spec)
{
	json_t *users = json_object();

	/* Creators have their power without being listed. */
	if (spec->rules->privileged_creators)
		return users;
	json_object_setn_new(users, spec->creator.data, spec->creator.len,
			     json_integer(100));
	if (spec->preset != MH_PRESET_TRUSTED)
		return users;
	for (size_t i = 0; i < spec->n_invites; i++)
		json_object_setn_new(users, spec->invites[i].data,
				     spec->invites[i].len, json_integer(100));
	return users;
}

static json_t *default_levels(const struct mh_room_spec *spec)
{
	/* Upgrading is for those whom the creator trusts with it. */
	json_int_t tombstone = spec->rules->privileged_creators ? 150 : 100;

	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:o,"
			 "s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:I}}",
			 "ban", 50, "kick", 50, "redact", 50, "invite", 50,
			 "events_default", 0, "state_default", 50,
			 "users_default", 0, "users", users_of(spec), "events",
			 "m.room.name", 50, "m.room.avatar", 50,
			 "m.room.canonical_alias", 50, "m.room.power_levels",
			 100, "m.room.history_visibility", 100,
			 "m.room.server_acl", 100, "m.room.encryption", 100,
			 "m.room.tombstone", tombstone);
}

/*
 * "The power level for sending m.room.tombstone events MUST explicitly be
 * higher than state_default": also where the override leaves it out.
 */
static void keep_tombstone_high(json_t *levels)
{
	json_t *events = json_object_get(levels, "events");
	const json_t *other = json_object_get(levels, "state_default");
	json_int_t state_default = json_is_integer(other) ?
					   json_integer_value(other) :
					   50;

	if (!events)
		json_object_set_new(levels, "events", events = json_object());
	if (json_is_object(events) &&
	    !json_object_get(events, "m.room.tombstone"))
		json_object_set_new(events, "m.room.tombstone",
				    json_integer(state_default < 150 ?
							 150 :
							 state_default + 1));
}

static int send_levels(struct creation *c, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *levels = default_levels(c->spec);
	MH_CLEANUP(json_decrefp) json_t *override = NULL;

	MH_ASSERT(levels);
	if (c->spec->power_levels) {
		/* A copy: what is added below is not the request's. */
		override = json_deep_copy(c->spec->power_levels);
		json_object_update(levels, override);
	}
	if (c->spec->rules->privileged_creators)
		keep_tombstone_high(levels);
	return send(c, "m.room.power_levels", levels, err);
}

/* --- 4: the alias -------------------------------------------------------------------- */

static int check_alias(struct creation *c, struct mh_error *err)
{
	struct mh_str alias;
	mh_nid room, creator;
	int rc;

	if (!c->spec->alias_name.len)
		return 0;
	mh_strbuf_addch(&c->alias, '#');
	mh_strbuf_addstr(&c->alias, c->spec->alias_name);
	mh_strbuf_addch(&c->alias, ':');
	mh_strbuf_addstr(&c->alias, c->server->name);
	alias = mh_strbuf_str(&c->alias);
	if (mh_str_find(c->spec->alias_name, ':') >= 0 ||
	    !mh_room_alias_valid(alias))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%.*s' is not a room alias", MH_STR_ARG(alias));
	rc = mh_alias_get(mh_tx_db(c->tx), alias, &room, &creator, err);
	if (rc > 0)
		return mh_fail(err, MH_M_ROOM_IN_USE,
			       "the alias '%.*s' is taken", MH_STR_ARG(alias));
	return rc;
}

static int add_alias(struct creation *c, struct mh_error *err)
{
	struct mh_str alias = mh_strbuf_str(&c->alias);
	mh_nid creator;

	if (!alias.len)
		return 0;
	creator = mh_name_intern(c->tx, c->spec->creator, err);
	if (creator < 0 ||
	    mh_alias_add(c->tx, alias, c->room, creator, err) < 0)
		return -1;
	return send_one(c, "m.room.canonical_alias", "alias", alias, err);
}

/* --- 5 and 6: the preset, and the initial state ---------------------------------------- */

static bool is_initial(const struct mh_room_spec *spec, const char *type)
{
	const json_t *each;
	size_t i;

	json_array_foreach(spec->initial_state, i, each) {
		struct mh_str key =
			mh_json_str(json_object_get(each, "state_key"));

		if (mh_str_is(mh_json_str(json_object_get(each, "type")),
			      type) &&
		    !key.len)
			return true;
	}
	return false;
}

static int send_preset(struct creation *c, const char *type, const char *key,
		       const char *value, struct mh_error *err)
{
	if (is_initial(c->spec, type))
		return 0;
	return send_one(c, type, key, mh_str(value), err);
}

static int send_presets(struct creation *c, struct mh_error *err)
{
	bool is_public = c->spec->preset == MH_PRESET_PUBLIC;

	if (send_preset(c, "m.room.join_rules", "join_rule",
			is_public ? "public" : "invite", err) < 0 ||
	    send_preset(c, "m.room.history_visibility", "history_visibility",
			"shared", err) < 0)
		return -1;
	return send_preset(c, "m.room.guest_access", "guest_access",
			   is_public ? "forbidden" : "can_join", err);
}

static int send_initial(struct creation *c, const json_t *each,
			struct mh_error *err)
{
	struct mh_str type, state_key = MH_STR("");
	json_t *content;

	if (mh_json_need_str(each, "type", &type, err) < 0 ||
	    mh_json_get_str(each, "state_key", &state_key, err) < 0 ||
	    mh_json_need_object(each, "content", &content, err) < 0)
		return -1;
	return set_up(c->server, c->tx, c->room, c->spec->creator, type,
		      state_key, content, err);
}

static int send_initial_state(struct creation *c, struct mh_error *err)
{
	const json_t *each;
	size_t i;

	json_array_foreach(c->spec->initial_state, i, each) {
		if (!json_is_object(each))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'initial_state' must hold objects");
		if (send_initial(c, each, err) < 0)
			return -1;
	}
	return 0;
}

/* --- 7 and 8: name, topic, invites --------------------------------------------------------- */

json_t *mh_room_topic_content(struct mh_str topic)
{
	return json_pack("{s:o,s:{s:[{s:o}]}}", "topic", mh_json_new_str(topic),
			 "m.topic", "m.text", "body", mh_json_new_str(topic));
}

static int send_name_and_topic(struct creation *c, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *topic = NULL;

	if (c->spec->name.data &&
	    send_one(c, "m.room.name", "name", c->spec->name, err) < 0)
		return -1;
	if (!c->spec->topic.data)
		return 0;
	topic = mh_room_topic_content(c->spec->topic);
	return send(c, "m.room.topic", topic, err);
}

static int invite_all(struct creation *c, struct mh_error *err)
{
	for (size_t i = 0; i < c->spec->n_invites; i++) {
		struct mh_member_change change = {
			.action = MH_MEMBER_INVITE,
			.room = c->room,
			.sender = c->spec->creator,
			.target = c->spec->invites[i],
			.is_direct = c->spec->is_direct,
		};

		if (as_invalid_state(mh_room_change_member(c->server, c->tx,
							   &change, NULL, err),
				     err) < 0)
			return -1;
	}
	return 0;
}

static int create(struct creation *c, struct mh_error *err)
{
	if (check_alias(c, err) < 0 || begin(c, err) < 0 || join(c, err) < 0 ||
	    send_levels(c, err) < 0 || add_alias(c, err) < 0 ||
	    send_presets(c, err) < 0 || send_initial_state(c, err) < 0 ||
	    send_name_and_topic(c, err) < 0 || invite_all(c, err) < 0)
		return -1;
	if (!c->spec->is_public)
		return 0;
	return mh_rooms_set_public(c->tx, c->room, true, err);
}

int mh_room_create(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_room_spec *spec, mh_nid *ret_room,
		   struct mh_error *err)
{
	struct creation c = {
		.server = server,
		.tx = tx,
		.spec = spec,
		.alias = MH_STRBUF_INIT,
	};
	int rc = create(&c, err);

	mh_strbuf_release(&c.alias);
	if (rc == 0)
		*ret_room = c.room;
	return rc;
}
