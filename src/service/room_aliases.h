/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aliases of this server, and the listing in its room directory
 * (client-server API, directory and list_public_rooms).
 */
#pragma once

#include "service/rooms.h"

struct mh_alias_user {
	struct mh_str user_id;
	mh_nid user;
	bool is_admin;
};

/*
 * In a write job: points an alias to a room. M_INVALID_PARAM (not an alias of
 * this server), M_FORBIDDEN (not in the room), M_UNKNOWN 409 (taken).
 */
int mh_room_alias_put(struct mh_server *server, struct mh_tx *tx,
		      struct mh_str alias, mh_nid room,
		      const struct mh_alias_user *who, struct mh_error *err);
/*
 * In a write job: by who made it, who may set the room's canonical alias, or an
 * administrator. It leaves the canonical alias event, where the user may change
 * that. M_NOT_FOUND, M_FORBIDDEN.
 */
int mh_room_alias_delete(struct mh_server *server, struct mh_tx *tx,
			 struct mh_str alias, const struct mh_alias_user *who,
			 struct mh_error *err);
/* In a write job: who may set the room's canonical alias may list it. */
int mh_room_list(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		 bool is_public, const struct mh_alias_user *who,
		 struct mh_error *err);
