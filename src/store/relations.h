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
