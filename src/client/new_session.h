/* SPDX-License-Identifier: Apache-2.0 */
/* What /login and /register have in common: a session that the body describes. */
#pragma once

#include "client/client.h"
#include "service/sessions.h"

struct new_session {
	struct mh_str device_id;    /* empty: the node chooses */
	struct mh_str display_name; /* data NULL: none */
	bool refreshes;
};

/* Borrows from `body`. */
int new_session_parse(const json_t *body, struct new_session *ret,
		      struct mh_error *err);
/*
 * In a write job: opens the session and appends the members of the reply that
 * are about it, with a comma before them.
 */
int new_session_open(struct mh_tx *tx, struct mh_request *req,
		     struct mh_str user_id, const struct new_session *wish,
		     struct mh_strbuf *reply, struct mh_error *err);
