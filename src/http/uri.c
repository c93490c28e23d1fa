/* SPDX-License-Identifier: Apache-2.0 */
#include "http/uri.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool mh_uri_split(struct mh_str target, struct mh_str *ret_path,
		  struct mh_str *ret_query)
{
	ptrdiff_t at;

	if (target.len == 0)
		return false;
	if (target.data[0] != '/') {
		if (mh_str_starts(target, MH_STR("http://")))
			target = mh_str_from(target, 7);
		else if (mh_str_starts(target, MH_STR("https://")))
			target = mh_str_from(target, 8);
		else
			return false;
		at = mh_str_find(target, '/');
		if (at < 0)
			return false;
		target = mh_str_from(target, (size_t)at);
	}
	at = mh_str_find(target, '#');
	if (at >= 0)
		target = mh_str_first(target, (size_t)at);

	at = mh_str_find(target, '?');
	*ret_path = at < 0 ? target : mh_str_first(target, (size_t)at);
	*ret_query = at < 0 ? MH_STR_NONE : mh_str_from(target, (size_t)at + 1);
	return true;
}

static bool decode(struct mh_str text, bool plus, struct mh_arena *arena,
		   struct mh_str *ret)
{
	char *out;
	size_t len = 0;

	if (mh_str_find(text, '%') < 0 &&
	    (!plus || mh_str_find(text, '+') < 0)) {
		*ret = text;
		return mh_str_is_utf8(text);
	}

	out = mh_arena_alloc(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '%') {
			int high, low;

			if (text.len - i < 3)
				return false;
			high = hex_digit(text.data[i + 1]);
			low = hex_digit(text.data[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		out[len++] = c;
	}
	*ret = mh_str_n(out, len);
	return mh_str_is_utf8(*ret);
}

bool mh_uri_decode(struct mh_str text, struct mh_arena *arena,
		   struct mh_str *ret)
{
	return decode(text, false, arena, ret);
}

bool mh_uri_decode_query(struct mh_str text, struct mh_arena *arena,
			 struct mh_str *ret)
{
	return decode(text, true, arena, ret);
}

bool mh_uri_next_param(struct mh_str *query, struct mh_str *ret_name,
		       struct mh_str *ret_value)
{
	while (query->len > 0) {
		ptrdiff_t at = mh_str_find(*query, '&');
		struct mh_str piece = *query;

		if (at >= 0) {
			piece = mh_str_first(*query, (size_t)at);
			*query = mh_str_from(*query, (size_t)at + 1);
		} else {
			*query = MH_STR_NONE;
		}
		if (piece.len == 0)
			continue;
		at = mh_str_find(piece, '=');
		*ret_name = at < 0 ? piece : mh_str_first(piece, (size_t)at);
		*ret_value = at < 0 ? MH_STR_NONE
				    : mh_str_from(piece, (size_t)at + 1);
		return true;
	}
	return false;
}
