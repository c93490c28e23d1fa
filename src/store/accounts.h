/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, devices, sessions and the node's own keys
 * (schema/002_accounts.sql). Strings of results live in the arena; callbacks
 * return 1 to go on, 0 to stop, -1 with `err` filled, and what they are given
 * is valid during the call.
 */
#pragma once

#include "base/arena.h"
#include "store/names.h"

/* --- accounts ------------------------------------------------------------ */

struct mh_account {
	mh_nid user;
	struct mh_str password_hash; /* libsodium's string; empty: none */
	int64_t created_ts;	     /* milliseconds */
	bool deactivated, admin, locked, suspended;
};

/* M_USER_IN_USE when the user has or had an account. */
int mh_account_add(struct mh_tx *tx, mh_nid user, struct mh_str password_hash,
		   bool admin, int64_t now, struct mh_error *err);
/* 1, 0, -1. */
int mh_account_get(struct mh_db *db, mh_nid user, struct mh_arena *arena,
		   struct mh_account *ret, struct mh_error *err);
int mh_account_set_password(struct mh_tx *tx, mh_nid user,
			    struct mh_str password_hash, struct mh_error *err);
/* Forgets the password for good. */
int mh_account_deactivate(struct mh_tx *tx, mh_nid user, struct mh_error *err);
int mh_account_set_admin(struct mh_tx *tx, mh_nid user, bool admin,
			 struct mh_error *err);
int mh_account_each(struct mh_db *db,
		    int (*each)(void *context, const struct mh_account *account,
				struct mh_error *err),
		    void *context, struct mh_error *err);

/* --- devices ------------------------------------------------------------- */

struct mh_device {
	mh_nid user, device;	    /* nid of the device ID */
	struct mh_str device_id;
	struct mh_str display_name; /* data NULL: none */
	struct mh_str last_seen_ip; /* data NULL: none */
	int64_t last_seen_ts;
};

/* Makes the device, or renames an existing one when a name is given. */
int mh_device_put(struct mh_tx *tx, mh_nid user, mh_nid device,
		  struct mh_str display_name, int64_t now, struct mh_error *err);
int mh_device_seen(struct mh_tx *tx, mh_nid user, mh_nid device,
		   struct mh_str ip, int64_t now, struct mh_error *err);
/* 1, 0, -1. */
int mh_device_get(struct mh_db *db, mh_nid user, mh_nid device,
		  struct mh_arena *arena, struct mh_device *ret,
		  struct mh_error *err);
int mh_device_each(struct mh_db *db, mh_nid user,
		   int (*each)(void *context, const struct mh_device *device,
			       struct mh_error *err),
		   void *context, struct mh_error *err);
/* The device and its sessions. */
int mh_device_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
		     struct mh_error *err);

/* --- sessions ------------------------------------------------------------ */

struct mh_session_row {
	int64_t session;
	mh_nid user, device;
	int64_t current;
	bool pending, refreshes;
	struct mh_str user_id, device_id;
	bool locked, suspended, admin; /* the account's */
};

/* Returns the session's number, or -1. */
int64_t mh_session_add(struct mh_tx *tx, mh_nid user, mh_nid device,
		       bool refreshes, int64_t now, struct mh_error *err);
/* 1 and the row without names, 0, -1. */
int mh_session_get(struct mh_db *db, int64_t session,
		   struct mh_session_row *ret, struct mh_error *err);
/* Fills in what the row says of the account. M_UNKNOWN when there is none. */
int mh_session_account(struct mh_db *db, mh_nid user,
		       struct mh_session_row *row, struct mh_error *err);
/* All sessions of a device, which stays. */
int mh_device_sessions_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
			      struct mh_error *err);
int mh_session_set(struct mh_tx *tx, int64_t session, int64_t current,
		   bool pending, struct mh_error *err);
int mh_session_delete(struct mh_tx *tx, int64_t session, struct mh_error *err);
/* All of them, when the node starts. */
int mh_session_each(struct mh_db *db,
		    int (*each)(void *context, const struct mh_session_row *row,
				struct mh_error *err),
		    void *context, struct mh_error *err);

/* --- the node's keys ------------------------------------------------------ */

int mh_token_key_add(struct mh_tx *tx, struct mh_str kid, struct mh_str secret,
		     int64_t now, struct mh_error *err);
/* Oldest first. */
int mh_token_key_each(struct mh_db *db,
		      int (*each)(void *context, struct mh_str kid,
				  struct mh_str secret, int64_t created_ts,
				  struct mh_error *err),
		      void *context, struct mh_error *err);
int mh_signing_key_add(struct mh_tx *tx, struct mh_str key_id,
		       struct mh_str seed, int64_t now, struct mh_error *err);
/* The newest: 1, 0 (none yet), -1. */
int mh_signing_key_get(struct mh_db *db, struct mh_arena *arena,
		       struct mh_str *ret_key_id, struct mh_str *ret_seed,
		       struct mh_error *err);

/* --- registration tokens -------------------------------------------------- */

struct mh_registration_token {
	struct mh_str token;
	int64_t uses_allowed; /* -1: any number */
	int64_t completed;
	int64_t expiry_ts; /* 0: never */
};

/* M_INVALID_PARAM when it exists. */
int mh_registration_token_add(struct mh_tx *tx,
			      const struct mh_registration_token *token,
			      int64_t now, struct mh_error *err);
/* Is it good now? 1, 0, -1. */
int mh_registration_token_valid(struct mh_db *db, struct mh_str token,
				int64_t now, struct mh_error *err);
/* Counts one use; 1, or 0 when it is not good (any more). */
int mh_registration_token_use(struct mh_tx *tx, struct mh_str token,
			      int64_t now, struct mh_error *err);
/* 1 deleted, 0 there was none, -1. */
int mh_registration_token_delete(struct mh_tx *tx, struct mh_str token,
				 struct mh_error *err);
int mh_registration_token_each(
	struct mh_db *db,
	int (*each)(void *context, const struct mh_registration_token *token,
		    struct mh_error *err),
	void *context, struct mh_error *err);
