/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgrading a room to another version (client-server API, "Room upgrades"): a
 * new room with the old one's state, and the old one closed, in one write job.
 */
#pragma once

#include "core/json.h"
#include "service/rooms.h"

struct mh_upgrade {
	mh_nid room;
	struct mh_str user; /* local user ID */
	const struct mh_room_rules *rules; /* of the new version */
	const json_t *additional_creators; /* array or NULL */
};

/* M_FORBIDDEN unless the user may send m.room.tombstone. */
int mh_room_upgrade(struct mh_server *server, struct mh_tx *tx,
		    const struct mh_upgrade *upgrade, mh_nid *ret_room,
		    struct mh_error *err);
