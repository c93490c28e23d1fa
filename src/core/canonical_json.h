/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical JSON over bytes, without a DOM (appendices, "Canonical JSON").
 *
 * One tokenizer checks, sorts and slices: PDUs, transactions and send_join
 * responses are cut into byte ranges of the input, and the canonical form is
 * written by copying ranges in sorted order. jansson is not canonical and is
 * not used here.
 *
 * Strict mode is for room versions 6 and later: integers within +-(2^53-1), no
 * floats, no exponents, no "-0". Tolerant mode is for 1 to 5, whose old events
 * hold other numbers: these are copied as they are written. In both: depth at
 * most MH_JSON_MAX_DEPTH, no duplicate keys, valid UTF-8, no unpaired
 * surrogates, object keys sorted by code point, strings minimally escaped.
 *
 * Normalising mode is strict about the result and lenient about the notation:
 * an integer that is written as 1e10, 2.0 or -0 is written out. It is for what
 * this node makes canonical for itself, as in the appendices' last example.
 * Peers refuse these notations in PDUs, and so does strict mode.
 *
 * Pure; any thread.
 */
#pragma once

#include "core/json.h"

enum mh_json_mode { MH_JSON_STRICT, MH_JSON_TOLERANT, MH_JSON_NORMALISING };

/*
 * Appends the canonical form of `text`. M_NOT_JSON when it is not JSON,
 * M_BAD_JSON when it is JSON but has no canonical form in this mode; `out` is
 * then as it was.
 */
int mh_canonical_json(struct mh_str text, enum mh_json_mode mode,
		      struct mh_strbuf *out, struct mh_error *err);
/* The same from a jansson value (reals fail in strict mode). */
int mh_canonical_json_value(const json_t *value, enum mh_json_mode mode,
			    struct mh_strbuf *out, struct mh_error *err);

/*
 * Walks the members of an object or the elements of an array in `text`, which
 * must be canonical already (so nothing is checked twice):
 *
 *	struct mh_json_iter it;
 *	for (mh_json_iter_init(&it, text); mh_json_iter_next(&it);)
 *		if (mh_str_is(it.key, "type")) ...
 *
 * `key` is without quotes and still escaped (spec-defined keys need no
 * escapes); `value` is the raw slice; `member` is key and value together,
 * `"key":value`, ready to be copied.
 */
struct mh_json_iter {
	struct mh_str key, value, member;
	const char *at, *end; /* private */
	bool is_object;
};
void mh_json_iter_init(struct mh_json_iter *it, struct mh_str text);
bool mh_json_iter_next(struct mh_json_iter *it);
/* The raw value of a top-level member; data NULL when there is none. */
struct mh_str mh_json_slice(struct mh_str object, const char *key);
/*
 * Appends the text of a raw string slice (with its quotes) with escapes
 * resolved. False when the slice is no string.
 */
bool mh_json_unescape(struct mh_str raw, struct mh_strbuf *out);
/* Reads a raw integer slice. False when it is no integer within 2^63. */
bool mh_json_slice_int(struct mh_str raw, int64_t *ret);
