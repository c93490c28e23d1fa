/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 in the two alphabets that Matrix uses, always written unpadded
 * (appendices, "Unpadded Base64"), and hex.
 */
#pragma once

#include "base/strbuf.h"

enum mh_base64 {
	MH_BASE64_STD, /* + and / */
	MH_BASE64_URL, /* - and _ */
};

void mh_base64_encode(enum mh_base64 alphabet, const void *data, size_t len,
		      struct mh_strbuf *out);
/*
 * Decodes with or without padding. False for a foreign character, an
 * impossible length, or when the result does not fit `size` bytes.
 */
bool mh_base64_decode(enum mh_base64 alphabet, struct mh_str text, void *out,
		      size_t size, size_t *ret_len);

void mh_hex_encode(const void *data, size_t len, struct mh_strbuf *out);
/* False unless `text` is exactly 2 * len hexadecimal digits. */
bool mh_hex_decode(struct mh_str text, void *out, size_t len);
