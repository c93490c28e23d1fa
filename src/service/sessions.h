/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and their tokens.
 *
 * An access token is a JWT (HS256) of this node: kid, sub (user ID), aud (server
 * name), sid (session), ser (serial), exp where it expires. To check one is an
 * HMAC and a look-up in a table in memory, which is loaded at start and changes
 * with each commit: no query, and what is revoked is refused at once.
 *
 * Refreshing. A session counts its token pairs by a serial. A refresh hands out
 * the next serial as *pending*: the old pair works until either token of the
 * new one is used, for the reply may get lost. Then the new serial is *current*
 * and the old pair is dead; a dead refresh token that turns up again was
 * copied, and ends the session.
 *
 * Keys. The newest key signs; older ones go on verifying, so a rotation logs
 * nobody out.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"
#include "store/accounts.h"

struct mh_sessions *mh_sessions_new(struct mh_server *server);
void mh_sessions_free(struct mh_sessions *sessions);
/* Loads the table and the keys. On the opening thread, before serving. */
int mh_sessions_load(struct mh_sessions *sessions, struct mh_db *db,
		     struct mh_error *err);
/* In a write job: makes the first key, or a new one when it is time. */
int mh_sessions_rotate(struct mh_server *server, struct mh_tx *tx,
		       struct mh_error *err);

/*
 * Who has this access token? M_UNKNOWN_TOKEN, with soft_logout when it merely
 * expired (or was refreshed away); M_USER_LOCKED. With `soft`, an expired token
 * will do. Any thread.
 */
int mh_sessions_authenticate(struct mh_server *server, struct mh_str token,
			     bool soft, struct mh_arena *arena,
			     struct mh_requester *ret, struct mh_error *err);

struct mh_tokens {
	struct mh_strbuf access, refresh; /* refresh is empty without one */
	int64_t expires_in;		  /* milliseconds; 0: never */
};
#define MH_TOKENS(name)                                                        \
	MH_CLEANUP(mh_tokens_release) struct mh_tokens name = {                \
		.access = MH_STRBUF_INIT, .refresh = MH_STRBUF_INIT            \
	}
void mh_tokens_release(struct mh_tokens *tokens); /* wipes */
/* Adds access_token, and refresh_token and expires_in_ms where they apply. */
void mh_tokens_json(const struct mh_tokens *tokens, struct mh_strbuf *out);

/*
 * In a write job: a new session for the device, which is made if need be; other
 * sessions of the same device end. `device_id` empty: one is chosen.
 */
int mh_sessions_open(struct mh_server *server, struct mh_tx *tx,
		     struct mh_str user_id, struct mh_str device_id,
		     struct mh_str display_name, bool refreshes,
		     struct mh_tokens *ret_tokens,
		     struct mh_strbuf *ret_device_id, struct mh_error *err);
/*
 * In a write job: the next pair for a refresh token. A job that fails with
 * M_UNKNOWN_TOKEN because a dead token was used must still end the session:
 * then 0 is returned with `ret_ended` set and no tokens.
 */
int mh_sessions_refresh(struct mh_server *server, struct mh_tx *tx,
			struct mh_str refresh_token,
			struct mh_tokens *ret_tokens, bool *ret_ended,
			struct mh_error *err);

/* In a write job: ends the sessions of one device, and deletes the device. */
int mh_sessions_end_device(struct mh_server *server, struct mh_tx *tx,
			   mh_nid user, mh_nid device, struct mh_error *err);
/* The same for all devices of the user but `except` (0: none). */
int mh_sessions_end_user(struct mh_server *server, struct mh_tx *tx,
			 mh_nid user, mh_nid except, struct mh_error *err);
