/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sync builder: one for GET /sync and for the live channel.
 *
 * A token is s<pos>_<ephemeral>_<boot>: the position in the global sequence, the
 * position in the in-memory sequence of typing and presence, and the boot it
 * belongs to (on mismatch the current values are sent).
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

struct mh_sync_token {
	int64_t pos;
	int64_t ephemeral;
	bool same_boot; /* `ephemeral` belongs to this run of the node */
};
/* M_INVALID_PARAM when it is none of ours. */
int mh_sync_token_parse(const struct mh_server *server, struct mh_str text,
			struct mh_sync_token *ret, struct mh_error *err);
void mh_sync_token_add(const struct mh_server *server,
		       const struct mh_sync_token *token, struct mh_strbuf *out);

struct mh_filter; /* core/filter.h */

struct mh_sync_query {
	const struct mh_requester *who;
	const struct mh_filter *filter; /* never NULL */
	bool has_since;
	struct mh_sync_token since;
	bool full_state;
	bool use_state_after;
	struct mh_arena *arena; /* the request's */
};

/*
 * Appends the whole response object. `ret_empty` is set when there was nothing
 * to tell beyond a new token, so that the caller may rather wait.
 */
int mh_sync_build(struct mh_server *server, struct mh_db *db,
		  const struct mh_sync_query *query, struct mh_strbuf *out,
		  bool *ret_empty, struct mh_error *err);
