/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that a client asks for: what is checked beyond the authorization rules
 * before mh_room_send(). PUT send and state, redactions, and a new room's
 * initial state all come through here.
 */
#pragma once

#include "core/json.h"
#include "service/rooms.h"

struct mh_client_event {
	mh_nid room;
	struct mh_str sender; /* local user ID */
	bool sender_is_guest;
	struct mh_str type;
	struct mh_str state_key; /* data NULL: a message event */
	json_t *content;	 /* an object; borrowed, not changed */
	struct mh_str text;	 /* its bytes, if they are at hand */
};

/*
 * In a write job. M_FORBIDDEN, M_BAD_JSON, M_TOO_LARGE and what the type asks
 * for: M_DUPLICATE_ANNOTATION, M_BAD_ALIAS, M_INVALID_PARAM, M_INVITE_BLOCKED,
 * M_NOT_FOUND (a redaction's target). A state event that would change nothing
 * is not made again: `ret_row` then has the event that holds. Release it.
 */
int mh_room_client_send(struct mh_server *server, struct mh_tx *tx,
			const struct mh_client_event *event,
			struct mh_event_row *ret_row, struct mh_error *err);

/* The same for PUT redact; `content` has the reason. */
int mh_room_client_redact(struct mh_server *server, struct mh_tx *tx,
			  const struct mh_client_event *event,
			  struct mh_str redacts, struct mh_event_row *ret_row,
			  struct mh_error *err);

/* M_BAD_JSON unless all levels are integers (every version, for clients). */
int mh_power_levels_check(const json_t *content, struct mh_error *err);
