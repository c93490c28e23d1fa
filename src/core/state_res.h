/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution, versions 1, 2 and 2.1 (rooms/v1.md, v2.md, v12.md). Pure:
 * where it lacks events it says which, the caller loads them and calls again.
 *
 *	struct mh_state_res *res = mh_state_res_new(rules);
 *	mh_state_res_add_set(res, entries, n);		once a fork
 *	while (mh_state_res_run(res) == MH_STATE_RES_NEED)
 *		for each id of mh_state_res_needed(res): mh_state_res_give(...)
 *	mh_state_res_result(res, &entries, &n);
 */
#pragma once

#include "core/event_auth.h"

struct mh_state_entry {
	struct mh_str type, state_key, event_id;
};

struct mh_state_res;

enum mh_state_res_step {
	MH_STATE_RES_NEED, /* events are missing: see needed() */
	MH_STATE_RES_DONE, /* see result() */
};

struct mh_state_res *mh_state_res_new(const struct mh_room_rules *rules);
void mh_state_res_free(struct mh_state_res *res);
MH_DEFINE_CLEANUP(struct mh_state_res *, mh_state_res_free)

/* One of the states to resolve. Copies the strings. */
void mh_state_res_add_set(struct mh_state_res *res,
			  const struct mh_state_entry *entries, size_t n);
enum mh_state_res_step mh_state_res_run(struct mh_state_res *res);
/* The event IDs that are missing; valid until the next call. */
const struct mh_str *mh_state_res_needed(struct mh_state_res *res,
					 size_t *ret_n);
/*
 * True while auth chains are walked: for the IDs of this needed() the auth
 * events' IDs suffice, so a caller that keeps auth edges apart may answer with
 * mh_state_res_give_edges() and load no event. mh_state_res_give() is always
 * right, too.
 */
bool mh_state_res_needs_edges_only(const struct mh_state_res *res);
/* The auth_events of an event that was asked for. Copies the IDs. */
void mh_state_res_give_edges(struct mh_state_res *res, struct mh_str event_id,
			     const struct mh_str *auth_events, size_t n);
/*
 * Gives an event that was asked for (takes a reference). `rejected`: it failed
 * auth before. An event that the caller cannot find is given as NULL with its
 * ID, and is then left out as if it did not exist.
 */
void mh_state_res_give(struct mh_state_res *res, struct mh_str event_id,
		       struct mh_event *event, bool rejected);
/* After DONE. Entries borrow from `res`. Sorted by type, then state key. */
const struct mh_state_entry *mh_state_res_result(struct mh_state_res *res,
						 size_t *ret_n);
