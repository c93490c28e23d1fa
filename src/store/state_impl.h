/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about state share. Private to store/. */
#pragma once

#include "store/events_impl.h"
#include "store/state.h"

/* A list in an arena. */
struct items {
	struct mh_state_item *at;
	size_t n;
};

/* The membership of a user changes with its event; keeps the counts. */
int mh_member_set(struct mh_tx *tx, const struct mh_event_row *row,
		  struct mh_error *err);
/* The member event is no longer part of the current state. */
int mh_member_unset(struct mh_tx *tx, mh_nid room, mh_nid user, int64_t pos,
		    struct mh_error *err);
