/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of local users: fields and their JSON values. */
#pragma once

#include "store/names.h"

int mh_profile_set(struct mh_tx *tx, mh_nid user, struct mh_str field,
		   struct mh_str value, struct mh_error *err);
/* 1 when there was one, 0, -1. */
int mh_profile_delete(struct mh_tx *tx, mh_nid user, struct mh_str field,
		      struct mh_error *err);
/* 1 and the JSON value appended, 0, -1. */
int mh_profile_get(struct mh_db *db, mh_nid user, struct mh_str field,
		   struct mh_strbuf *out, struct mh_error *err);
/* Appends the whole profile as a JSON object. */
int mh_profile_json(struct mh_db *db, mh_nid user, struct mh_strbuf *out,
		    struct mh_error *err);
