/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the notifier keeps in memory, for the files that build on it (notifier.c,
 * recent.c, user_rooms.c, sync*.c). One mutex guards all of it; it is held for
 * moments only and never across a query.
 *
 * The memory is complete up to the committed position: write jobs register what
 * they changed, it is applied after COMMIT and before mh_store_position() moves
 * on. It may be newer than what a reader sees of the database, never older; so
 * a reader ignores what lies above its own position.
 *
 * Everything here begins empty and is filled as it is asked for. What is not
 * known counts as changed.
 */
#pragma once

#include "service/nid_map.h"
#include "service/notifier.h"

#include <pthread.h>

/* --- recent events ------------------------------------------------------ */

/* Events kept of one room; and bytes over all rooms, a part of the budget. */
#define MH_TAIL_MAX 64
#define MH_TAIL_BUDGET_PART 8

/*
 * One timeline event as clients get it. Immutable, counted references. `json`
 * lacks `unsigned` and the closing brace; `extra` holds those members of
 * `unsigned` that are the same for everyone ("prev_content":{..},...).
 */
struct mh_recent {
	int refs; /* atomic */
	struct mh_event_row row;
	bool shared; /* history visibility lets in who is joined now */
	bool fresh;  /* came while the node ran: nothing relates to it unless
		      * `related` says so */
	bool related; /* atomic: another event refers to it */
	struct mh_str json, extra;
	size_t bytes; /* of memory */
};

/*
 * Reads what belongs to `row` and its event (which is referred to) from the
 * database. For readers in a snapshot, and for write jobs.
 */
int mh_recent_new(struct mh_notifier *notifier, struct mh_db *db,
		  const struct mh_event_row *row, struct mh_recent **ret,
		  struct mh_error *err);
struct mh_recent *mh_recent_ref(struct mh_recent *recent);
void mh_recent_unref(struct mh_recent *recent);
MH_DEFINE_CLEANUP(struct mh_recent *, mh_recent_unref)

/* --- rooms -------------------------------------------------------------- */

struct mh_state_view; /* sync_state.c */

struct mh_room_entry {
	mh_nid room;
	struct mh_str room_id; /* set once, never freed before the notifier */

	bool latest_known;
	int64_t latest_pos;    /* of the newest timeline event */
	int64_t other_pos;     /* nothing else (receipts) changed above it */
	int64_t members_pos;   /* no membership changed above it */
	int64_t ephemeral_pos; /* in the ephemeral sequence: typing */
	int64_t redacted_pos;  /* no event was redacted above it */

	/* Joined local members, sorted; nobody is told of others. */
	bool members_known;
	mh_nid *members;
	size_t n_members, cap_members;

	/* Every timeline event with a position above tail_from, oldest first. */
	struct mh_recent *tail[MH_TAIL_MAX];
	size_t n_tail;
	int64_t tail_from;
	struct mh_room_entry *newer, *older; /* by use of the tail */
	bool pending; /* its members are to be woken */

	/* Whether a state group's history visibility is open to members. */
	int64_t shared_group;
	bool shared;

	/* Of sync_state.c and sync_members.c; under their own mutex. */
	struct mh_state_view *view;
	struct mh_sync_summary *summary;
};

/* --- users -------------------------------------------------------------- */

struct mh_user_room {
	struct mh_room_entry *entry;
	enum mh_membership membership;
	bool forgotten;
	mh_nid event; /* the membership event */
	int64_t pos;  /* when it became current */
};

/* A user's rooms. Immutable, counted references. */
struct mh_user_rooms {
	int refs; /* atomic */
	size_t n;
	struct mh_user_room rooms[];
};
void mh_user_rooms_unref(struct mh_user_rooms *rooms);
MH_DEFINE_CLEANUP(struct mh_user_rooms *, mh_user_rooms_unref)

struct mh_user_entry {
	mh_nid user;
	uint64_t version;  /* the ticket */
	int64_t pos;	   /* nothing of the user's own changed above it */
	int64_t rooms_pos; /* no membership of theirs changed above it */
	struct mh_waiter *waiters;
	bool pending; /* to be woken */
	struct mh_user_rooms *rooms; /* NULL: not known */
	struct mh_user_entry *newer, *older; /* by use of `rooms` */
};

struct mh_notifier {
	struct mh_server *server;
	pthread_mutex_t mutex;
	pthread_cond_t published; /* the position moved on */
	struct mh_nid_map users, rooms;
	int64_t position;	/* what is published */
	int64_t hook_pos;	/* the newest change applied */
	int64_t membership_pos; /* the newest change of a local membership */
	int64_t ephemeral;	/* atomic: the in-memory sequence */

	/* To be woken by `task`, on a worker. */
	struct mh_task task;
	bool submitted, stopping;
	struct mh_user_entry **pending_users;
	size_t n_pending_users, cap_pending_users;
	struct mh_room_entry **pending_rooms;
	size_t n_pending_rooms, cap_pending_rooms;

	struct mh_room_entry *newest_tail, *oldest_tail;
	size_t tail_bytes, tail_budget;
	struct mh_user_entry *newest_rooms, *oldest_rooms;
	size_t rooms_cached, rooms_budget; /* struct mh_user_room */
	unsigned waiting;
};

static inline void mh_notifier_lock(struct mh_notifier *notifier)
{
	pthread_mutex_lock(&notifier->mutex);
}

static inline void mh_notifier_unlock(struct mh_notifier *notifier)
{
	pthread_mutex_unlock(&notifier->mutex);
}

/* --- all of these with the mutex held ------------------------------------ */

/* Made when it is new. */
struct mh_user_entry *mh_user_entry_get(struct mh_notifier *notifier,
					mh_nid user);
/* Made when it is new, and then `room_id` is copied. */
struct mh_room_entry *mh_room_entry_get(struct mh_notifier *notifier,
					mh_nid room, struct mh_str room_id);
static inline struct mh_room_entry *
mh_room_entry_find(const struct mh_notifier *notifier, mh_nid room)
{
	return mh_nid_map_get(&notifier->rooms, room);
}

/* Is the user one of the joined local members (which must be known)? */
bool mh_room_entry_has(const struct mh_room_entry *entry, mh_nid user);

/* Appends the newest event. Takes over the reference; NULL: it is not known. */
void mh_tail_append(struct mh_notifier *notifier, struct mh_room_entry *entry,
		    int64_t pos, struct mh_recent *recent);
/*
 * Puts `n` older events (newest first) before the tail, which a reader at
 * position `at` found right below `from`; all down to `until` are among them.
 * Refers to them. Nothing happens if the tail has changed meanwhile.
 */
void mh_tail_prepend(struct mh_notifier *notifier, struct mh_room_entry *entry,
		     int64_t at, int64_t from, struct mh_recent **older,
		     size_t n, int64_t until);
void mh_tail_drop(struct mh_notifier *notifier, struct mh_room_entry *entry);
void mh_tail_used(struct mh_notifier *notifier, struct mh_room_entry *entry);

void mh_user_rooms_forget(struct mh_notifier *notifier,
			  struct mh_user_entry *user);

/* --- and these without --------------------------------------------------- */

/*
 * The rooms of a user as of position `at`; `db` has a snapshot of exactly that
 * position, or is NULL. 1, 0 (not known without `db`), -1.
 */
int mh_user_rooms_get(struct mh_notifier *notifier, struct mh_db *db,
		      int64_t at, mh_nid user, struct mh_user_rooms **ret,
		      struct mh_error *err);
/*
 * Waits until the memory has caught up with a snapshot's position, which is a
 * matter of microseconds: the writer is about to publish it.
 */
void mh_notifier_catch_up(struct mh_notifier *notifier, int64_t pos);
/* recent.c: for mh_notifier_new(). */
size_t mh_recent_budget(const struct mh_server *server);
