/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies on jansson: what is read strictly, and how it is written. */
#include "core/json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void assert_refused(const char *text, enum mh_errcode code)
{
	json_t *value = NULL;
	MH_ERROR(err);

	assert_int_equal(mh_json_parse(mh_str(text), &value, &err), -1);
	assert_null(value);
	if (err.code != code)
		fail_msg("'%s': %s", text, err.message);
}

static void reading_is_strict(void **state)
{
	(void)state;
	assert_refused("", MH_M_NOT_JSON);
	assert_refused("{", MH_M_NOT_JSON);
	assert_refused("{} x", MH_M_NOT_JSON);
	assert_refused("{\"a\":1,}", MH_M_NOT_JSON);
	assert_refused("\"\xff\"", MH_M_NOT_JSON);
	assert_refused("\"\\ud800\"", MH_M_NOT_JSON);
	assert_refused("{\"a\":1,\"a\":2}", MH_M_BAD_JSON);
	assert_refused("99999999999999999999", MH_M_BAD_JSON);
}

static void depth_is_bounded_before_jansson_recurses(void **state)
{
	(void)state;
	for (size_t depth = MH_JSON_MAX_DEPTH; depth <= MH_JSON_MAX_DEPTH + 1;
	     depth++) {
		MH_CLEANUP(json_decrefp) json_t *value = NULL;
		MH_STRBUF(text);
		MH_ERROR(err);

		for (size_t i = 0; i < depth; i++)
			mh_strbuf_addch(&text, '[');
		mh_strbuf_addlit(&text, "\"[[\\\"[[\"");
		for (size_t i = 0; i < depth; i++)
			mh_strbuf_addch(&text, ']');
		assert_int_equal(mh_json_parse(mh_strbuf_str(&text), &value,
					       &err),
				 depth > MH_JSON_MAX_DEPTH ? -1 : 0);
	}
}

static void members_are_taken_by_type(void **state)
{
	MH_CLEANUP(json_decrefp) json_t *body = NULL;
	struct mh_str s = MH_STR("unset");
	json_t *inner = NULL;
	int64_t n = 0;
	bool b = false;
	MH_ERROR(err);

	(void)state;
	assert_int_equal(
		mh_json_parse_object(
			MH_STR("{\"s\":\"a\\u0000b\",\"n\":-5,\"b\":true,"
			       "\"o\":{},\"l\":[],\"z\":null}"),
			&body, &err),
		0);
	assert_int_equal(mh_json_get_str(body, "s", &s, &err), 1);
	assert_true(mh_str_eq(s, MH_STR("a\0b")));
	assert_int_equal(mh_json_get_int(body, "n", &n, &err), 1);
	assert_int_equal(n, -5);
	assert_int_equal(mh_json_get_bool(body, "b", &b, &err), 1);
	assert_true(b);
	assert_int_equal(mh_json_get_object(body, "o", &inner, &err), 1);
	assert_int_equal(mh_json_get_array(body, "l", &inner, &err), 1);
	assert_int_equal(mh_json_need_str(body, "s", &s, &err), 0);
	assert_int_equal(mh_json_need_object(body, "o", &inner, &err), 0);

	/* Absent, or null: nothing is set. */
	s = MH_STR("unset");
	assert_int_equal(mh_json_get_str(body, "x", &s, &err), 0);
	assert_int_equal(mh_json_get_str(body, "z", &s, &err), 0);
	assert_int_equal(mh_json_get_bool(body, "z", &b, &err), 0);
	assert_true(mh_str_is(s, "unset"));
}

static void wrong_and_missing_members_are_told_apart(void **state)
{
	MH_CLEANUP(json_decrefp) json_t *body = NULL;
	json_t *inner = NULL;
	struct mh_str s;
	int64_t n;
	bool b;
	MH_ERROR(err);

	(void)state;
	assert_int_equal(mh_json_parse_object(MH_STR("{\"s\":\"1\",\"n\":1.5,"
						     "\"o\":[]}"),
					      &body, &err),
			 0);
	assert_int_equal(mh_json_get_int(body, "s", &n, &err), -1);
	assert_int_equal(err.code, MH_M_BAD_JSON);
	assert_int_equal(mh_json_get_int(body, "n", &n, &err), -1);
	assert_int_equal(mh_json_get_str(body, "n", &s, &err), -1);
	assert_int_equal(mh_json_get_bool(body, "s", &b, &err), -1);
	assert_int_equal(mh_json_get_object(body, "o", &inner, &err), -1);
	assert_int_equal(mh_json_get_array(body, "s", &inner, &err), -1);
	assert_int_equal(mh_json_need_object(body, "o", &inner, &err), -1);
	assert_int_equal(err.code, MH_M_BAD_JSON);
	assert_int_equal(mh_json_need_str(body, "x", &s, &err), -1);
	assert_int_equal(err.code, MH_M_MISSING_PARAM);
	assert_int_equal(mh_json_parse_object(MH_STR("[]"), &inner, &err), -1);
	assert_int_equal(err.code, MH_M_BAD_JSON);
}

static void assert_written(const char *text, const char *expected)
{
	MH_CLEANUP(json_decrefp) json_t *value = NULL;
	MH_STRBUF(out);
	MH_ERROR(err);

	assert_int_equal(mh_json_parse(mh_str(text), &value, &err), 0);
	mh_json_add(&out, value);
	assert_string_equal(out.data, expected);
}

static void values_are_written_compactly(void **state)
{
	(void)state;
	assert_written("{ \"b\" : [ 1 , true, false, null ], \"a\": {} }",
		       "{\"b\":[1,true,false,null],\"a\":{}}");
	assert_written("\"\\u0000\\u001f\\u007f\\u00e9\\/\\\"\\\\\\n\"",
		       "\"\\u0000\\u001f\x7f\xc3\xa9/\\\"\\\\\\n\"");
	assert_written("-9223372036854775808", "-9223372036854775808");
	/* Numbers read back as they were: the order of room tags. */
	assert_written("[0.1,0.25,1e100]", "[0.1,0.25,1e100]");
}

static void texts_are_put_together(void **state)
{
	MH_CLEANUP(json_decrefp) json_t *text = mh_json_new_str(MH_STR("a\0b"));
	MH_STRBUF(out);

	(void)state;
	mh_strbuf_addch(&out, '{');
	mh_json_add_key(&out, MH_STR("a"));
	mh_strbuf_addch(&out, '[');
	for (int i = 0; i < 3; i++) {
		mh_json_add_comma(&out);
		mh_strbuf_addint(&out, i);
	}
	mh_strbuf_addch(&out, ']');
	mh_json_add_key(&out, MH_STR("b\""));
	mh_json_add(&out, text);
	mh_strbuf_addch(&out, '}');
	assert_string_equal(out.data,
			    "{\"a\":[0,1,2],\"b\\\"\":\"a\\u0000b\"}");
	assert_true(mh_str_eq(mh_json_str(text), MH_STR("a\0b")));
	assert_null(mh_json_str(NULL).data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_is_strict),
		cmocka_unit_test(depth_is_bounded_before_jansson_recurses),
		cmocka_unit_test(members_are_taken_by_type),
		cmocka_unit_test(wrong_and_missing_members_are_told_apart),
		cmocka_unit_test(values_are_written_compactly),
		cmocka_unit_test(texts_are_put_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
