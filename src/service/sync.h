/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sync builder: one for GET /sync and for the live channel.
 *
 * A token is s<pos>_<ephemeral>_<boot>: the position in the global sequence, the
 * position in the in-memory sequence of typing and presence, and the boot it
 * belongs to (on mismatch the current values are sent). When not all to-device
 * messages fit, _<to_device> follows: how far they went.
 *
 * The parts of a response come from
 *	sync.c		the frame, account data, encryption, presence
 *	sync_rooms.c	one room
 *	sync_timeline.c	its events
 *	sync_state.c	its state
 *	sync_members.c	its summary, and which members a device knows
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

struct mh_sync_token {
	int64_t pos;
	int64_t ephemeral;
	int64_t to_device; /* usually pos; to-device messages up to here */
	bool same_boot; /* `ephemeral` belongs to this run of the node */
};
/* M_INVALID_PARAM when it is none of ours. */
int mh_sync_token_parse(const struct mh_server *server, struct mh_str text,
			struct mh_sync_token *ret, struct mh_error *err);
void mh_sync_token_add(const struct mh_server *server,
		       const struct mh_sync_token *token, struct mh_strbuf *out);

/*
 * A place in a room's timeline, for prev_batch and for the tokens of /messages:
 * t<depth>_<pos>, the place of an event. Reading backwards from it begins with
 * the event before, forwards with the event after it. /messages takes tokens of
 * /sync as well.
 */
struct mh_page_token {
	int64_t depth, pos;
};
/* M_INVALID_PARAM. */
int mh_page_token_parse(struct mh_str text, struct mh_page_token *ret,
			struct mh_error *err);
void mh_page_token_add(const struct mh_page_token *token,
		       struct mh_strbuf *out);

struct mh_filter; /* core/filter.h */

struct mh_sync_query {
	const struct mh_requester *who;
	const struct mh_filter *filter; /* never NULL */
	bool has_since;
	struct mh_sync_token since;
	bool full_state;
	bool use_state_after;
};

/*
 * Appends the whole response object. `ret_empty` is set when there was nothing
 * to tell beyond a new token, so that the caller may rather wait. `ret_token`
 * (may be NULL) is the response's next_batch. On a worker, with its connection
 * `db` and no snapshot open.
 */
int mh_sync_build(struct mh_server *server, struct mh_db *db,
		  const struct mh_sync_query *query, struct mh_strbuf *out,
		  bool *ret_empty, struct mh_sync_token *ret_token,
		  struct mh_error *err);

/* What the builder remembers between requests. */
struct mh_sync *mh_sync_new(struct mh_server *server);
void mh_sync_free(struct mh_sync *sync);
