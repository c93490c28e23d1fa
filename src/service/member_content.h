/* SPDX-License-Identifier: Apache-2.0 */
/* What membership events take from accounts: profiles, and invitees' wishes. */
#pragma once

#include "core/json.h"
#include "service/server.h"

/* Adds `displayname` and `avatar_url` of a local user to a member's content. */
int mh_member_add_profile(struct mh_server *server, struct mh_db *db,
			  struct mh_str user_id, json_t *content,
			  struct mh_error *err);
/*
 * M_INVITE_BLOCKED when the invitee, a user of this server, takes no invites
 * ("Invite permission").
 */
int mh_invite_allowed(struct mh_server *server, struct mh_db *db,
		      struct mh_str sender, struct mh_str target,
		      struct mh_error *err);
