/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization rules of every room version (rooms/v*.md, "Authorisation
 * rules"). A verdict, not an error: accept or reject with a reason.
 *
 * The rules look at the state that the auth events name. The caller gives that
 * state as a lookup; core never calls back for data it did not announce: first
 * mh_event_auth_types() tells which (type, state_key) pairs the event needs.
 */
#pragma once

#include "core/power_levels.h"

struct mh_state_key {
	struct mh_str type, state_key;
};
#define MH_AUTH_TYPES_MAX 8

/*
 * "Auth events selection": the pairs whose events authorise an event of this
 * type by this sender. `out` has room for MH_AUTH_TYPES_MAX; returns how many.
 * Borrows from the arguments. `content` matters for m.room.member only, and is
 * canonical JSON there; a state key that `content` holds escaped is decoded
 * into `scratch`, which must live as long as `out`. The create event is listed
 * first even in version 12, where it is needed by the rules but not put into
 * auth_events: see rules->room_id_is_create.
 */
size_t mh_event_auth_types(const struct mh_room_rules *rules,
			   struct mh_str type, struct mh_str state_key,
			   struct mh_str sender, struct mh_str content,
			   struct mh_state_key *out, struct mh_strbuf *scratch);

/*
 * A small set of state events, at most one a (type, state_key). Borrows.
 * `levels` saves parsing: when it is not NULL it is mh_power_levels_new() of
 * the create and power levels events that are in here (or of no power levels
 * event, if there is none).
 */
struct mh_auth_state {
	const struct mh_event *events[MH_AUTH_TYPES_MAX + 2];
	size_t n;
	const struct mh_power_levels *levels;
};
/* Adds an event; NULL is ignored, so that lookups need no check. */
void mh_auth_state_add(struct mh_auth_state *state,
		       const struct mh_event *event);
const struct mh_event *mh_auth_state_get(const struct mh_auth_state *state,
					 const char *type,
					 struct mh_str state_key);

struct mh_verdict {
	bool accepted;
	char reason[160]; /* for logs and M_FORBIDDEN; empty when accepted */
};

/*
 * Rules that need nothing but the event and its auth events (rules 1 to 3 of
 * version 12 and their like): duplicates, types that do not belong, rejected
 * ones (`auth_rejected[i]`), rooms that differ, and then the rules against the
 * state that these auth events make. `create` is the room's create event when
 * it was accepted, else NULL; it matters in version 12 only, before that it is
 * among the auth events. `signed_by_authoriser` as below.
 */
struct mh_verdict mh_event_auth_events_check(
	const struct mh_event *event, const struct mh_event *const *auth_events,
	const bool *auth_rejected, size_t n_auth_events,
	const struct mh_event *create, bool signed_by_authoriser);

/*
 * The rules from "m.federate" on against a state: the state before the event,
 * the current state (soft-fail), or the auth events' own. `state` must hold all
 * of mh_event_auth_types() that exist. `signed_by_authoriser` says whether
 * content.join_authorised_via_users_server's server signed the event; pass true
 * where that was checked before or for local events this node signs.
 */
struct mh_verdict mh_event_auth_check(const struct mh_event *event,
				      const struct mh_auth_state *state,
				      bool signed_by_authoriser);
