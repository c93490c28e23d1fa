/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, devices and sessions (tables of schema/002_accounts.sql).
 *
 * A session is what one access token chain belongs to: a device of a user, with
 * its refresh tokens. The whole table is loaded into memory at start (see
 * service/sessions.h) and changed with each commit.
 */
#pragma once

#include "store/names.h"

struct mh_account {
	mh_nid user;
	struct mh_str user_id;
	struct mh_str password_hash; /* libsodium's string; empty: none */
	bool deactivated, admin, locked, suspended, guest;
	int64_t created_ts; /* milliseconds */
};
