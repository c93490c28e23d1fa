/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of devices and people, as the server keeps them for end-to-end
 * encryption (schema/004_e2ee.sql). Devices are named by (user, device ID), both
 * nids. Callbacks return 1 to go on, 0 to stop, -1 with `err` filled; what they
 * are given is valid during the call.
 */
#pragma once

#include "store/names.h"

/* --- device keys --------------------------------------------------------- */

/* 1 when they differ from what was there, 0 when the same, -1 failed. */
int mh_device_keys_set(struct mh_tx *tx, mh_nid user, mh_nid device,
		       struct mh_str json, struct mh_error *err);
/* 1 and the JSON appended, 0 none, -1. */
int mh_device_keys_get(struct mh_db *db, mh_nid user, mh_nid device,
		       struct mh_strbuf *out, struct mh_error *err);
int mh_device_keys_each(struct mh_db *db, mh_nid user,
			int (*each)(void *context, mh_nid device,
				    struct mh_str json, struct mh_error *err),
			void *context, struct mh_error *err);
/* Everything of a device that is deleted: keys, one-time keys, messages. */
int mh_device_keys_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
			  struct mh_error *err);

/* --- one-time and fallback keys ------------------------------------------ */

/*
 * 1 added, 0 there already with the same JSON, -1: with other JSON
 * (M_INVALID_PARAM) or failed.
 */
int mh_one_time_key_add(struct mh_tx *tx, mh_nid user, mh_nid device,
			struct mh_str algorithm, struct mh_str key_id,
			struct mh_str json, struct mh_error *err);
int64_t mh_one_time_key_total(struct mh_db *db, mh_nid user, mh_nid device,
			      struct mh_error *err);
int mh_one_time_key_counts(struct mh_db *db, mh_nid user, mh_nid device,
			   int (*each)(void *context, struct mh_str algorithm,
				       int64_t count, struct mh_error *err),
			   void *context, struct mh_error *err);
/*
 * Takes the oldest one-time key, or else the fallback key, which is marked
 * used. Appends its ID with the algorithm, and its JSON. 1, 0 none, -1.
 */
int mh_one_time_key_claim(struct mh_tx *tx, mh_nid user, mh_nid device,
			  struct mh_str algorithm, struct mh_strbuf *ret_key_id,
			  struct mh_strbuf *ret_json, struct mh_error *err);
int mh_fallback_key_set(struct mh_tx *tx, mh_nid user, mh_nid device,
			struct mh_str algorithm, struct mh_str key_id,
			struct mh_str json, struct mh_error *err);
/* The algorithms whose fallback key was not used yet. */
int mh_fallback_keys_unused(struct mh_db *db, mh_nid user, mh_nid device,
			    int (*each)(void *context, struct mh_str algorithm,
					struct mh_error *err),
			    void *context, struct mh_error *err);

/* --- cross-signing ------------------------------------------------------- */

/* Replacing the master key forgets the signatures on it. */
int mh_cross_signing_set(struct mh_tx *tx, mh_nid user, const char *usage,
			 struct mh_str public_key, struct mh_str json,
			 struct mh_error *err);
/* 1 and both appended (either may be NULL), 0 none, -1. */
int mh_cross_signing_get(struct mh_db *db, mh_nid user, const char *usage,
			 struct mh_strbuf *ret_public_key,
			 struct mh_strbuf *ret_json, struct mh_error *err);
int mh_key_signature_add(struct mh_tx *tx, mh_nid target_user,
			 struct mh_str target, mh_nid signer,
			 struct mh_str key_id, struct mh_str signature,
			 struct mh_error *err);
int mh_key_signatures_each(struct mh_db *db, mh_nid target_user,
			   struct mh_str target,
			   int (*each)(void *context, mh_nid signer,
				       struct mh_str key_id,
				       struct mh_str signature,
				       struct mh_error *err),
			   void *context, struct mh_error *err);

/* --- device lists -------------------------------------------------------- */

/* The user's devices or identity keys changed: a new position, returned. */
int64_t mh_device_list_changed(struct mh_tx *tx, mh_nid user,
			       struct mh_error *err);
/* Users with a change in (from, to]. */
int mh_device_list_each(struct mh_db *db, int64_t from, int64_t to,
			int (*each)(void *context, mh_nid user,
				    struct mh_error *err),
			void *context, struct mh_error *err);

/* --- to-device messages -------------------------------------------------- */

#define MH_TO_DEVICE_MAX 10000 /* messages that may wait for one device */

#define MH_TO_DEVICE_REQUESTS_MAX 500 /* remembered for one sending device */

/*
 * 1 when this device makes the request ("<event type>\n<transaction ID>") for
 * the first time, 0 when it repeats it, -1.
 */
int mh_to_device_request(struct mh_tx *tx, mh_nid user, mh_nid device,
			 struct mh_str request, struct mh_error *err);
/* Stores one message; the oldest goes when the inbox is full. */
int mh_to_device_add(struct mh_tx *tx, mh_nid user, mh_nid device,
		     mh_nid sender, struct mh_str type, struct mh_str content,
		     struct mh_error *err);
/* Messages in (from, to], oldest first. */
int mh_to_device_each(struct mh_db *db, mh_nid user, mh_nid device,
		      int64_t from, int64_t to, size_t limit,
		      int (*each)(void *context, int64_t pos, mh_nid sender,
				  struct mh_str type, struct mh_str content,
				  struct mh_error *err),
		      void *context, struct mh_error *err);
/* Are there any up to `upto`? 1, 0, -1. So that a sync need not write. */
int mh_to_device_any(struct mh_db *db, mh_nid user, mh_nid device, int64_t upto,
		     struct mh_error *err);
/* The device has these: deletes them. */
int mh_to_device_ack(struct mh_tx *tx, mh_nid user, mh_nid device, int64_t upto,
		     struct mh_error *err);
