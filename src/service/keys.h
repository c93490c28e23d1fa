/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of end-to-end encryption (client-server API, "End-to-End
 * Encryption"): device keys, one-time and fallback keys, cross-signing, device
 * lists. The node checks shapes, owners and cross-signing signatures; the
 * clients check the rest.
 *
 * Functions that take a struct mh_tx run in a write job; `reply` gets the
 * response object.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"
#include "store/e2ee.h"

#define MH_ONE_TIME_KEYS_MAX 1000 /* a device */
#define MH_DEVICE_KEYS_SIZE 65536 /* bytes of one JSON value */

/* POST /keys/upload. M_INVALID_PARAM, M_BAD_JSON, M_TOO_LARGE. */
int mh_keys_upload(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_requester *who, const json_t *body,
		   struct mh_strbuf *reply, struct mh_error *err);
/* POST /keys/query: users of this server; others are listed as failures. */
int mh_keys_query(struct mh_server *server, struct mh_db *db,
		  const struct mh_requester *who, const json_t *body,
		  struct mh_strbuf *reply, struct mh_error *err);
/* POST /keys/claim. */
int mh_keys_claim(struct mh_server *server, struct mh_tx *tx,
		  const json_t *body, struct mh_strbuf *reply,
		  struct mh_error *err);

/*
 * Does the upload of cross-signing keys ask for user-interactive
 * authentication? 1: yes, for it would replace keys; 0: no; -1.
 */
int mh_cross_signing_needs_auth(struct mh_db *db, mh_nid user,
				const json_t *body, struct mh_error *err);
/*
 * POST /keys/device_signing/upload, after authentication. M_INVALID_SIGNATURE,
 * M_MISSING_PARAM, M_INVALID_PARAM, M_FORBIDDEN (a key that is a device's ID).
 */
int mh_cross_signing_upload(struct mh_server *server, struct mh_tx *tx,
			    const struct mh_requester *who, const json_t *body,
			    struct mh_error *err);
/* POST /keys/signatures/upload: `reply` names what failed. */
int mh_signatures_upload(struct mh_server *server, struct mh_tx *tx,
			 const struct mh_requester *who, const json_t *body,
			 struct mh_strbuf *reply, struct mh_error *err);

/*
 * In a write job: the user's devices or identity keys changed; tells everybody
 * who shares a room.
 */
int mh_keys_changed(struct mh_server *server, struct mh_tx *tx, mh_nid user,
		    struct mh_error *err);
/* In a write job: a device was deleted, with all that is kept for it. */
int mh_keys_device_deleted(struct mh_server *server, struct mh_tx *tx,
			   mh_nid user, struct mh_str device_id,
			   struct mh_error *err);

/* --- parts of /sync ------------------------------------------------------ */

/* Appends {"signed_curve25519":50,..}. */
int mh_keys_sync_counts(struct mh_db *db, const struct mh_requester *who,
			struct mh_strbuf *out, struct mh_error *err);
/* Appends ["signed_curve25519",..]: unused fallback keys. */
int mh_keys_sync_fallback(struct mh_db *db, const struct mh_requester *who,
			  struct mh_strbuf *out, struct mh_error *err);
/*
 * Appends {"changed":[..],"left":[..]} for positions (from, to]; returns 1 when
 * any is listed, 0 for two empty lists, -1. Also GET /keys/changes.
 */
int mh_keys_sync_lists(struct mh_db *db, const struct mh_requester *who,
		       int64_t from, int64_t to, struct mh_strbuf *out,
		       struct mh_error *err);
