/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memberships: joining, leaving, inviting, kicking, banning, knocking. One
 * function for all of them, whichever endpoint asks, so that no way around a
 * check exists (client-server API, "Room membership").
 */
#pragma once

#include "core/json.h"
#include "service/rooms.h"

enum mh_member_action {
	MH_MEMBER_JOIN,
	MH_MEMBER_LEAVE, /* or reject an invite, or take a knock back */
	MH_MEMBER_INVITE,
	MH_MEMBER_KICK,
	MH_MEMBER_BAN,
	MH_MEMBER_UNBAN,
	MH_MEMBER_KNOCK,
};

struct mh_member_change {
	enum mh_member_action action;
	mh_nid room;
	struct mh_str sender; /* local user ID */
	struct mh_str target; /* the sender's, when it is about themselves */
	struct mh_str reason; /* or empty */
	bool is_direct;	      /* of an invite */
	bool sender_is_guest;
	/*
	 * The whole content, from PUT state: an event is made even if the
	 * membership stays what it is. NULL: the content is made here.
	 */
	const json_t *content;
};

/*
 * In a write job. `ret_row` (may be NULL) has no event when the membership was
 * so already. M_FORBIDDEN, M_INVITE_BLOCKED, M_BAD_STATE (not banned),
 * M_GUEST_ACCESS_FORBIDDEN, M_NOT_FOUND.
 */
int mh_room_change_member(struct mh_server *server, struct mh_tx *tx,
			  const struct mh_member_change *change,
			  struct mh_event_row *ret_row, struct mh_error *err);

/*
 * What a content from PUT state asks for. -1 with M_BAD_JSON when its
 * membership is none.
 */
int mh_member_action_of(const json_t *content, struct mh_str sender,
			struct mh_str target, enum mh_member_action *ret,
			struct mh_error *err);

/* In a write job: M_UNKNOWN 400 unless the user has left. */
int mh_room_forget(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		   mh_nid user, struct mh_error *err);
