/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presence (client-server API, "Presence"): who is online. In memory alone:
 * after a restart everybody is offline until they come back, which they do
 * within seconds.
 *
 * A user is online while a client syncs or holds a live channel open with
 * set_presence=online, becomes unavailable IDLE_MS after the last activity, and
 * offline OFFLINE_MS after the last client has gone. What clients say with PUT
 * /presence holds until then. Changes are gathered for a moment before others
 * are woken for them, so that a thousand people who come back at once do not
 * wake each other a thousand times.
 */
#pragma once

#include "service/notifier.h"

enum mh_presence_state {
	MH_PRESENCE_OFFLINE,
	MH_PRESENCE_UNAVAILABLE,
	MH_PRESENCE_ONLINE,
};
/* False when the text is none of the three. */
bool mh_presence_from(struct mh_str text, enum mh_presence_state *ret);

#define MH_PRESENCE_STATUS_MAX 4096 /* bytes of a status message */

struct mh_presence *mh_presence_new(struct mh_server *server);
void mh_presence_free(struct mh_presence *presence);

/* PUT /presence/{userId}/status. `status_msg` data NULL: none. */
int mh_presence_set(struct mh_server *server, mh_nid user,
		    enum mh_presence_state state, struct mh_str status_msg,
		    struct mh_error *err);
/*
 * A client of the user syncs: it is there for the next OFFLINE_MS. OFFLINE: it
 * asks not to count.
 */
void mh_presence_syncing(struct mh_server *server, mh_nid user,
			 enum mh_presence_state state);
/*
 * A client waits for news (+1), and does not any more (-1): in between it is
 * there.
 */
void mh_presence_waiting(struct mh_server *server, mh_nid user, int change);
/* The user did something (sent, typed, read). */
void mh_presence_active(struct mh_server *server, mh_nid user);

/* Appends the content of m.presence: {"presence":..,"last_active_ago":..}. */
void mh_presence_content(struct mh_server *server, mh_nid user,
			 struct mh_strbuf *out);
/*
 * Users whose presence changed after `from` in the ephemeral sequence, latest
 * first; with `from` 0 all who are not offline. The list is in the arena.
 */
struct mh_arena;
void mh_presence_changed(struct mh_server *server, int64_t from,
			 struct mh_arena *arena, mh_nid **ret, size_t *ret_n);
