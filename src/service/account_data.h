/* SPDX-License-Identifier: Apache-2.0 */
/* Account data and filters: see store/account_data.h. */
#pragma once

#include "core/filter.h"
#include "service/server.h"
#include "store/account_data.h"
#include "store/filters.h"

#define MH_ACCOUNT_DATA_MAX_SIZE (512 * 1024) /* bytes of one content */

/*
 * In a write job: stores it under a new position and wakes the user's clients.
 * M_TOO_LARGE, M_RESOURCE_LIMIT_EXCEEDED.
 */
int mh_account_data_put(struct mh_server *server, struct mh_tx *tx, mh_nid user,
			mh_nid room, struct mh_str type, struct mh_str content,
			struct mh_error *err);

/*
 * The filter that a `filter` parameter means: JSON, or the number of a stored
 * one of the user. A new reference. M_INVALID_PARAM when there is none.
 */
int mh_filter_resolve(struct mh_db *db, mh_nid user, struct mh_str parameter,
		      struct mh_filter **ret, struct mh_error *err);
