/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters (client-server API, "Filtering"): what a client wants to see of
 * /sync, and of /messages, /context and their like.
 *
 *	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter = NULL;
 *
 *	if (mh_filter_parse(json, &filter, err) < 0)
 *		return -1;
 *	if (mh_filter_room(filter, room_id) &&
 *	    mh_event_filter_match(&filter->room.timeline, event))
 *		...
 *
 * A filter never decides what a user may see, only what it wants. Immutable
 * once parsed; any thread.
 */
#pragma once

#include "base/arena.h"
#include "core/event.h"

/* Bytes of one filter's JSON; also bounds how long matching can take. */
#define MH_FILTER_MAX_SIZE 65536

/* A list that may be absent: then it excludes nothing and includes all. */
struct mh_filter_list {
	const struct mh_str *items;
	size_t n;
	bool given;
};

/* EventFilter and RoomEventFilter in one; absent members as zeroed. */
struct mh_event_filter {
	struct mh_filter_list types, not_types; /* '*' is a wildcard */
	struct mh_filter_list senders, not_senders;
	struct mh_filter_list rooms, not_rooms;
	bool has_limit;
	int64_t limit; /* see mh_event_filter_limit() */
	bool has_contains_url, contains_url;
	bool lazy_load_members;
	bool include_redundant_members;
	bool unread_thread_notifications;
};

struct mh_filter {
	unsigned refs; /* atomic; private */
	struct mh_arena arena;
	struct mh_str json; /* the bytes it was parsed from */

	struct mh_event_filter presence, account_data;
	struct {
		struct mh_filter_list rooms, not_rooms; /* mh_filter_room() */
		bool include_leave;
		struct mh_event_filter ephemeral, state, timeline, account_data;
	} room;
	bool federation_format; /* event_format: raw PDUs are wanted */
	/* event_fields, each a list of keys; see mh_filter_event_fields() */
	const struct mh_filter_list *fields;
	size_t n_fields;
	bool has_fields;
};

/* The filter that lets everything pass: a new reference. */
struct mh_filter *mh_filter_default(void);

/*
 * Parses a whole filter. M_NOT_JSON; M_BAD_JSON for members of the wrong type;
 * M_INVALID_PARAM for values that make no sense; M_TOO_LARGE. Unknown members
 * are ignored.
 */
int mh_filter_parse(struct mh_str json, struct mh_filter **ret,
		    struct mh_error *err);
struct mh_filter *mh_filter_ref(struct mh_filter *filter);
void mh_filter_unref(struct mh_filter *filter); /* takes NULL */
MH_DEFINE_CLEANUP(struct mh_filter *, mh_filter_unref)

/*
 * Parses a RoomEventFilter alone: the `filter` parameter of /messages and
 * /context. What it points to is in `arena`. Errors as above.
 */
int mh_event_filter_parse(struct mh_str json, struct mh_arena *arena,
			  struct mh_event_filter *ret, struct mh_error *err);

/* Does the filter's `room` part want this room at all? */
bool mh_filter_room(const struct mh_filter *filter, struct mh_str room_id);

/* Does the filter want this event? Looks at every member. */
bool mh_event_filter_match(const struct mh_event_filter *filter,
			   const struct mh_event *event);
/*
 * The same for what is no event: presence, account data, ephemeral events.
 * `sender` with data NULL is not looked at.
 */
bool mh_event_filter_match_type(const struct mh_event_filter *filter,
				struct mh_str type, struct mh_str sender);
/* `rooms` and `not_rooms` alone. */
bool mh_event_filter_match_room(const struct mh_event_filter *filter,
				struct mh_str room_id);
/* Without types, senders, rooms and contains_url: nothing need be matched. */
bool mh_event_filter_matches_all(const struct mh_event_filter *filter);

/*
 * How many events at most: the filter's own limit, or `usual` without one,
 * and never more than `max`. 0 only if the client asks for 0.
 */
size_t mh_event_filter_limit(const struct mh_event_filter *filter, size_t usual,
			     size_t max);

/*
 * Appends `event` (a JSON object as clients get it) reduced to the filter's
 * event_fields; unchanged when has_fields is false, or when it cannot be
 * taken apart (a number of an old room version that no parser takes).
 */
void mh_filter_event_fields(const struct mh_filter *filter, struct mh_str event,
			    struct mh_strbuf *out);
