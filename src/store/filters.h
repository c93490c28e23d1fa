/* SPDX-License-Identifier: Apache-2.0 */
/* The filters that clients have defined. */
#pragma once

#include "store/names.h"

/*
 * Stores a filter, or finds the same one that was stored before. Returns its
 * number, -1; M_RESOURCE_LIMIT_EXCEEDED when the user has too many.
 */
int64_t mh_filters_add(struct mh_tx *tx, mh_nid user, struct mh_str json,
		       struct mh_error *err);
/* 1 and the JSON appended, 0, -1. */
int mh_filters_get(struct mh_db *db, mh_nid user, int64_t filter,
		   struct mh_strbuf *out, struct mh_error *err);
