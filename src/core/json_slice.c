/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking canonical text. Nothing is checked, for the canonicaliser did; text
 * that is not canonical gives wrong slices, but never one outside the text.
 */
#include "core/canonical_json.h"
#include "core/json_text.h"

/* From an opening quote to behind the closing one; never past `end`. */
static const char *behind_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		const char *before;

		p = memchr(p, '"', (size_t)(end - p));
		if (!p)
			return end;
		/* The quote counts unless an odd number of '\' escapes it. */
		for (before = p; before[-1] == '\\'; before--)
			;
		if ((p - before) % 2 == 0)
			return p + 1;
	}
	return end;
}

static const char *behind_value(const char *p, const char *end)
{
	size_t depth = 0;

	if (*p != '"' && *p != '{' && *p != '[') {
		while (p < end && *p != ',' && *p != '}' && *p != ']')
			p++;
		return p;
	}
	while (p < end) {
		if (*p == '"') {
			p = behind_string(p, end);
		} else {
			if (*p == '{' || *p == '[')
				depth++;
			else if (*p == '}' || *p == ']')
				depth--;
			p++;
		}
		if (depth == 0)
			break;
	}
	return p;
}

void mh_json_iter_init(struct mh_json_iter *it, struct mh_str text)
{
	*it = (struct mh_json_iter){ 0 };
	if (text.len < 2 || (text.data[0] != '{' && text.data[0] != '['))
		return; /* no container: nothing to walk */
	it->is_object = text.data[0] == '{';
	it->at = text.data + 1;
	it->end = text.data + text.len - 1;
}

bool mh_json_iter_next(struct mh_json_iter *it)
{
	const char *from = it->at, *p = from;

	if (p == it->end)
		return false;
	if (it->is_object) {
		p = behind_string(p, it->end);
		if (p >= it->end) { /* not canonical after all */
			it->at = it->end;
			return false;
		}
		it->key = mh_str_n(from + 1, (size_t)(p - from) - 2);
		p++; /* the colon */
	}
	if (p >= it->end) {
		it->at = it->end;
		return false;
	}
	it->value.data = p;
	p = behind_value(p, it->end);
	it->value.len = (size_t)(p - it->value.data);
	it->member = mh_str_n(from, (size_t)(p - from));
	it->at = p < it->end ? p + 1 : p;
	return true;
}

struct mh_str mh_json_slice(struct mh_str object, const char *key)
{
	struct mh_json_iter it;
	struct mh_str wanted = mh_str(key);

	for (mh_json_iter_init(&it, object); mh_json_iter_next(&it);)
		if (it.is_object && mh_str_eq(it.key, wanted))
			return it.value;
	return MH_STR_NONE;
}

bool mh_json_unescape(struct mh_str raw, struct mh_strbuf *out)
{
	const char *p, *end, *plain;

	if (raw.len < 2 || raw.data[0] != '"' || raw.data[raw.len - 1] != '"')
		return false;
	p = raw.data + 1;
	end = raw.data + raw.len - 1;
	while (p < end) {
		size_t len = 0;
		int32_t cp;

		plain = memchr(p, '\\', (size_t)(end - p));
		if (!plain)
			plain = end;
		mh_strbuf_add(out, p, (size_t)(plain - p));
		p = plain;
		if (p == end)
			break;
		cp = mh_json_read_escape(p, end, &len);
		if (cp < 0)
			return false;
		mh_utf8_add(out, (uint32_t)cp);
		p += len;
	}
	return true;
}

bool mh_json_slice_int(struct mh_str raw, int64_t *ret)
{
	struct mh_json_number parsed;
	int64_t n = 0;

	if (raw.len == 0 ||
	    mh_json_read_number(raw.data, raw.data + raw.len, &parsed) !=
		    raw.data + raw.len ||
	    parsed.fraction.data || parsed.exponent.data)
		return false;
	for (size_t i = 0; i < parsed.whole.len; i++) {
		int digit = parsed.whole.data[i] - '0';

		/* Downwards, for the range reaches one further there. */
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, digit, &n))
			return false;
	}
	if (!parsed.negative && __builtin_sub_overflow(0, n, &n))
		return false;
	*ret = n;
	return true;
}
