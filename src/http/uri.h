/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets. Everything is split while it is still encoded and decoded
 * piece by piece with its length afterwards, so that %2F and %00 are ordinary
 * bytes of one segment and can neither add a segment nor end a string.
 *
 * Pure; any thread.
 */
#pragma once

#include "base/arena.h"

/*
 * Splits a target as it stands in the request line: origin form (/path?query)
 * or absolute form (http://host/path?query, whose authority is ignored). A
 * fragment, which no client should send, is dropped. False for anything else.
 */
bool mh_uri_split(struct mh_str target, struct mh_str *ret_path,
		  struct mh_str *ret_query);

/*
 * Decodes %XX. The result borrows `text` when there is nothing to decode, and
 * lives in the arena otherwise. False for a broken escape, or when the
 * decoded bytes are not UTF-8.
 */
bool mh_uri_decode(struct mh_str text, struct mh_arena *arena,
		   struct mh_str *ret);
/* The same for a piece of a query, where '+' is a space. */
bool mh_uri_decode_query(struct mh_str text, struct mh_arena *arena,
			 struct mh_str *ret);

/*
 * Takes the next name=value off the query, still encoded: false at its end.
 * A piece without '=' has an empty value; empty pieces are skipped.
 */
bool mh_uri_next_param(struct mh_str *query, struct mh_str *ret_name,
		       struct mh_str *ret_value);
