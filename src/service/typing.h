/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is typing (client-server API, "Typing Notifications"). In memory alone;
 * ends by itself when its time is up.
 */
#pragma once

#include "service/notifier.h"

#define MH_TYPING_DEFAULT_MS 30000
#define MH_TYPING_MAX_MS 120000

struct mh_typing *mh_typing_new(struct mh_server *server);
void mh_typing_free(struct mh_typing *typing);

/* The user types for `timeout_ms`, or (0) does not any more. Any thread. */
void mh_typing_set(struct mh_server *server, mh_nid room, mh_nid user,
		   struct mh_str user_id, int64_t timeout_ms);
/*
 * Appends the user IDs as a JSON array, without those for whom `skip` is true.
 */
void mh_typing_list(struct mh_server *server, mh_nid room,
		    bool (*skip)(void *context, struct mh_str user_id),
		    void *context, struct mh_strbuf *out);
