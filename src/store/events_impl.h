/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about events and state share. Private to store/. */
#pragma once

#include "store/caches.h"
#include "store/events.h"

/* The columns that mh_event_row_read() reads, of `events AS e`. */
#define MH_EVENT_COLUMNS                                                       \
	"e.nid, e.event_id, e.room, e.type, e.state_key, e.sender, e.pos,"     \
	" e.state_before, e.state_after, e.flags, e.redacted_by, e.json"

/* Events of the timeline; what the partial indexes are about. */
#define MH_EVENT_VISIBLE "e.pos IS NOT NULL AND e.flags & 23 = 0"
_Static_assert((MH_EVENT_OUTLIER | MH_EVENT_REJECTED | MH_EVENT_SOFT_FAILED |
		MH_EVENT_HIDDEN) == 23,
	       "the indexes of schema/001_rooms.sql say 23");

/* What waits for an event that is not here: missing.kind. */
enum mh_missing_kind {
	MH_MISSING_PREV = 1,	  /* a backward extremity of the DAG */
	MH_MISSING_REDACTED = 2,  /* redacted before it came */
	MH_MISSING_PARENT = 3,	  /* `event` relates to it */
};

/* A row of a query whose columns begin with MH_EVENT_COLUMNS; -1 if damaged. */
int mh_event_row_read(struct mh_stmt *st, struct mh_event_row *ret,
		      struct mh_error *err);
typedef int mh_event_row_fn(void *context, const struct mh_event_row *row,
			    struct mh_error *err);
/* Calls `each` for all rows of such a query. */
int mh_event_rows_each(struct mh_stmt *st, mh_event_row_fn *each, void *context,
		       struct mh_error *err);

/*
 * The running batch has changed or inserted this event: remembers the new row
 * until the batch ends, and hides the cache's.
 */
void mh_event_changed(struct mh_tx *tx, const struct mh_event_row *row);

int mh_missing_add(struct mh_tx *tx, struct mh_str event_id,
		   enum mh_missing_kind kind, mh_nid event, mh_nid room,
		   struct mh_error *err);
int mh_missing_remove(struct mh_tx *tx, struct mh_str event_id,
		      enum mh_missing_kind kind, struct mh_error *err);
/* An event has come: settles what waited for it, redactions apart. */
int mh_missing_arrived(struct mh_tx *tx, const struct mh_event_row *row,
		       struct mh_error *err);
/* The redacted event relates to nothing any more. */
int mh_relations_remove(struct mh_tx *tx, mh_nid child, struct mh_error *err);

/* The rules of a room, which never change. NULL and `err` for damage. */
const struct mh_room_rules *mh_room_rules_of(struct mh_db *db, mh_nid room,
					     struct mh_error *err);
