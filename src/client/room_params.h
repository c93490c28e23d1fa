/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers about rooms share. */
#pragma once

#include "client/client.h"
#include "service/room_aliases.h"
#include "service/room_membership.h"
#include "service/rooms.h"

/*
 * The room of the path's n-th parameter. A room that this node does not know
 * is answered like one that the user is not in: M_FORBIDDEN.
 */
int mh_client_room(struct mh_request *req, size_t param, mh_nid *ret,
		   struct mh_error *err);
/* The same, but M_NOT_FOUND. */
int mh_client_known_room(struct mh_request *req, size_t param, mh_nid *ret,
			 struct mh_error *err);

struct mh_alias_user mh_client_alias_user(const struct mh_request *req);

/*
 * Runs the change, which lives in the arena, as a write job and replies {}, or
 * the room's ID if `reply_room`. Sender and kind of sender are filled in.
 */
int mh_client_change_member(struct mh_request *req,
			    struct mh_member_change *change, bool reply_room);
/* A change with the body's `reason`. */
int mh_client_member_change(struct mh_request *req,
			    enum mh_member_action action, mh_nid room,
			    struct mh_member_change **ret,
			    struct mh_error *err);
/* The change is about the body's `user_id`: invite, kick, ban, unban. */
int mh_client_change_other(struct mh_request *req,
			   enum mh_member_action action, struct mh_error *err);
