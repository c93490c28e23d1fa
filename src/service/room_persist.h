/* SPDX-License-Identifier: Apache-2.0 */
/* What rooms.c and room_persist.c share. */
#pragma once

#include "service/room_head.h"

/* mh_room_persist() for an event that was just built on the room's leaves. */
int mh_room_persist_ours(struct mh_server *server, struct mh_tx *tx,
			 struct mh_room_head *head, struct mh_event_row *row,
			 struct mh_error *err);
