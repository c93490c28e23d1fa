/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonicaliser reads its input once, from left to right, and keeps a
 * *run*: input bytes that are canonical as they stand and not yet copied.
 * Whatever is not canonical (space, a needless escape) ends the run, which is
 * then copied to the output, and starts another behind it. Text that is
 * canonical already, as most PDUs of peers are, is therefore one run and one
 * memcpy.
 *
 * Members are expected in order. An object whose members are not is put right
 * when its end is reached: by then its values are canonical, so its bytes in
 * the output are cut into members, sorted, and written back over themselves.
 * Each level of nesting may move its bytes again; depth is bounded.
 */
#include "core/canonical_json.h"

#include "core/json_text.h"

#include <stdlib.h>

#define MAX_SAFE_INTEGER 9007199254740991 /* 2^53 - 1 */

struct canon {
	const char *at, *end; /* what is left of the input */
	const char *run;      /* start of the bytes not yet copied */
	struct mh_strbuf *out;
	struct mh_strbuf scratch;
	enum mh_json_mode mode;
	unsigned depth;
	const char *start;
	struct mh_error *err;
};

static int value(struct canon *c);

static int not_json(const struct canon *c, const char *why)
{
	return mh_fail(c->err, MH_M_NOT_JSON, "JSON, byte %zu: %s",
		       (size_t)(c->at - c->start), why);
}

static int bad_json(const struct canon *c, const char *why)
{
	return mh_fail(c->err, MH_M_BAD_JSON, "JSON, byte %zu: %s",
		       (size_t)(c->at - c->start), why);
}

/* Where the next byte will be in the output. */
static size_t position(const struct canon *c)
{
	return c->out->len + (size_t)(c->at - c->run);
}

/* The bytes of the output from `from` to `to`, which lie on one side of it. */
static struct mh_str written(const struct canon *c, size_t from, size_t to)
{
	const char *data = from < c->out->len ? c->out->data + from
					      : c->run + (from - c->out->len);

	return mh_str_n(data, to - from);
}

/* Ends the run at `c->at`. */
static void flush(struct canon *c)
{
	mh_strbuf_add(c->out, c->run, (size_t)(c->at - c->run));
	c->run = c->at;
}

/* Leaves out the next `n` bytes. */
static void skip(struct canon *c, size_t n)
{
	flush(c);
	c->at += n;
	c->run = c->at;
}

static bool is_space(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static void skip_space(struct canon *c)
{
	const char *p = c->at;

	while (p < c->end && is_space(*p))
		p++;
	if (p != c->at)
		skip(c, (size_t)(p - c->at));
}

/* --- strings ------------------------------------------------------------ */

/* The code point as it stands in a canonical string. */
static size_t canonical_escape(uint32_t cp, char out[6])
{
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
		['\f'] = 'f', ['\r'] = 'r',
	};
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	if (cp >= 0x20 || shorts[cp]) {
		out[1] = cp >= 0x20 ? (char)cp : shorts[cp];
		return 2;
	}
	out[1] = 'u';
	out[2] = out[3] = '0';
	out[4] = hex[cp >> 4];
	out[5] = hex[cp & 15];
	return 6;
}

static int escape(struct canon *c)
{
	size_t len = 0, n;
	int32_t cp = mh_json_read_escape(c->at, c->end, &len);
	char text[6];

	if (cp == MH_ESCAPE_SURROGATE)
		return bad_json(c, "unpaired surrogate");
	if (cp < 0)
		return not_json(c, "malformed escape");
	if (cp >= 0x20 && cp != '"' && cp != '\\') {
		skip(c, len);
		mh_utf8_add(c->out, (uint32_t)cp);
		return 0;
	}
	n = canonical_escape((uint32_t)cp, text);
	if (n == len && !memcmp(c->at, text, n)) {
		c->at += len;
	} else {
		skip(c, len);
		mh_strbuf_add(c->out, text, n);
	}
	return 0;
}

#define EVERY_BYTE(x) (0x0101010101010101u * (x))

/* Some byte is below 0x20, above 0x7f, a quote or a backslash. */
static bool has_special(uint64_t w)
{
	uint64_t quote = w ^ EVERY_BYTE('"');
	uint64_t backslash = w ^ EVERY_BYTE('\\');

	/*
	 * Each difference borrows into a byte's high bit where that byte is too
	 * small. A borrow may spill into the next byte, but only after one that
	 * is special itself, and bytes with the high bit set are special too.
	 */
	return ((w - EVERY_BYTE(0x20)) | (quote - EVERY_BYTE(1)) |
		(backslash - EVERY_BYTE(1)) | w) &
	       EVERY_BYTE(0x80);
}

static const char *skip_plain(const char *p, const char *end)
{
	uint64_t w;

	for (; end - p >= 8; p += 8) {
		memcpy(&w, p, 8);
		if (has_special(w))
			break;
	}
	while (p < end) {
		unsigned char ch = (unsigned char)*p;

		if (ch < 0x20 || ch > 0x7f || ch == '"' || ch == '\\')
			break;
		p++;
	}
	return p;
}

/* From the opening quote to behind the closing one. */
static int string(struct canon *c)
{
	c->at++;
	for (;;) {
		size_t n;

		c->at = skip_plain(c->at, c->end);
		if (c->at == c->end)
			return not_json(c, "unterminated string");
		if (*c->at == '"')
			break;
		if (*c->at == '\\') {
			if (escape(c) < 0)
				return -1;
			continue;
		}
		if ((unsigned char)*c->at < 0x20)
			return not_json(c, "control character in a string");
		n = mh_utf8_sequence((const unsigned char *)c->at,
				     (size_t)(c->end - c->at));
		if (n == 0)
			return not_json(c, "invalid UTF-8");
		c->at += n;
	}
	c->at++;
	return 0;
}

/* --- numbers ------------------------------------------------------------ */

static bool is_safe_integer(const struct mh_json_number *number)
{
	int64_t n = 0;

	if (number->whole.len > 16)
		return false;
	for (size_t i = 0; i < number->whole.len; i++)
		n = n * 10 + (number->whole.data[i] - '0');
	return n <= MAX_SAFE_INTEGER && !(number->negative && n == 0);
}

/*
 * The value of a number that is a safe integer in whatever notation. Zeros are
 * dropped first, so that what remains is short or out of range.
 */
static bool integer_value(const struct mh_json_number *number, int64_t *ret)
{
	int64_t exponent = 0, n = 0, point = (int64_t)number->whole.len;
	size_t n_digits = number->whole.len + number->fraction.len;
	struct mh_str power = number->exponent;
	int64_t last = -1, digit = 0;

	if (power.len && power.data[0] == '+')
		power = mh_str_from(power, 1);
	for (size_t i = 0; i < n_digits; i++) {
		char ch =
			i < number->whole.len
				? number->whole.data[i]
				: number->fraction.data[i - number->whole.len];

		if (ch != '0')
			last = (int64_t)i;
	}
	if (last < 0) {
		*ret = 0;
		return true;
	}
	if (power.len && !mh_str_to_int(power, &exponent))
		return false;
	point += exponent;
	if (last >= point)
		return false; /* a digit behind the point */
	for (int64_t i = 0; i < point; i++) {
		digit = 0;
		if (i < (int64_t)number->whole.len)
			digit = number->whole.data[i] - '0';
		else if (i < (int64_t)n_digits)
			digit = number->fraction
					.data[i - (int64_t)number->whole.len] -
				'0';
		n = n * 10 + digit;
		if (n > MAX_SAFE_INTEGER)
			return false;
	}
	*ret = number->negative ? -n : n;
	return true;
}

static int number(struct canon *c)
{
	struct mh_json_number parsed;
	const char *end = mh_json_read_number(c->at, c->end, &parsed);
	bool plain;
	int64_t n;

	if (!end)
		return not_json(c, "malformed number");
	plain = !parsed.fraction.data && !parsed.exponent.data;
	if (c->mode == MH_JSON_TOLERANT ||
	    (plain && is_safe_integer(&parsed))) {
		c->at = end;
		return 0;
	}
	if (c->mode == MH_JSON_NORMALISING && integer_value(&parsed, &n)) {
		skip(c, (size_t)(end - c->at));
		mh_strbuf_addint(c->out, n);
		return 0;
	}
	return bad_json(c, "numbers must be integers within 2^53 - 1, without "
			   "exponent, fraction or negative zero");
}

/* --- objects ------------------------------------------------------------ */

/* The next byte of a canonical string's text, escapes resolved; -1 at its end.
 */
static int next_byte(const char **p, const char *end)
{
	int32_t cp;
	size_t len = 0;

	if (*p == end)
		return -1;
	if (**p != '\\')
		return (unsigned char)*(*p)++;
	cp = mh_json_read_escape(*p, end, &len);
	*p += len;
	return cp;
}

/* Order by code point: that of UTF-8 bytes. */
static int compare_keys(struct mh_str a, struct mh_str b)
{
	const char *p = a.data, *q = b.data;
	int x, y;

	if (mh_str_find(a, '\\') < 0 && mh_str_find(b, '\\') < 0)
		return mh_str_cmp(a, b);
	do {
		x = next_byte(&p, a.data + a.len);
		y = next_byte(&q, b.data + b.len);
	} while (x == y && x >= 0);
	return x - y;
}

struct member {
	struct mh_str key, member;
};

static int compare_members(const void *a, const void *b)
{
	return compare_keys(((const struct member *)a)->key,
			    ((const struct member *)b)->key);
}

/* Puts the members of the object at `from` of the output in order. */
static int sort_members(struct canon *c, size_t from, size_t n_members)
{
	struct mh_str object;
	MH_CLEANUP(mh_freep)
	struct member *members = mh_alloc_array(n_members, sizeof(*members));
	struct mh_json_iter it;
	size_t n = 0;

	flush(c);
	object = mh_str_from(mh_strbuf_str(c->out), from);
	for (mh_json_iter_init(&it, object); mh_json_iter_next(&it);)
		members[n++] = (struct member){ it.key, it.member };
	MH_ASSERT(n == n_members);
	qsort(members, n, sizeof(*members), compare_members);

	mh_strbuf_clear(&c->scratch);
	for (size_t i = 0; i < n; i++) {
		if (i && compare_members(&members[i - 1], &members[i]) == 0)
			return bad_json(c, "duplicate key");
		mh_strbuf_addch(&c->scratch, i ? ',' : '{');
		mh_strbuf_addstr(&c->scratch, members[i].member);
	}
	mh_strbuf_addch(&c->scratch, '}');
	MH_ASSERT(c->scratch.len == object.len);
	memcpy(c->out->data + from, c->scratch.data, object.len);
	return 0;
}

/* A key and its colon; `*ret_from`, `*ret_to` are the key's text in the output.
 */
static int key(struct canon *c, size_t *ret_from, size_t *ret_to)
{
	skip_space(c);
	if (c->at == c->end || *c->at != '"')
		return not_json(c, "expected a key");
	*ret_from = position(c) + 1;
	if (string(c) < 0)
		return -1;
	*ret_to = position(c) - 1;
	if (*ret_from <= c->out->len)
		flush(c); /* an escape cut it: bring both parts together */
	skip_space(c);
	if (c->at == c->end || *c->at != ':')
		return not_json(c, "expected ':'");
	c->at++;
	return 0;
}

/* A comma (1), the closing bracket (0), or neither (-1). */
static int separator(struct canon *c, char close)
{
	skip_space(c);
	if (c->at < c->end && *c->at == ',') {
		c->at++;
		return 1;
	}
	if (c->at < c->end && *c->at == close) {
		c->at++;
		return 0;
	}
	return not_json(c, close == '}' ? "expected ',' or '}'"
					: "expected ',' or ']'");
}

/* True, and behind the closing bracket, when there is nothing inside. */
static bool is_empty(struct canon *c, char close)
{
	c->at++;
	skip_space(c);
	if (c->at == c->end || *c->at != close)
		return false;
	c->at++;
	return true;
}

static int object(struct canon *c)
{
	size_t start = position(c), n_members = 0;
	size_t from = 0, to = 0, last_from = 0, last_to = 0;
	bool sorted = true;
	int more = 1;

	if (is_empty(c, '}'))
		return 0;
	for (; more > 0; n_members++) {
		if (key(c, &from, &to) < 0)
			return -1;
		if (n_members && sorted) {
			int order = compare_keys(written(c, last_from, last_to),
						 written(c, from, to));

			if (order == 0)
				return bad_json(c, "duplicate key");
			sorted = order < 0;
		}
		last_from = from;
		last_to = to;
		if (value(c) < 0)
			return -1;
		more = separator(c, '}');
	}
	if (more < 0)
		return -1;
	return sorted ? 0 : sort_members(c, start, n_members);
}

static int array(struct canon *c)
{
	int more = 1;

	if (is_empty(c, ']'))
		return 0;
	while (more > 0) {
		if (value(c) < 0)
			return -1;
		more = separator(c, ']');
	}
	return more;
}

static int word(struct canon *c, struct mh_str expected)
{
	if (!mh_str_starts(mh_str_n(c->at, (size_t)(c->end - c->at)), expected))
		return not_json(c, "unknown word");
	c->at += expected.len;
	return 0;
}

static int nested(struct canon *c, int (*inside)(struct canon *c))
{
	int rc;

	if (c->depth == MH_JSON_MAX_DEPTH)
		return bad_json(c, "nested too deeply");
	c->depth++;
	rc = inside(c);
	c->depth--;
	return rc;
}

static int value(struct canon *c)
{
	skip_space(c);
	if (c->at == c->end)
		return not_json(c, "expected a value");
	switch (*c->at) {
	case '{':
		return nested(c, object);
	case '[':
		return nested(c, array);
	case '"':
		return string(c);
	case 't':
		return word(c, MH_STR("true"));
	case 'f':
		return word(c, MH_STR("false"));
	case 'n':
		return word(c, MH_STR("null"));
	default:
		return number(c);
	}
}

int mh_canonical_json(struct mh_str text, enum mh_json_mode mode,
		      struct mh_strbuf *out, struct mh_error *err)
{
	const char *data = text.data ? text.data : "";
	struct canon c = {
		.at = data,
		.end = data + text.len,
		.run = data,
		.start = data,
		.out = out,
		.scratch = MH_STRBUF_INIT,
		.mode = mode,
		.err = err,
	};
	size_t before = out->len;
	int rc = value(&c);

	if (rc == 0) {
		skip_space(&c);
		if (c.at != c.end)
			rc = not_json(&c, "more text after the value");
	}
	flush(&c);
	if (rc < 0)
		mh_strbuf_truncate(out, before);
	mh_strbuf_release(&c.scratch);
	return rc;
}

int mh_canonical_json_value(const json_t *json, enum mh_json_mode mode,
			    struct mh_strbuf *out, struct mh_error *err)
{
	MH_STRBUF(text);

	mh_json_add(&text, json);
	return mh_canonical_json(mh_strbuf_str(&text), mode, out, err);
}
