/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier: the one meeting point of those who write and those who wait.
 * Write jobs say what they touched; after COMMIT, and only then, the notifier
 * wakes the local users concerned. A crash loses a wake-up, never a fact: who
 * is woken reads the store (or the ring of recent events) from its own
 * position.
 *
 * Users are found through the joined local members of a room, which the
 * notifier keeps in memory for rooms that are active; so a waiter is one
 * record, however many rooms its user is in. It also knows for every room in
 * use how far it is, so that a sync asks nothing about quiet rooms.
 *
 * The latest events of each room are kept with their client JSON serialised
 * once (without `unsigned`, which is spliced per recipient after the visibility
 * check): see notifier_impl.h.
 */
#pragma once

#include "service/server.h"
#include "store/rooms.h"

/* --- for write jobs (writer thread) -------------------------------------- */

/*
 * A timeline event was persisted, and is current state if it shall be: wakes
 * the room's local members, and the member whom a membership event concerns.
 * Also feeds the ring. Events without a position of the timeline do nothing.
 */
void mh_notify_event(struct mh_tx *tx, struct mh_server *server,
		     const struct mh_event_row *row);
/* Something of the room other than an event changed at `pos` (a receipt). */
void mh_notify_room(struct mh_tx *tx, struct mh_server *server, mh_nid room);
/*
 * Something of one user changed (account data, to-device, device lists, counts
 * of keys). Draws a position, so that nothing remembered of the user under an
 * older one passes for current.
 */
void mh_notify_user(struct mh_tx *tx, struct mh_server *server, mh_nid user);
/*
 * The membership of one local user changed without a timeline event (an invite
 * over federation, a room that was forgotten).
 */
int mh_notify_membership(struct mh_tx *tx, struct mh_server *server,
			 mh_nid room, mh_nid user, struct mh_error *err);
/* The whole state of a room was replaced: any membership may have changed. */
void mh_notify_members(struct mh_tx *tx, struct mh_server *server, mh_nid room);

/* --- for ephemeral facts (any thread, nothing is committed) --------------- */

/* The in-memory sequence of typing and presence; part of sync tokens. */
int64_t mh_ephemeral_next(struct mh_server *server);
int64_t mh_ephemeral_position(struct mh_server *server);
void mh_notify_room_now(struct mh_server *server, mh_nid room);
void mh_notify_user_now(struct mh_server *server, mh_nid user);
/* Wakes whoever shares a joined room with the user. On a worker. */
void mh_notify_sharers_now(struct mh_server *server, mh_nid user);

/* --- for those who wait --------------------------------------------------- */

struct mh_waiter {
	mh_nid user;
	/*
	 * Called at most once after mh_waiter_add, on any thread, with the
	 * waiter already removed: short, submits a task. `stopping` when the
	 * node stops.
	 */
	void (*wake)(struct mh_waiter *waiter, bool stopping);
	struct mh_waiter *prev, *next; /* the notifier's */
	bool waiting;		       /* the notifier's */
};

/*
 * A ticket says what a user had been told of so far. Take it before reading the
 * store; mh_waiter_add() with a ticket that is out of date wakes at once, so
 * nothing falls between reading and waiting.
 */
uint64_t mh_notifier_ticket(struct mh_server *server, mh_nid user);
void mh_waiter_add(struct mh_server *server, struct mh_waiter *waiter,
		   uint64_t ticket);
/* True when it was still waiting and now is not. */
bool mh_waiter_remove(struct mh_server *server, struct mh_waiter *waiter);

struct mh_notifier *mh_notifier_new(struct mh_server *server);
void mh_notifier_stop(struct mh_notifier *notifier);
void mh_notifier_free(struct mh_notifier *notifier);
