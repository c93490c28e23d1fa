/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

int mh_str_cmp(struct mh_str a, struct mh_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.data, b.data, n) : 0;

	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool mh_str_starts(struct mh_str s, struct mh_str prefix)
{
	return s.len >= prefix.len &&
	       mh_str_eq(mh_str_first(s, prefix.len), prefix);
}

bool mh_str_to_int(struct mh_str s, int64_t *ret)
{
	bool negative = s.len && s.data[0] == '-';
	int64_t value = 0;

	if (negative)
		s = mh_str_from(s, 1);
	if (s.len == 0 || s.len > 18)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		value = value * 10 + (s.data[i] - '0');
	}
	*ret = negative ? -value : value;
	return true;
}

size_t mh_utf8_sequence(const unsigned char *p, size_t left)
{
	size_t n;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool mh_str_is_utf8(struct mh_str s)
{
	const unsigned char *p = (const unsigned char *)s.data;

	for (size_t i = 0; i < s.len;) {
		size_t n = mh_utf8_sequence(p + i, s.len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool mh_str_eq_secret(struct mh_str a, struct mh_str b)
{
	volatile unsigned char diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff = (unsigned char)(diff | (a.data[i] ^ b.data[i]));
	return diff == 0;
}

uint64_t mh_str_hash(struct mh_str s)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.data[i]) * 1099511628211u;
	return hash;
}

bool mh_str_glob(struct mh_str pattern, struct mh_str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	/* One level of backtracking suffices: a later '*' covers an earlier. */
	while (i < s.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			mark = i;
		} else if (p < pattern.len && (pattern.data[p] == '?' ||
					       pattern.data[p] == s.data[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}
