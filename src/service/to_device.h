/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to devices (client-server API, "Send-to-Device messaging"). A message
 * waits in the device's inbox until the device acknowledges it, by the `since`
 * of its next /sync or an `ack` on the live channel.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

#define MH_TO_DEVICE_CONTENT_MAX 65536 /* bytes of one message */
#define MH_TO_DEVICE_PER_SYNC 100

/*
 * In a write job: stores `messages`, {userId: {deviceId or "*": content}}, for
 * the devices of this server that exist; a repeated transaction does nothing.
 * M_BAD_JSON, M_TOO_LARGE.
 */
int mh_to_device_send(struct mh_server *server, struct mh_tx *tx,
		      const struct mh_requester *who, struct mh_str type,
		      struct mh_str txn_id, const json_t *messages, struct mh_error *err);

/*
 * Appends the events after `from`, at most MH_TO_DEVICE_PER_SYNC, as
 * [{"content":..,"sender":..,"type":..},..]; `ret_to` is the position of the
 * last one if there are more than that, else `to`. Returns how many, or -1.
 */
int mh_to_device_sync(struct mh_db *db, const struct mh_requester *who,
		      int64_t from, int64_t to, struct mh_strbuf *out,
		      int64_t *ret_to, struct mh_error *err);
