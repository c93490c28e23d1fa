/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tokens with a short life, by which somebody else proves to have been
 * sent by a user: m.login.token and OpenID. Only their hash is stored.
 */
#pragma once

#include "store/names.h"

/* Stores the token, and forgets those that expired before `now`. */
int mh_short_token_add(struct mh_tx *tx, const char *use, struct mh_str token,
		       mh_nid user, int64_t expires_ts, int64_t now,
		       struct mh_error *err);
/* Whose token is it? 1, 0 (unknown or expired), -1. */
int mh_short_token_get(struct mh_db *db, const char *use, struct mh_str token,
		       int64_t now, mh_nid *ret_user, struct mh_error *err);
/* The same, and the token is not good any more. */
int mh_short_token_take(struct mh_tx *tx, const char *use, struct mh_str token,
			int64_t now, mh_nid *ret_user, struct mh_error *err);
