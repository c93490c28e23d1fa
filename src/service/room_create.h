/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating a room (client-server API, POST createRoom): the events that a
 * request implies, in the spec's order, in one write job. Either the whole room
 * comes to be or nothing does.
 */
#pragma once

#include "core/json.h"
#include "service/rooms.h"

enum mh_room_preset {
	MH_PRESET_PRIVATE,
	MH_PRESET_TRUSTED,
	MH_PRESET_PUBLIC,
};

/* "private_chat" and so on. M_BAD_JSON. */
int mh_room_preset_find(struct mh_str name, enum mh_room_preset *ret,
			struct mh_error *err);

#define MH_INVITES_MAX 100 /* in one request */

struct mh_room_spec {
	struct mh_str creator; /* local user ID */
	const struct mh_room_rules *rules;
	enum mh_room_preset preset;
	const json_t *creation_content; /* object or NULL */
	const json_t *power_levels;	/* the override: object or NULL */
	const json_t *initial_state;	/* array or NULL */
	struct mh_str alias_name;	/* localpart; empty: none */
	struct mh_str name, topic;	/* data NULL: none */
	const struct mh_str *invites;	/* user IDs */
	size_t n_invites;
	bool is_direct;
	bool is_public; /* in the directory */
};

/*
 * In a write job. M_ROOM_IN_USE (the alias), M_INVALID_ROOM_STATE (the rules
 * refuse one of the events), M_BAD_JSON, M_INVALID_PARAM, M_INVITE_BLOCKED.
 */
int mh_room_create(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_room_spec *spec, mh_nid *ret_room,
		   struct mh_error *err);

/*
 * The pieces, for upgrades. The content of the create event, from what the
 * client gave (NULL: nothing).
 */
json_t *mh_room_create_content(const struct mh_room_rules *rules,
			       struct mh_str creator, const json_t *given);
/* Sends a state event; what the rules refuse is M_INVALID_ROOM_STATE. */
int mh_room_set_up(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		   struct mh_str sender, const char *type,
		   struct mh_str state_key, const json_t *content,
		   struct mh_error *err);
/* The content of a topic event, in plain text. */
json_t *mh_room_topic_content(struct mh_str topic);
