/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords: Argon2id by libsodium, on a queue of their own, so that few run at
 * once (each takes its memory) and none holds up a worker.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

#define MH_PASSWORD_MAX 512   /* bytes */
#define MH_PASSWORD_QUEUE 128 /* waiting at once; more are turned away */

/*
 * Checks a password against `hash` (empty: fails in the same time), then goes
 * on with `then` on a worker, with whether it was right. `password` and `hash`
 * must live as long as the request. Returns 0, or -1 with M_LIMIT_EXCEEDED when
 * too many wait.
 */
int mh_password_check(struct mh_request *req, struct mh_str password,
		      struct mh_str hash,
		      int (*then)(struct mh_request *req, bool right,
				  void *context, struct mh_error *err),
		      void *context, struct mh_error *err);
/* Hashes; `then` gets libsodium's string, which lives as long as the request. */
int mh_password_hash(struct mh_request *req, struct mh_str password,
		     int (*then)(struct mh_request *req, struct mh_str hash,
				 void *context, struct mh_error *err),
		     void *context, struct mh_error *err);
/* The same at once, on the calling thread, for mootctl. */
int mh_password_hash_now(struct mh_server *server, struct mh_str password,
			 struct mh_strbuf *out, struct mh_error *err);
/* M_WEAK_PASSWORD, M_INVALID_PARAM: what a person may choose. */
int mh_password_acceptable(const struct mh_server *server,
			   struct mh_str password, struct mh_error *err);
