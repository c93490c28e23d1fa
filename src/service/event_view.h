/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as one client gets them from requests that read: the event's JSON with
 * room_id and `unsigned` (age, membership, transaction_id, prev_content,
 * redacted_because).
 */
#pragma once

#include "service/visibility.h"

struct mh_event_viewer {
	struct mh_server *server;
	struct mh_db *db; /* in a snapshot */
	mh_nid user;
	int64_t device;
	struct mh_visibility *view; /* of the room; NULL: no `membership` */
};

/* Appends the whole object. Whether it may be seen was asked before. */
int mh_event_view_add(const struct mh_event_viewer *viewer,
		      const struct mh_event_row *row, struct mh_strbuf *out,
		      struct mh_error *err);
