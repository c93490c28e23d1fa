/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles (client-server API, "Profiles"). A change of `displayname` or
 * `avatar_url` also goes into the user's membership events: one write job a
 * room, one after the other, after the change itself is durable, so that
 * somebody with many rooms does not hold up the writer.
 */
#pragma once

#include "core/json.h"
#include "service/server.h"
#include "store/profiles.h"

#define MH_PROFILE_MAX_SIZE 65536 /* bytes of a whole profile */

/*
 * In a write job: sets a field, or with `value` NULL removes it.
 * M_INVALID_PARAM, M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE.
 */
int mh_profile_change(struct mh_server *server, struct mh_tx *tx,
		      struct mh_str user_id, struct mh_str field,
		      const json_t *value, struct mh_error *err);
