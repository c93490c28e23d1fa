/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexical pieces of JSON that the canonicaliser and the slicer share.
 * Internal to core.
 */
#pragma once

#include "base/strbuf.h"

enum { MH_ESCAPE_MALFORMED = -1, MH_ESCAPE_SURROGATE = -2 };

/*
 * Reads the escape at `p`, a pair of surrogates as one: its code point and
 * length, or one of the failures above.
 */
int32_t mh_json_read_escape(const char *p, const char *end, size_t *ret_len);

void mh_utf8_add(struct mh_strbuf *out, uint32_t code_point);

struct mh_json_number {
	struct mh_str whole, fraction; /* digits */
	struct mh_str exponent;	       /* sign and digits */
	bool negative;
};

/* Reads RFC 8259's number at `p`: where it ends, or NULL if it is malformed. */
const char *mh_json_read_number(const char *p, const char *end,
				struct mh_json_number *ret);
