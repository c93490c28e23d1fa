/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live channel's protocol (docs/live-channel.md), whatever carries it: the
 * node streams objects of the shape of a /sync response, and answers requests.
 * Transports are given mh_live_session_handler (live/conn.h).
 */
#pragma once

#include "live/conn.h"

extern const struct mh_live_handler mh_live_session_handler;

/* How long a client without an Authorization header has for its `auth`. */
#define MH_LIVE_AUTH_MS 10000
/*
 * Nothing new is built for a client while more than this waits to be sent; it
 * gets what it has missed at once when it has caught up. If that takes longer
 * than MH_LIVE_SLOW_MS, it is disconnected with MH_LIVE_CLOSE_SLOW.
 */
#define MH_LIVE_AHEAD 65536
#define MH_LIVE_SLOW_MS 30000
/* Messages of one client that wait their turn, before it is held up. */
#define MH_LIVE_MAX_WAITING 32
