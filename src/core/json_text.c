/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json_text.h"

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	if (ch >= 'A' && ch <= 'F')
		return ch - 'A' + 10;
	return -1;
}

/* Reads \uXXXX at `p`: the code unit, or -1. */
static int32_t code_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

int32_t mh_json_read_escape(const char *p, const char *end, size_t *ret_len)
{
	int32_t unit, low;

	if (end - p < 2)
		return MH_ESCAPE_MALFORMED;
	*ret_len = 2;
	switch (p[1]) {
	case '"':
	case '\\':
	case '/':
		return p[1];
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		break;
	}
	unit = code_unit(p, end);
	if (unit < 0)
		return MH_ESCAPE_MALFORMED;
	*ret_len = 6;
	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	low = code_unit(p + 6, end);
	if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return MH_ESCAPE_SURROGATE;
	*ret_len = 12;
	return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

void mh_utf8_add(struct mh_strbuf *out, uint32_t cp)
{
	char bytes[4];
	size_t n = 0;

	if (cp < 0x80) {
		bytes[n++] = (char)cp;
	} else if (cp < 0x800) {
		bytes[n++] = (char)(0xc0 | cp >> 6);
		bytes[n++] = (char)(0x80 | (cp & 0x3f));
	} else if (cp < 0x10000) {
		bytes[n++] = (char)(0xe0 | cp >> 12);
		bytes[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
		bytes[n++] = (char)(0x80 | (cp & 0x3f));
	} else {
		bytes[n++] = (char)(0xf0 | cp >> 18);
		bytes[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
		bytes[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
		bytes[n++] = (char)(0x80 | (cp & 0x3f));
	}
	mh_strbuf_add(out, bytes, n);
}

static struct mh_str digits(const char **p, const char *end)
{
	const char *from = *p;

	while (*p < end && **p >= '0' && **p <= '9')
		++*p;
	return mh_str_n(from, (size_t)(*p - from));
}

const char *mh_json_read_number(const char *p, const char *end,
				struct mh_json_number *ret)
{
	const char *from;

	*ret = (struct mh_json_number){ 0 };
	ret->negative = *p == '-';
	p += ret->negative;
	ret->whole = digits(&p, end);
	if (ret->whole.len == 0 ||
	    (ret->whole.len > 1 && ret->whole.data[0] == '0'))
		return NULL;
	if (p < end && *p == '.') {
		p++;
		ret->fraction = digits(&p, end);
		if (ret->fraction.len == 0)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		from = ++p;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (digits(&p, end).len == 0)
			return NULL;
		ret->exponent = mh_str_n(from, (size_t)(p - from));
	}
	return p;
}
