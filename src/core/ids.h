/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifiers (appendices, "Common Identifier Format"): grammar checks and
 * their parts. Everything borrows. "Historical" user IDs of other servers
 * (any printable localpart) are accepted where the spec says receivers must.
 */
#pragma once

#include "base/str.h"

#define MH_ID_MAX 255 /* bytes, sigil and domain included */

/* A user ID that may appear in an event: '@', localpart, ':', server name. */
bool mh_user_id_valid(struct mh_str id);
/* A user ID that may be newly registered: [a-z0-9._=/+-] localpart. */
bool mh_user_id_registrable(struct mh_str id);
/* `!opaque:domain` (versions 1-11) or `!hash` (version 12). */
bool mh_room_id_valid(struct mh_str id);
bool mh_room_alias_valid(struct mh_str id);
bool mh_event_id_valid(struct mh_str id);
bool mh_server_name_valid(struct mh_str name);
bool mh_device_id_valid(struct mh_str id);
/* Opaque identifiers: [0-9A-Za-z._~-]{1,255}. */
bool mh_opaque_id_valid(struct mh_str id);
/* Room version identifiers, key IDs ("ed25519:abc"), mxc://server/media. */
bool mh_key_id_valid(struct mh_str id);
bool mh_mxc_uri_valid(struct mh_str uri);

/* Everything after the first ':'; empty when there is none. */
struct mh_str mh_id_domain(struct mh_str id);
/* Between the sigil and the first ':'. */
struct mh_str mh_id_localpart(struct mh_str id);
