/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relations: the index (parent, rel_type, type, sender) that serves
 * aggregations, threads and /relations. A child may come before its parent, so
 * the parent is known by its event ID.
 */
#pragma once

#include "store/events.h"

/*
 * Records that `child` (inserted before) relates to the event `parent_id`. `key`
 * is an annotation's, else data NULL.
 */
int mh_relations_add(struct mh_tx *tx, const struct mh_event_row *child,
		     struct mh_str parent_id, struct mh_str rel_type,
		     struct mh_str key, struct mh_error *err);
/*
 * Did this sender annotate the parent with this key already, by an event of
 * this type that is not redacted? 1, 0, -1.
 */
int mh_relations_annotated(struct mh_db *db, struct mh_str parent_id,
			   mh_nid type, mh_nid sender, struct mh_str key,
			   struct mh_error *err);

/* --- aggregations --------------------------------------------------------- */

/*
 * The edit that replaces an event now: of the m.replace events of the same
 * sender and type, the one with the latest origin_server_ts, then the greatest
 * event ID. 1, 0, -1.
 */
int mh_relations_edit(struct mh_db *db, const struct mh_event_row *parent,
		      struct mh_event_row *ret, struct mh_error *err);
/* The events that refer to `parent` by m.reference, oldest first. */
int mh_relations_references(struct mh_db *db, mh_nid parent,
			    int (*each)(void *context,
					const struct mh_event_row *row,
					struct mh_error *err),
			    void *context, struct mh_error *err);

struct mh_thread {
	mh_nid root, latest; /* events */
	int64_t latest_pos;
	int64_t replies;
};
/* 1, 0 (the event is no thread's root), -1. */
int mh_thread_get(struct mh_db *db, mh_nid root, struct mh_thread *ret,
		  struct mh_error *err);
/* Did the user reply in the thread, or send its root? 1, 0, -1. */
int mh_thread_participated(struct mh_db *db, mh_nid root, mh_nid user,
			   struct mh_error *err);
/*
 * The threads of a room with latest_pos < `before`, most recently active first.
 * `user` not 0: only those the user took part in. `each` 1 / 0 / -1.
 */
int mh_threads_list(struct mh_db *db, mh_nid room, mh_nid user, int64_t before,
		    size_t limit,
		    int (*each)(void *context, const struct mh_thread *thread,
				struct mh_error *err),
		    void *context, struct mh_error *err);

/* A page of the events that relate to another: /relations. */
struct mh_relations_query {
	mh_nid parent;
	struct mh_str rel_type, type; /* data NULL: any */
	bool backwards;		      /* newest first */
	int64_t pos; /* start after this position (exclusive) in that
		      * direction */
	bool recurse; /* also what relates to what relates to it: 3 levels */
	size_t limit;
};
int mh_relations_page(struct mh_db *db, const struct mh_relations_query *query,
		      int (*each)(void *context, const struct mh_event_row *row,
				  struct mh_error *err),
		      void *context, struct mh_error *err);
