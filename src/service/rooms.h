/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms: making events of this server and persisting any event.
 *
 * The room cache holds, for rooms in use, what the next send needs: forward
 * extremities, state group, depth, parsed power levels, create event. It is the
 * writer's: changed inside write jobs, dropped for a room when a job that
 * touched it fails.
 */
#pragma once

#include "core/power_levels.h"
#include "service/server.h"
#include "store/rooms.h"

struct mh_room_cache *mh_room_cache_new(struct mh_server *server);
void mh_room_cache_free(struct mh_room_cache *cache);

/* An event to be made by this server for one of its users. */
struct mh_new_event {
	mh_nid room;
	struct mh_str sender; /* local user ID */
	struct mh_str type;
	struct mh_str state_key; /* data NULL: a message event */
	struct mh_str content;	 /* JSON object bytes */
	struct mh_str redacts;	 /* event ID, or empty */
	int64_t origin_server_ts; /* 0: now */
};

/*
 * In a write job: builds the event on the room's forward extremities, checks
 * it against the authorization rules and the current state, hashes, signs,
 * stores it with the state before and after it, makes it current state,
 * applies it if it is a redaction, indexes relations, and notifies.
 * M_FORBIDDEN with the rule's reason, M_TOO_LARGE, M_BAD_JSON: then nothing was
 * done and the job may go on; after any other failure it must fail as well.
 * `ret_row` may be NULL; else release it with mh_event_row_release().
 */
int mh_room_send(struct mh_server *server, struct mh_tx *tx,
		 const struct mh_new_event *draft, struct mh_event_row *ret_row,
		 struct mh_error *err);

/*
 * In a write job: begins a room by its create event, whose content is complete.
 * `room_id` is empty where the version derives it (rules->room_id_is_create).
 */
int mh_room_begin(struct mh_server *server, struct mh_tx *tx,
		  const struct mh_room_rules *rules, struct mh_str room_id,
		  struct mh_str sender, struct mh_str content,
		  mh_nid *ret_room, struct mh_error *err);
/* Appends a new room ID for the versions that choose one. */
void mh_room_new_id(struct mh_server *server, struct mh_strbuf *out);

struct mh_room_resolved; /* room_resolve.h */

/*
 * In a write job: persists an event whose auth was decided: shared by
 * mh_room_send() and, later, the inbound side of federation. `row` has event,
 * room, flags, state_before; gets nid, pos and state_after. A redaction that
 * does not apply gets MH_EVENT_HIDDEN; an event whose redaction came before it
 * is replaced by its redacted form.
 *
 * 1: nothing was done, because the room has forks and is large: have a worker
 * call mh_room_resolve_after() and come again with the result. That is also the
 * answer when the leaves are no longer those of `resolved` (else NULL).
 */
int mh_room_persist(struct mh_server *server, struct mh_tx *tx,
		    struct mh_event_row *row,
		    const struct mh_room_resolved *resolved,
		    struct mh_error *err);

/*
 * The power levels that hold now in a room (borrowed from the arena, which
 * frees them). For readers, with their own connection.
 */
int mh_room_power_levels(struct mh_db *db, mh_nid room, struct mh_arena *arena,
			 const struct mh_power_levels **ret,
			 struct mh_error *err);

/* Room ID or alias to a room this node knows. M_NOT_FOUND. */
int mh_room_resolve(struct mh_server *server, struct mh_db *db,
		    struct mh_str id_or_alias, mh_nid *ret_room,
		    struct mh_error *err);
/* The same for a room ID alone: 1, 0 (this node has no such room), -1. */
int mh_room_find(struct mh_db *db, struct mh_str room_id, mh_nid *ret_room,
		 struct mh_error *err);
/* M_FORBIDDEN unless the user is joined (also for rooms that do not exist). */
int mh_room_need_joined(struct mh_db *db, mh_nid room, mh_nid user,
			struct mh_error *err);
