/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading members of an event's content, whose bytes are canonical already.
 * A thin layer over the slicing iterator that knows two things more: content
 * comes from peers, so any value may have any type; and a string may hold
 * escapes, while identifiers and state keys are compared decoded.
 */
#pragma once

#include "core/canonical_json.h"

/* A member's raw value; data NULL when absent or `object` is no object. */
struct mh_str mh_content_get(struct mh_str object, const char *key);

static inline bool mh_content_is_object(struct mh_str raw)
{
	return raw.len > 0 && raw.data[0] == '{';
}

static inline bool mh_content_is_array(struct mh_str raw)
{
	return raw.len > 0 && raw.data[0] == '[';
}

/*
 * The decoded text of a raw string. Borrows from `raw` when there is nothing
 * to decode, else from `scratch`, which is cleared first. False when `raw` is
 * no string.
 */
bool mh_content_str(struct mh_str raw, struct mh_strbuf *scratch,
		    struct mh_str *ret);
/* The decoded key of the iterator's current member. */
struct mh_str mh_content_key(const struct mh_json_iter *it,
			     struct mh_strbuf *scratch);

/* Is `raw` a string with this text? */
bool mh_content_str_is(struct mh_str raw, struct mh_str text);
