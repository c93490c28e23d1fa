/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade to the live channel as a later request of a kept-alive connection
 * (RFC 6455, section 4.2). Such a request has been read by the HTTP side, which
 * answers the handshake itself and then plays it to the live thread once more,
 * through a relay. So what the live thread would refuse is refused here, and
 * extensions are not negotiated.
 */
#pragma once

#include "http/request.h"

#define MH_LIVE_SUBPROTOCOL "m.json"
#define MH_WEBSOCKET_ACCEPT_SIZE 29

/* True for a request that wants to become the live channel. */
bool mh_upgrade_wanted(struct mh_request *req);
/*
 * Checks the handshake and makes the value of Sec-WebSocket-Accept. 400, or 426
 * for another version of the protocol.
 */
int mh_upgrade_check(struct mh_request *req,
		     char accept[static MH_WEBSOCKET_ACCEPT_SIZE],
		     struct mh_error *err);
/* True for a header that is not played to the live thread. */
bool mh_upgrade_drops(const char *header);
