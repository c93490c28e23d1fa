/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: the PDUs and what the node knows about them.
 *
 * Order. `pos` is the position in the global sequence: timeline events have a
 * positive one, backfilled events a negative one (ever smaller), outliers (known
 * only as somebody's auth or state event) none, 0. /sync orders by pos,
 * /messages by (depth, pos).
 */
#pragma once

#include "core/event.h"
#include "store/names.h"

enum mh_event_flags {
	MH_EVENT_OUTLIER = 1 << 0,
	MH_EVENT_REJECTED = 1 << 1,    /* failed the authorization rules */
	MH_EVENT_SOFT_FAILED = 1 << 2, /* not sent to clients, not a parent */
	MH_EVENT_REDACTED = 1 << 3,    /* stored bytes are the redacted form */
	/*
	 * A redaction that does not apply (its target is unknown yet, or its
	 * sender may not): part of the DAG, but not shown to clients.
	 */
	MH_EVENT_HIDDEN = 1 << 4,
};

/* What the store knows about an event. Zeroed by mh_event_row_release. */
struct mh_event_row {
	mh_nid nid; /* the event's own number (not in the names table) */
	mh_nid room, type, sender;
	mh_nid state_key;     /* 0: not a state event */
	int64_t pos;	      /* see above */
	int64_t state_before; /* state group before it; 0 for outliers */
	int64_t state_after;  /* state group after it */
	mh_nid redacted_by;   /* nid of the redaction event, or 0 */
	unsigned flags;	      /* enum mh_event_flags */
	struct mh_event *event;
};
void mh_event_row_release(struct mh_event_row *row);

/*
 * Gives the event its nid and interns its names before it is inserted, so that
 * the state group after a state event can name it.
 */
int mh_events_reserve(struct mh_tx *tx, struct mh_event_row *row,
		      struct mh_error *err);
/*
 * Inserts the event with the meta data of `row` (nid is assigned and set unless
 * it was reserved, names are interned and set; pos as given). State events get
 * edges to those of their auth events that are stored (in room version 12 the
 * create event, which auth_events leaves out, has none either: it is
 * mh_room.create_event). prev_events that are not in the timeline become
 * backward extremities. An event that was stored as an outlier takes its place
 * in the timeline, with the nid it had: a message's may change here. Any other
 * event that is stored already is a failure.
 */
int mh_events_insert(struct mh_tx *tx, struct mh_event_row *row,
		     struct mh_error *err);

/* 1 found, 0 not, -1 failed. A cache of recent events answers first. */
int mh_events_get(struct mh_db *db, struct mh_str event_id,
		  struct mh_event_row *ret, struct mh_error *err);
int mh_events_get_nid(struct mh_db *db, mh_nid event, struct mh_event_row *ret,
		      struct mh_error *err);
/* The event's number without its bytes; 0 unknown, -1 failed. */
mh_nid mh_events_find(struct mh_db *db, struct mh_str event_id,
		      struct mh_error *err);

/*
 * A page of a room's timeline: events without outliers, rejected, soft-failed
 * and hidden ones, by (depth, pos) or by pos.
 */
enum mh_timeline_order { MH_BY_POS, MH_BY_DEPTH };
struct mh_timeline_query {
	mh_nid room;
	enum mh_timeline_order order;
	bool backwards;	   /* newest first */
	int64_t depth, pos; /* start after this place (exclusive) in that
			     * direction; depth is ignored by MH_BY_POS */
	int64_t until_pos; /* MH_BY_POS: stop at it: forwards inclusive,
			    * backwards exclusive; 0 forwards: no end */
	size_t limit;	   /* rows at most */
};
/*
 * Calls `each` a row; the row is released after it (mh_event_ref() the event to
 * keep it). `each` returns 1 to go on, 0 to stop, -1 with `err` filled.
 */
int mh_events_timeline(struct mh_db *db, const struct mh_timeline_query *query,
		       int (*each)(void *context, const struct mh_event_row *row,
				   struct mh_error *err),
		       void *context, struct mh_error *err);

/* The auth events of a state event, as event nids. */
int mh_events_auth_edges(struct mh_db *db, mh_nid event,
			 int (*each)(void *context, mh_nid auth_event),
			 void *context, struct mh_error *err);

/*
 * Replaces the stored bytes of `target` by their redacted form and records who
 * redacted it; relations of the target that its content made go too.
 */
int mh_events_redact(struct mh_tx *tx, const struct mh_event_row *target,
		     mh_nid redaction, struct mh_error *err);

/*
 * Redactions that came before their target: remembered by the target's event ID
 * until it comes. `each` gets the redaction's nid.
 */
int mh_redactions_await(struct mh_tx *tx, struct mh_str target_id,
			mh_nid redaction, struct mh_error *err);
int mh_redactions_awaiting(struct mh_db *db, struct mh_str target_id,
			   int (*each)(void *context, mh_nid redaction),
			   void *context, struct mh_error *err);
int mh_redactions_arrived(struct mh_tx *tx, struct mh_str target_id,
			  struct mh_error *err);
/* Shows a hidden event: clears the flag and moves it to `pos`. */
int mh_events_unhide(struct mh_tx *tx, mh_nid event, int64_t pos,
		     struct mh_error *err);

/* The event nearest to a time: /timestamp_to_event. 1, 0, -1. */
int mh_events_nearest(struct mh_db *db, mh_nid room, int64_t ts, bool forwards,
		      struct mh_event_row *ret, struct mh_error *err);

/* Forward extremities of a room: the DAG's leaves, at most 20 returned. */
struct mh_extremity {
	mh_nid event;
	int64_t depth, state_after;
	struct mh_str event_id; /* of the arena */
};
int mh_extremities_get(struct mh_db *db, mh_nid room, struct mh_arena *arena,
		       struct mh_extremity **ret, size_t *ret_n,
		       struct mh_error *err);
/* Makes the event of `row` a leaf and its stored prev events none. */
int mh_extremities_advance(struct mh_tx *tx, mh_nid room,
			   const struct mh_event_row *row, struct mh_error *err);
/*
 * Backward extremities of a room: prev_events that are not in the timeline,
 * each with the event that names it, latest first. `each`: 1 go on, 0 stop.
 */
int mh_extremities_backward(struct mh_db *db, mh_nid room,
			    int (*each)(void *context, struct mh_str event_id,
					mh_nid child),
			    void *context, struct mh_error *err);
