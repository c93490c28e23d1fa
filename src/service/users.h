/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts of this node: making, finding and closing them. Whoever asks (a
 * client, a deployment tool, mootctl) goes through here.
 */
#pragma once

#include "service/server.h"
#include "store/accounts.h"

/*
 * The user ID that `name`, as a person wrote it, would have here: "Alice",
 * "alice" and "@alice:our.name" give @alice:our.name. In the arena.
 * M_INVALID_USERNAME.
 */
int mh_user_id_of(const struct mh_server *server, struct mh_str name,
		  struct mh_arena *arena, struct mh_str *ret,
		  struct mh_error *err);
/* A random user ID that is most likely free. */
struct mh_str mh_user_id_random(const struct mh_server *server,
				struct mh_arena *arena);

/* Whether the user ID can be registered: 0, or -1 with M_USER_IN_USE. */
int mh_user_available(struct mh_db *db, struct mh_str user_id,
		      struct mh_error *err);
/* The account of a user ID: 1, 0 (also for other servers' users), -1. */
int mh_user_find(struct mh_db *db, struct mh_str user_id,
		 struct mh_arena *arena, struct mh_account *ret,
		 struct mh_error *err);

/* In a write job. M_USER_IN_USE. `password_hash` as mh_password_hash() gives. */
int mh_user_create(struct mh_server *server, struct mh_tx *tx,
		   struct mh_str user_id, struct mh_str password_hash,
		   bool admin, mh_nid *ret_user, struct mh_error *err);
/*
 * In a write job: the new password, and with `logout` the end of all devices
 * but `except` (0: none).
 */
int mh_user_set_password(struct mh_server *server, struct mh_tx *tx,
			 mh_nid user, struct mh_str password_hash, bool logout,
			 mh_nid except, struct mh_error *err);
/* In a write job: closes the account for good, and ends all of its devices. */
int mh_user_deactivate(struct mh_server *server, struct mh_tx *tx, mh_nid user,
		       struct mh_error *err);
