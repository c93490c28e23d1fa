/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens that this node signs for itself: JWT (RFC 7519), HS256, as
 * base64url(header).base64url(claims).base64url(hmac).
 *
 * The header of a key is one fixed text, {"alg":"HS256","kid":"..","typ":"JWT"},
 * and is compared as such: a token with another algorithm, "none" included, or
 * with an unknown key has no header that matches, and is never parsed further.
 */
#pragma once

#include "service/server.h"

struct mh_token_keys;

struct mh_token_claims {
	struct mh_str subject;
	int64_t session, serial; /* 0 where a kind of token has none */
	bool expired;		 /* verify only */
};

struct mh_token_keys *mh_token_keys_new(struct mh_server *server);
void mh_token_keys_free(struct mh_token_keys *keys);
int mh_token_keys_load(struct mh_token_keys *keys, struct mh_db *db,
		       struct mh_error *err);
/* In a write job: a new key if there is none or the newest is old enough. */
int mh_token_keys_rotate(struct mh_token_keys *keys, struct mh_tx *tx,
			 struct mh_error *err);

/* Appends a token of the kind `use`; lifetime 0: it does not expire. */
void mh_token_sign(struct mh_token_keys *keys, const char *use,
		   const struct mh_token_claims *claims, int64_t lifetime_ms,
		   struct mh_strbuf *out);
/*
 * True for a token of this node and kind whose signature is good; whether it
 * has expired is for the caller to judge. Claims borrow from `storage`.
 */
bool mh_token_verify(struct mh_token_keys *keys, const char *use,
		     struct mh_str token, struct mh_strbuf *storage,
		     struct mh_token_claims *ret);
