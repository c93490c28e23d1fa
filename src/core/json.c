/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include <stdlib.h>

/* --- reading ------------------------------------------------------------ */

/*
 * The deepest nesting of brackets outside strings. jansson recurses up to 2048
 * levels and cannot be told less, so depth is bounded before it starts; text
 * that is not JSON gets a number that does not matter.
 */
static size_t nesting_depth(struct mh_str text)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return deepest;
}

static int parse_failed(const json_error_t *failure, struct mh_error *err)
{
	enum mh_errcode code = MH_M_NOT_JSON;

	switch (json_error_code(failure)) {
	case json_error_duplicate_key:
	case json_error_null_byte_in_key:
	case json_error_numeric_overflow:
		code = MH_M_BAD_JSON; /* well-formed, and not acceptable */
		break;
	default:
		break;
	}
	return mh_fail(err, code, "JSON, line %d, column %d: %s", failure->line,
		       failure->column, failure->text);
}

int mh_json_parse(struct mh_str text, json_t **ret, struct mh_error *err)
{
	json_error_t failure;
	json_t *value;

	if (nesting_depth(text) > MH_JSON_MAX_DEPTH)
		return mh_fail(err, MH_M_BAD_JSON,
			       "JSON is nested deeper than %d levels",
			       MH_JSON_MAX_DEPTH);
	value = json_loadb(text.data ? text.data : "", text.len,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY |
				   JSON_ALLOW_NUL,
			   &failure);
	if (!value)
		return parse_failed(&failure, err);
	*ret = value;
	return 0;
}

int mh_json_parse_object(struct mh_str text, json_t **ret, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *value = NULL;

	if (mh_json_parse(text, &value, err) < 0)
		return -1;
	if (!json_is_object(value))
		return mh_fail(err, MH_M_BAD_JSON, "expected a JSON object");
	*ret = MH_TAKE(value);
	return 0;
}

/* 1: `*ret` is a member of type `type`; 0: absent or null; -1: another type. */
static int get_member(const json_t *object, const char *key, json_type type,
		      const char *type_name, json_t **ret, struct mh_error *err)
{
	json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return mh_fail(err, MH_M_BAD_JSON, "'%s' must be %s", key,
			       type_name);
	*ret = value;
	return 1;
}

int mh_json_get_str(const json_t *object, const char *key, struct mh_str *ret,
		    struct mh_error *err)
{
	json_t *value = NULL;
	int rc = get_member(object, key, JSON_STRING, "a string", &value, err);

	if (rc > 0)
		*ret = mh_json_str(value);
	return rc;
}

int mh_json_get_int(const json_t *object, const char *key, int64_t *ret,
		    struct mh_error *err)
{
	json_t *value = NULL;
	int rc = get_member(object, key, JSON_INTEGER, "an integer", &value,
			    err);

	if (rc > 0)
		*ret = json_integer_value(value);
	return rc;
}

int mh_json_get_bool(const json_t *object, const char *key, bool *ret,
		     struct mh_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_boolean(value))
		return mh_fail(err, MH_M_BAD_JSON, "'%s' must be a boolean",
			       key);
	*ret = json_is_true(value);
	return 1;
}

int mh_json_get_object(const json_t *object, const char *key, json_t **ret,
		       struct mh_error *err)
{
	return get_member(object, key, JSON_OBJECT, "an object", ret, err);
}

int mh_json_get_array(const json_t *object, const char *key, json_t **ret,
		      struct mh_error *err)
{
	return get_member(object, key, JSON_ARRAY, "an array", ret, err);
}

static int missing(const char *key, struct mh_error *err)
{
	return mh_fail(err, MH_M_MISSING_PARAM, "'%s' is missing", key);
}

int mh_json_need_str(const json_t *object, const char *key, struct mh_str *ret,
		     struct mh_error *err)
{
	int rc = mh_json_get_str(object, key, ret, err);

	return rc == 0 ? missing(key, err) : rc < 0 ? -1 : 0;
}

int mh_json_need_object(const json_t *object, const char *key, json_t **ret,
			struct mh_error *err)
{
	int rc = mh_json_get_object(object, key, ret, err);

	return rc == 0 ? missing(key, err) : rc < 0 ? -1 : 0;
}

struct mh_str mh_json_str(const json_t *value)
{
	if (!json_is_string(value))
		return MH_STR_NONE;
	return mh_str_n(json_string_value(value), json_string_length(value));
}

json_t *mh_json_new_str(struct mh_str s)
{
	json_t *value = json_stringn(s.data ? s.data : "", s.len);

	MH_ASSERT(value != NULL);
	return value;
}

/* --- writing ------------------------------------------------------------ */

static void add_escape(struct mh_strbuf *out, unsigned char c)
{
	/* Canonical JSON's own choice: short forms, else lower-case hex. */
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
		['\f'] = 'f', ['\r'] = 'r',
	};

	if (c >= 0x20) {
		mh_strbuf_addch(out, '\\');
		mh_strbuf_addch(out, (char)c);
	} else if (shorts[c]) {
		mh_strbuf_addch(out, '\\');
		mh_strbuf_addch(out, shorts[c]);
	} else {
		mh_strbuf_addf(out, "\\u%04x", c);
	}
}

void mh_json_add_str(struct mh_strbuf *out, struct mh_str s)
{
	size_t from = 0;

	mh_strbuf_reserve(out, s.len + 2);
	mh_strbuf_addch(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		mh_strbuf_add(out, s.data + from, i - from);
		add_escape(out, c);
		from = i + 1;
	}
	if (s.len > from)
		mh_strbuf_add(out, s.data + from, s.len - from);
	mh_strbuf_addch(out, '"');
}

void mh_json_add_comma(struct mh_strbuf *out)
{
	char last = out->len ? out->data[out->len - 1] : '{';

	if (last != '{' && last != '[')
		mh_strbuf_addch(out, ',');
}

void mh_json_add_key(struct mh_strbuf *out, struct mh_str key)
{
	mh_json_add_comma(out);
	mh_json_add_str(out, key);
	mh_strbuf_addch(out, ':');
}

/* The shortest text that reads back as the same number. */
static void add_real(struct mh_strbuf *out, const json_t *value)
{
	char text[64];
	size_t n = 0;

	for (unsigned precision = 15; precision <= 17; precision++) {
		n = json_dumpb(value, text, sizeof(text) - 1,
			       JSON_ENCODE_ANY |
				       JSON_REAL_PRECISION(precision));
		MH_ASSERT(n < sizeof(text));
		text[n] = '\0';
		if (strtod(text, NULL) == json_real_value(value))
			break;
	}
	mh_strbuf_add(out, text, n);
}

static void add_object(struct mh_strbuf *out, const json_t *object)
{
	json_t *walk = (json_t *)(uintptr_t)object; /* jansson's API */
	const char *key;
	json_t *value;

	mh_strbuf_addch(out, '{');
	json_object_foreach(walk, key, value)
	{
		mh_json_add_key(out, mh_str(key));
		mh_json_add(out, value);
	}
	mh_strbuf_addch(out, '}');
}

void mh_json_add(struct mh_strbuf *out, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		add_object(out, value);
		break;
	case JSON_ARRAY:
		mh_strbuf_addch(out, '[');
		for (size_t i = 0; i < json_array_size(value); i++) {
			mh_json_add_comma(out);
			mh_json_add(out, json_array_get(value, i));
		}
		mh_strbuf_addch(out, ']');
		break;
	case JSON_STRING:
		mh_json_add_str(out, mh_json_str(value));
		break;
	case JSON_INTEGER:
		mh_strbuf_addint(out, json_integer_value(value));
		break;
	case JSON_REAL:
		add_real(out, value);
		break;
	case JSON_TRUE:
		mh_strbuf_addlit(out, "true");
		break;
	case JSON_FALSE:
		mh_strbuf_addlit(out, "false");
		break;
	case JSON_NULL:
		mh_strbuf_addlit(out, "null");
		break;
	}
}
