/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical JSON: the appendices' examples, and what has no canonical form. */
#include "core/canonical_json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void assert_canonical(enum mh_json_mode mode, const char *text,
			     const char *expected)
{
	MH_STRBUF(out);
	MH_STRBUF(again);
	MH_ERROR(err);

	mh_strbuf_addlit(&out, "[");
	if (mh_canonical_json(mh_str(text), mode, &out, &err) < 0)
		fail_msg("'%s': %s", text, err.message);
	assert_int_equal(out.data[0], '[');
	assert_string_equal(out.data + 1, expected);
	/* What is canonical stays as it is. */
	assert_int_equal(
		mh_canonical_json(mh_str(expected), mode, &again, &err), 0);
	assert_string_equal(again.data, expected);
}

static void assert_strict(const char *text, const char *expected)
{
	assert_canonical(MH_JSON_STRICT, text, expected);
}

static void assert_fails_bytes(enum mh_json_mode mode, struct mh_str text,
			       enum mh_errcode code)
{
	MH_STRBUF(out);
	MH_ERROR(err);

	mh_strbuf_addlit(&out, "kept");
	assert_int_equal(mh_canonical_json(text, mode, &out, &err), -1);
	if (err.code != code)
		fail_msg("'%.*s': %s", MH_STR_ARG(text), err.message);
	assert_string_equal(out.data, "kept");
}

static void assert_fails(const char *text, enum mh_errcode code)
{
	assert_fails_bytes(MH_JSON_STRICT, mh_str(text), code);
}

static void the_appendices_examples(void **state)
{
	(void)state;
	assert_strict("{}", "{}");
	assert_strict("{\n    \"one\": 1,\n    \"two\": \"Two\"\n}",
		      "{\"one\":1,\"two\":\"Two\"}");
	assert_strict("{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}",
		      "{\"a\":\"1\",\"b\":\"2\"}");
	assert_strict("{\"b\":\"2\",\"a\":\"1\"}", "{\"a\":\"1\",\"b\":\"2\"}");
	assert_strict(
		"{\"auth\":{\"success\":true,\"mxid\":"
		"\"@john.doe:example.com\",\"profile\":{\"display_name\":"
		"\"John Doe\",\"three_pids\":[{\"medium\":\"email\","
		"\"address\":\"john.doe@example.org\"},{\"medium\":\"msisdn\","
		"\"address\":\"123456789\"}]}}}",
		"{\"auth\":{\"mxid\":\"@john.doe:example.com\",\"profile\":"
		"{\"display_name\":\"John Doe\",\"three_pids\":[{\"address\":"
		"\"john.doe@example.org\",\"medium\":\"email\"},{\"address\":"
		"\"123456789\",\"medium\":\"msisdn\"}]},\"success\":true}}");
	assert_strict("{\"a\": \"日本語\"}", "{\"a\":\"日本語\"}");
	assert_strict("{\"本\": 2, \"日\": 1}", "{\"日\":1,\"本\":2}");
	assert_strict("{\"a\": \"\\u65E5\"}", "{\"a\":\"日\"}");
	assert_strict("{\"a\": null}", "{\"a\":null}");
	assert_canonical(MH_JSON_NORMALISING, "{\"a\": -0, \"b\": 1e10}",
			 "{\"a\":0,\"b\":10000000000}");
}

static void strings_are_minimally_escaped(void **state)
{
	(void)state;
	assert_strict("\"\\u0000\\u001F\\u000b\"", "\"\\u0000\\u001f\\u000b\"");
	assert_strict("\"\\u0008\\u0009\\u000a\\u000C\\u000d\"",
		      "\"\\b\\t\\n\\f\\r\"");
	assert_strict("\"\\u0022\\u005c\\/\\u007f\"", "\"\\\"\\\\/\x7f\"");
	assert_strict("\"\\ud83d\\ude00 \\u00e9\"", "\"😀 é\"");
	assert_strict("\"plain text of more than eight bytes\\u0041\"",
		      "\"plain text of more than eight bytesA\"");
}

static void keys_are_ordered_by_code_point(void **state)
{
	(void)state;
	/* An escape sorts as the character it stands for. */
	assert_strict("{\"a\":1,\"\\n\":2,\"!\":3}",
		      "{\"\\n\":2,\"!\":3,\"a\":1}");
	assert_strict("{\"]\":1,\"\\\\\":2,\"[\":3}",
		      "{\"[\":3,\"\\\\\":2,\"]\":1}");
	/* U+FFFF before U+10000, unlike in UTF-16. */
	assert_strict("{\"\\ud800\\udc00\":1,\"\\uffff\":2}",
		      "{\"\xef\xbf\xbf\":2,\"\xf0\x90\x80\x80\":1}");
	assert_strict("{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}");
	assert_strict("{\"b\":{\"d\":[],\"c\":{}},\"a\":[{\"z\":1,\"y\":2}]}",
		      "{\"a\":[{\"y\":2,\"z\":1}],\"b\":{\"c\":{},\"d\":[]}}");
}

/* A key that an escape cuts in two is compared whole, here and there. */
static void an_escaped_key_is_compared_whole(void **state)
{
	(void)state;
	assert_strict("{\"a\\u0062c\":1,\"abd\":2}", "{\"abc\":1,\"abd\":2}");
	assert_strict("{\"abd\":2,\"a\\u0062c\":1}", "{\"abc\":1,\"abd\":2}");
	assert_strict("{\"\\u0061\":1,\"\\u0062\":2}", "{\"a\":1,\"b\":2}");
	assert_fails("{\"abc\":1,\"a\\u0062c\":2}", MH_M_BAD_JSON);
}

static void duplicate_keys_are_refused(void **state)
{
	(void)state;
	assert_fails("{\"a\":1,\"a\":1}", MH_M_BAD_JSON);
	assert_fails("{\"a\":1,\"b\":2,\"a\":3}", MH_M_BAD_JSON);
	assert_fails("{\"x\":{\"b\":1,\"c\":1,\"b\":1}}", MH_M_BAD_JSON);
	assert_fails("{\"\":1,\"\":1}", MH_M_BAD_JSON);
	assert_strict("[{\"a\":1},{\"a\":1}]", "[{\"a\":1},{\"a\":1}]");
}

static void strict_numbers_are_safe_integers(void **state)
{
	(void)state;
	assert_strict("9007199254740991", "9007199254740991");
	assert_strict("-9007199254740991", "-9007199254740991");
	assert_strict("0", "0");
	assert_fails("9007199254740992", MH_M_BAD_JSON);
	assert_fails("-9007199254740992", MH_M_BAD_JSON);
	assert_fails("99999999999999999999999999", MH_M_BAD_JSON);
	assert_fails("1.0", MH_M_BAD_JSON);
	assert_fails("1e3", MH_M_BAD_JSON);
	assert_fails("-0", MH_M_BAD_JSON);
}

static void tolerant_numbers_are_left_as_they_are(void **state)
{
	(void)state;
	assert_canonical(MH_JSON_TOLERANT,
			 "[ 1.50, -0, 1E+5, 9007199254740992 ]",
			 "[1.50,-0,1E+5,9007199254740992]");
	assert_fails_bytes(MH_JSON_TOLERANT, MH_STR("01"), MH_M_NOT_JSON);
}

static void normalised_numbers_are_written_out(void **state)
{
	(void)state;
	assert_canonical(MH_JSON_NORMALISING,
			 "[2.0,1.5e1,-120e-1,0.0e99,-0.0,0.00001e5]",
			 "[2,15,-12,0,0,1]");
	assert_canonical(MH_JSON_NORMALISING, "9007199254740991e0",
			 "9007199254740991");
	assert_fails_bytes(MH_JSON_NORMALISING, MH_STR("1.5"), MH_M_BAD_JSON);
	assert_fails_bytes(MH_JSON_NORMALISING, MH_STR("1e16"), MH_M_BAD_JSON);
	assert_fails_bytes(MH_JSON_NORMALISING, MH_STR("1e999999999999999999"),
			   MH_M_BAD_JSON);
	assert_fails_bytes(MH_JSON_NORMALISING, MH_STR("1e-999999999999999999"),
			   MH_M_BAD_JSON);
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"}",
		"[",
		"[1",
		"[1,]",
		"[,1]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\":1 \"b\":2}",
		"\"a",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\",
		"\"\\u",
		"tru",
		"nul",
		"01",
		"-",
		"+1",
		"1.",
		".5",
		"1e",
		"1e+",
		"{} {}",
		"1 2",
		"'a'",
		"\"\t\"",
		"\"\n\"",
		"NaN",
		"-Infinity",
		"// x\n1",
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(texts); i++)
		assert_fails(texts[i], MH_M_NOT_JSON);
	assert_fails_bytes(MH_JSON_STRICT, MH_STR("\"a\0b\""), MH_M_NOT_JSON);
	assert_fails_bytes(MH_JSON_STRICT, MH_STR("{}\0"), MH_M_NOT_JSON);
	assert_fails_bytes(MH_JSON_STRICT, MH_STR_NONE, MH_M_NOT_JSON);
}

static void invalid_unicode_is_refused(void **state)
{
	(void)state;
	assert_fails("\"\xff\"", MH_M_NOT_JSON);
	assert_fails("\"\xc0\x80\"", MH_M_NOT_JSON);	 /* overlong NUL */
	assert_fails("\"\xed\xa0\x80\"", MH_M_NOT_JSON); /* a surrogate */
	assert_fails("\"\xf4\x90\x80\x80\"", MH_M_NOT_JSON);
	assert_fails("\"\xe6\x97\"", MH_M_NOT_JSON); /* cut short */
	assert_fails("\"\\ud800\"", MH_M_BAD_JSON);
	assert_fails("\"\\udc00\"", MH_M_BAD_JSON);
	assert_fails("\"\\ud800\\u0041\"", MH_M_BAD_JSON);
	assert_fails("\"\\ud800x\"", MH_M_BAD_JSON);
}

static void depth_is_bounded(void **state)
{
	(void)state;
	for (size_t depth = MH_JSON_MAX_DEPTH; depth <= MH_JSON_MAX_DEPTH + 1;
	     depth++) {
		MH_STRBUF(text);

		for (size_t i = 0; i < depth; i++)
			mh_strbuf_addch(&text, '[');
		for (size_t i = 0; i < depth; i++)
			mh_strbuf_addch(&text, ']');
		if (depth > MH_JSON_MAX_DEPTH)
			assert_fails(text.data, MH_M_BAD_JSON);
		else
			assert_strict(text.data, text.data);
	}
}

static void values_of_jansson_have_the_same_form(void **state)
{
	MH_CLEANUP(json_decrefp)
	json_t *value =
		json_pack("{s:i, s:[s#, b, n]}", "b", 1, "a", "x\0y", 3, 1);
	MH_CLEANUP(json_decrefp) json_t *real = json_real(1.5);
	MH_STRBUF(out);
	MH_ERROR(err);

	(void)state;
	assert_int_equal(
		mh_canonical_json_value(value, MH_JSON_STRICT, &out, &err), 0);
	assert_string_equal(out.data,
			    "{\"a\":[\"x\\u0000y\",true,null],\"b\":1}");
	assert_int_equal(
		mh_canonical_json_value(real, MH_JSON_STRICT, &out, &err), -1);
	assert_int_equal(err.code, MH_M_BAD_JSON);
}

static void slices_are_walked_in_order(void **state)
{
	static const char *const values[] = { "1", "\"x,}\\\"\"", "[[],{}]",
					      "null" };
	struct mh_str text = MH_STR("{\"a\":1,\"b\\\"\":\"x,}\\\"\","
				    "\"c\":[[],{}],\"d\":null}");
	struct mh_json_iter it;
	size_t n = 0;

	(void)state;
	for (mh_json_iter_init(&it, text); mh_json_iter_next(&it); n++) {
		assert_true(n < MH_ARRAY_LEN(values));
		assert_true(mh_str_is(it.value, values[n]));
		if (n == 1) {
			assert_true(mh_str_is(it.key, "b\\\""));
			assert_true(
				mh_str_is(it.member, "\"b\\\"\":\"x,}\\\"\""));
		}
	}
	assert_int_equal(n, 4);
	assert_true(mh_str_is(mh_json_slice(text, "c"), "[[],{}]"));
	assert_null(mh_json_slice(text, "e").data);
	for (n = 0, mh_json_iter_init(&it, MH_STR("[1,\"a\",{}]"));
	     mh_json_iter_next(&it); n++)
		assert_null(it.key.data);
	assert_int_equal(n, 3);
	mh_json_iter_init(&it, MH_STR("{}"));
	assert_false(mh_json_iter_next(&it));
	mh_json_iter_init(&it, MH_STR("\"no container\""));
	assert_false(mh_json_iter_next(&it));
}

/* Damaged rows of the store come here: slices may be wrong, never outside. */
static void damaged_text_is_walked_without_harm(void **state)
{
	static const char *const texts[] = {
		"{\"}", "{\"a}", "{\"a\"}",   "{\"a\":}", "{abc}",
		"[\"]", "[,]",	 "{\"a\":{]", "[[[]",	  "{\"a\":\"\\\"}",
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(texts); i++) {
		struct mh_str text = mh_str(texts[i]);
		struct mh_json_iter it;
		size_t n = 0;

		for (mh_json_iter_init(&it, text); mh_json_iter_next(&it);) {
			assert_true(it.key.len < text.len);
			assert_true(it.value.data + it.value.len <=
				    text.data + text.len);
			assert_true(++n <= text.len);
		}
	}
}

static void slices_are_decoded(void **state)
{
	int64_t n;
	MH_STRBUF(text);

	(void)state;
	assert_true(mh_json_unescape(
		MH_STR("\"a\\u0000\\n\\\"\\ud83d\\ude00\""), &text));
	assert_true(mh_str_eq(mh_strbuf_str(&text), MH_STR("a\0\n\"😀")));
	assert_false(mh_json_unescape(MH_STR("7"), &text));
	assert_false(mh_json_unescape(MH_STR("\"\\\""), &text));

	assert_true(mh_json_slice_int(MH_STR("-9223372036854775808"), &n));
	assert_true(n == INT64_MIN);
	assert_true(mh_json_slice_int(MH_STR("9223372036854775807"), &n));
	assert_true(n == INT64_MAX);
	assert_false(mh_json_slice_int(MH_STR("9223372036854775808"), &n));
	assert_false(mh_json_slice_int(MH_STR("1.0"), &n));
	assert_false(mh_json_slice_int(MH_STR("\"1\""), &n));
	assert_false(mh_json_slice_int(MH_STR_NONE, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_appendices_examples),
		cmocka_unit_test(strings_are_minimally_escaped),
		cmocka_unit_test(keys_are_ordered_by_code_point),
		cmocka_unit_test(an_escaped_key_is_compared_whole),
		cmocka_unit_test(duplicate_keys_are_refused),
		cmocka_unit_test(strict_numbers_are_safe_integers),
		cmocka_unit_test(tolerant_numbers_are_left_as_they_are),
		cmocka_unit_test(normalised_numbers_are_written_out),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(invalid_unicode_is_refused),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(values_of_jansson_have_the_same_form),
		cmocka_unit_test(slices_are_walked_in_order),
		cmocka_unit_test(damaged_text_is_walked_without_harm),
		cmocka_unit_test(slices_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
