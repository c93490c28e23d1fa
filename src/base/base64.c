/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char digits_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789+/";
static const char digits_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789-_";

void mh_base64_encode(enum mh_base64 alphabet, const void *data, size_t len,
		      struct mh_strbuf *out)
{
	const char *digits =
		alphabet == MH_BASE64_URL ? digits_url : digits_std;
	const unsigned char *in = data;
	char *start, *p;

	MH_ASSERT(len < SIZE_MAX / 2);
	start = p = mh_strbuf_reserve(out, len / 3 * 4 + 4);
	for (; len >= 3; in += 3, len -= 3) {
		*p++ = digits[in[0] >> 2];
		*p++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
		*p++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
		*p++ = digits[in[2] & 63];
	}
	if (len) {
		*p++ = digits[in[0] >> 2];
		*p++ = digits[(in[0] & 3) << 4 | (len == 2 ? in[1] >> 4 : 0)];
		if (len == 2)
			*p++ = digits[(in[1] & 15) << 2];
	}
	*p = '\0';
	out->len += (size_t)(p - start);
}

/* The value of a digit, or -1. */
static int digit_value(enum mh_base64 alphabet, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (alphabet == MH_BASE64_URL ? '-' : '+'))
		return 62;
	if (c == (alphabet == MH_BASE64_URL ? '_' : '/'))
		return 63;
	return -1;
}

/* Padding is all or nothing: as many '=' as make the length a multiple of 4. */
static bool strip_padding(struct mh_str *text)
{
	size_t len = text->len;

	while (len && text->len - len < 2 && text->data[len - 1] == '=')
		len--;
	if (len != text->len && text->len % 4 != 0)
		return false;
	text->len = len;
	return len % 4 != 1;
}

bool mh_base64_decode(enum mh_base64 alphabet, struct mh_str text, void *out,
		      size_t size, size_t *ret_len)
{
	unsigned char *to = out;
	unsigned bits = 0, n_bits = 0;
	size_t len = 0;

	if (!strip_padding(&text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int value = digit_value(alphabet, text.data[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		if (len == size)
			return false;
		to[len++] = (unsigned char)(bits >> n_bits);
	}
	/*
	 * Left-over bits should be zero but are not checked: other homeservers
	 * published keys and signatures whose last digit is not canonical.
	 */
	*ret_len = len;
	return true;
}

void mh_hex_encode(const void *data, size_t len, struct mh_strbuf *out)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *in = data;
	char *p;

	MH_ASSERT(len < SIZE_MAX / 4);
	p = mh_strbuf_reserve(out, len * 2);
	for (size_t i = 0; i < len; i++) {
		*p++ = hex[in[i] >> 4];
		*p++ = hex[in[i] & 15];
	}
	*p = '\0';
	out->len += len * 2;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool mh_hex_decode(struct mh_str text, void *out, size_t len)
{
	unsigned char *to = out;

	if (text.len / 2 != len || text.len % 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text.data[2 * i]);
		int low = hex_value(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
