/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paging through a room's timeline (client-server API, "GET
 * /rooms/{roomId}/messages"). Places are those of struct mh_page_token; tokens
 * of /sync are taken as the place of the newest event they had seen.
 */
#pragma once

#include "core/filter.h"
#include "http/request.h"
#include "service/server.h"
#include "store/names.h"

#define MH_MESSAGES_DEFAULT 10
#define MH_MESSAGES_MAX 500
#define MH_MESSAGES_SCAN 2000 /* events looked at for one page */

struct mh_messages_query {
	const struct mh_requester *who;
	mh_nid room;
	bool backwards;
	struct mh_str from, to; /* tokens; empty: none */
	size_t limit;
	const struct mh_event_filter *filter;
};

/*
 * Appends {"start":..,"end":..,"chunk":[..],"state":[..]}; in a snapshot.
 * M_FORBIDDEN when the room is none of the user's, M_INVALID_PARAM for a
 * foreign token.
 */
int mh_messages_page(struct mh_server *server, struct mh_db *db,
		     const struct mh_messages_query *query,
		     struct mh_arena *arena, struct mh_strbuf *out,
		     struct mh_error *err);
