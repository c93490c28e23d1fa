/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/filter.h"

#include <stdlib.h>

static struct mh_filter *parse(const char *json)
{
	struct mh_filter *filter = NULL;
	MH_ERROR(err);

	if (mh_filter_parse(mh_str(json), &filter, &err) < 0)
		fail_msg("%s", err.message);
	return filter;
}

static struct mh_event an_event(const char *type, const char *sender,
				const char *content)
{
	return (struct mh_event){
		.type = mh_str(type),
		.sender = mh_str(sender),
		.room_id = MH_STR("!r:a.example"),
		.content = mh_str(content),
	};
}

static bool matches(const char *timeline, const struct mh_event *event)
{
	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter = NULL;
	MH_STRBUF(json);

	mh_strbuf_addf(&json, "{\"room\":{\"timeline\":%s}}", timeline);
	filter = parse(json.data);
	return mh_event_filter_match(&filter->room.timeline, event);
}

static void test_types_have_wildcards(void **state)
{
	struct mh_event event = an_event("m.room.message", "@a:b", "{}");

	(void)state;
	assert_true(matches("{}", &event));
	assert_true(matches("{\"types\":[\"m.room.*\"]}", &event));
	assert_true(matches("{\"types\":[\"*.mess*e\"]}", &event));
	assert_false(matches("{\"types\":[\"m.room.?essage\"]}", &event));
	assert_false(matches("{\"types\":[\"m.room\"]}", &event));
	/* An empty list includes nothing; an absent one everything. */
	assert_false(matches("{\"types\":[]}", &event));
	assert_false(matches("{\"types\":[\"*\"],\"not_types\":[\"m.*\"]}",
			     &event));
}

static void test_senders_rooms_and_urls(void **state)
{
	struct mh_event event = an_event("t", "@a:b", "{\"url\":\"mxc://a/b\"}");

	(void)state;
	assert_true(matches("{\"senders\":[\"@a:b\"]}", &event));
	assert_false(matches("{\"senders\":[\"@c:b\"]}", &event));
	assert_false(matches("{\"senders\":[\"@a:b\"],\"not_senders\":"
			     "[\"@a:b\"]}",
			     &event));
	assert_true(matches("{\"rooms\":[\"!r:a.example\"]}", &event));
	assert_false(matches("{\"not_rooms\":[\"!r:a.example\"]}", &event));
	assert_true(matches("{\"contains_url\":true}", &event));
	assert_false(matches("{\"contains_url\":false}", &event));
}

static void test_limits(void **state)
{
	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter = parse(
		"{\"room\":{\"timeline\":{\"limit\":7},\"state\":{}}}");

	(void)state;
	assert_int_equal(
		mh_event_filter_limit(&filter->room.timeline, 10, 100), 7);
	assert_int_equal(mh_event_filter_limit(&filter->room.timeline, 10, 5),
			 5);
	assert_int_equal(mh_event_filter_limit(&filter->room.state, 10, 100),
			 10);
}

static void test_bad_filters(void **state)
{
	static const struct {
		const char *json;
		enum mh_errcode code;
	} bad[] = {
		{ "[]", MH_M_BAD_JSON },
		{ "{", MH_M_NOT_JSON },
		{ "{\"room\":1}", MH_M_BAD_JSON },
		{ "{\"room\":{\"rooms\":[1]}}", MH_M_BAD_JSON },
		{ "{\"room\":{\"timeline\":{\"limit\":-1}}}",
		  MH_M_INVALID_PARAM },
		{ "{\"room\":{\"state\":{\"lazy_load_members\":1}}}",
		  MH_M_BAD_JSON },
		{ "{\"event_format\":\"pony\"}", MH_M_INVALID_PARAM },
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++) {
		struct mh_filter *filter = NULL;
		MH_ERROR(err);

		assert_int_equal(
			mh_filter_parse(mh_str(bad[i].json), &filter, &err),
			-1);
		assert_int_equal(err.code, bad[i].code);
		assert_null(filter);
	}
}

static void test_event_fields(void **state)
{
	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter =
		parse("{\"event_fields\":[\"type\",\"content.body\","
		      "\"content.a\\\\.b\",\"none.at.all\"]}");
	MH_STRBUF(out);

	(void)state;
	mh_filter_event_fields(filter,
			       MH_STR("{\"type\":\"t\",\"sender\":\"@a:b\","
				      "\"content\":{\"body\":\"x\",\"a.b\":1,"
				      "\"c\":2}}"),
			       &out);
	assert_string_equal(out.data, "{\"type\":\"t\",\"content\":{\"body\":"
				      "\"x\",\"a.b\":1}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types_have_wildcards),
		cmocka_unit_test(test_senders_rooms_and_urls),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_filters),
		cmocka_unit_test(test_event_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
