/* SPDX-License-Identifier: Apache-2.0 */
/* mootctl room list|show */
#include "main/control.h"

#include "base/arena.h"
#include "service/rooms.h"
#include "store/rooms.h"

struct look {
	struct mh_server *server;
	struct mh_db *db;
	struct mh_arena arena;
	json_t *array;
	struct mh_str asked; /* room show */
	struct mh_error *err;
};

/* Sets the member to `key` of the content of a state event, if it is a string.
 */
static int add_state(struct look *look, mh_nid room, const char *type,
		     const char *key, const char *member, json_t *shown)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	MH_ERROR(ignored);
	int rc = mh_state_current_get(look->db, room, type, MH_STR(""), &row,
				      look->err);

	if (rc <= 0)
		return rc;
	/* What is no object, or no string, shows no name: it is the room's. */
	if (mh_json_parse_object(row.event->content, &content, &ignored) == 0 &&
	    json_is_string(json_object_get(content, key)))
		json_object_set(shown, member, json_object_get(content, key));
	return 0;
}

/* What both commands show of a room. */
static int add_room(struct look *look, const struct mh_room *room,
		    json_t *shown)
{
	struct mh_member_counts counts;
	struct mh_str room_id;

	if (mh_name_get_str(look->db, room->nid, &look->arena, &room_id,
			    look->err) < 0 ||
	    mh_member_count(look->db, room->nid, &counts, look->err) < 0)
		return -1;
	json_object_set_new(shown, "room_id", mh_json_new_str(room_id));
	json_object_set_new(shown, "version",
			    json_string(room->rules->version));
	json_object_set_new(shown, "joined_members",
			    json_integer(counts.joined));
	json_object_set_new(shown, "joined_local_members",
			    json_integer(counts.joined_local));
	json_object_set_new(shown, "public", json_boolean(room->is_public));
	return add_state(look, room->nid, "m.room.name", "name", "name", shown);
}

/* --- room list ---------------------------------------------------------- */

static int list_one(void *context, const struct mh_room *room)
{
	struct look *look = context;
	json_t *shown = json_object();

	json_array_append_new(look->array, shown);
	return add_room(look, room, shown) < 0 ? -1 : 1;
}

static int list_read(struct mh_control_call *call, struct mh_db *db,
		     struct mh_error *err)
{
	struct look look = { .server = call->server,
			     .db = db,
			     .array = call->data,
			     .err = err };
	int rc = mh_rooms_each(db, list_one, &look, err);

	mh_arena_release(&look.arena);
	return rc;
}

static int list(struct mh_control_call *call, struct mh_error *err)
{
	json_t *rooms = json_array();

	call->result = json_object();
	json_object_set_new(call->result, "rooms", rooms);
	call->data = rooms;
	return mh_control_read(call, list_read, err) < 0 ? -1 : 0;
}

/* --- room show ---------------------------------------------------------- */

static int alias_one(void *context, struct mh_str alias)
{
	json_array_append_new(context, mh_json_new_str(alias));
	return 1;
}

static int member_one(void *context, const struct mh_member *member)
{
	struct look *look = context;
	struct mh_str user_id;

	if (mh_name_get_str(look->db, member->user, &look->arena, &user_id,
			    look->err) < 0)
		return -1;
	json_array_append_new(look->array, mh_json_new_str(user_id));
	return 1;
}

static int show_found(struct look *look, json_t *shown)
{
	struct mh_error *err = look->err;
	json_t *aliases = json_array();
	struct mh_room room;
	mh_nid nid;
	int rc;

	json_object_set_new(shown, "aliases", aliases);
	look->array = json_array();
	json_object_set_new(shown, "members", look->array);
	if (mh_room_resolve(look->server, look->db, look->asked, &nid, err) < 0)
		return -1;
	rc = mh_rooms_get(look->db, nid, &room, err);
	if (rc < 0)
		return -1;
	if (!rc)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such room");
	if (add_room(look, &room, shown) < 0 ||
	    add_state(look, nid, "m.room.topic", "topic", "topic", shown) < 0 ||
	    add_state(look, nid, "m.room.join_rules", "join_rule", "join_rule",
		      shown) < 0 ||
	    add_state(look, nid, "m.room.encryption", "algorithm", "encryption",
		      shown) < 0 ||
	    mh_alias_list(look->db, nid, alias_one, aliases, err) < 0)
		return -1;
	return mh_member_list(look->db, nid, MH_MEMBERSHIP_JOIN, member_one,
			      look, err);
}

static int show_read(struct mh_control_call *call, struct mh_db *db,
		     struct mh_error *err)
{
	struct mh_str *asked = call->data;
	struct look look = {
		.server = call->server, .db = db, .asked = *asked, .err = err
	};
	int rc = show_found(&look, call->result);

	mh_arena_release(&look.arena);
	return rc;
}

static int show(struct mh_control_call *call, struct mh_error *err)
{
	struct mh_str room;

	if (mh_json_need_str(call->args, "room", &room, err) < 0)
		return -1;
	call->data = &room;
	call->result = json_object();
	return mh_control_read(call, show_read, err) < 0 ? -1 : 0;
}

const struct mh_control_command mh_control_room_commands[] = {
	{ "room list", list },
	{ "room show", show },
	{ NULL, NULL },
};
