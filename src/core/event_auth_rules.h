/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between event_auth.c, which runs down the rules, and event_auth_member.c,
 * which holds the long rule for m.room.member. Nobody else includes this.
 */
#pragma once

#include "core/event_auth.h"

/* One event under examination. All is borrowed but `own_levels`. */
struct mh_auth_context {
	const struct mh_event *event;
	const struct mh_room_rules *rules;
	const struct mh_auth_state *state;
	const struct mh_event *create;
	bool signed_by_authoriser;
	/* Parsed when first asked for; a join to a public room needs none. */
	const struct mh_power_levels *levels;
	struct mh_power_levels *own_levels;
	struct mh_error *err; /* why there are no levels */
};

struct mh_verdict mh_auth_accept(void);
struct mh_verdict mh_auth_reject(const char *format, ...) MH_PRINTF(1, 2);

/*
 * The room's power levels, or NULL when the event that should hold them is
 * malformed: then return mh_auth_no_levels(context).
 */
const struct mh_power_levels *mh_auth_levels(struct mh_auth_context *context);
struct mh_verdict mh_auth_no_levels(const struct mh_auth_context *context);

/* The membership of a user in the state; empty when there is none. */
struct mh_str mh_auth_membership(const struct mh_auth_context *context,
				 struct mh_str user_id);

struct mh_verdict mh_auth_member(struct mh_auth_context *context);
