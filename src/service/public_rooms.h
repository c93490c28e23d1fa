/* SPDX-License-Identifier: Apache-2.0 */
/* The list of public rooms (client-server API, "Published room directory"). */
#pragma once

#include "service/rooms.h"

struct mh_public_query {
	size_t from, limit;   /* a range of the matching rooms */
	struct mh_str term;   /* in name, topic or alias; empty: any */
	bool any_type;	      /* or: */
	bool no_type;	      /* rooms without a type */
	const struct mh_str *types;
	size_t n_types;
	bool nothing; /* of a network that is not here */
};

/* Appends the whole response object. */
int mh_public_rooms(struct mh_db *db, const struct mh_public_query *query,
		    struct mh_strbuf *out, struct mh_error *err);

/*
 * Appends the members of one room's entry ("PublishedRoomsChunk"), without
 * braces: also for space hierarchies and summaries.
 */
struct mh_room_card;
int mh_room_card_load(struct mh_db *db, mh_nid room, struct mh_arena *arena,
		      struct mh_room_card **ret, struct mh_error *err);
void mh_room_card_json(const struct mh_room_card *card, struct mh_strbuf *out);
