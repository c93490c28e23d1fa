/* SPDX-License-Identifier: Apache-2.0 */
/* Key backups over a whole node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"

#define KEYS API "/room_keys/keys"
#define VERSION API "/room_keys/version"
#define ALGORITHM "\"algorithm\":\"m.megolm_backup.v1.curve25519-aes-sha2\""

static void start(struct world *w, const char *expected)
{
	struct reply reply = ask(w, &w->alice, "POST", VERSION,
				 "{" ALGORITHM ",\"auth_data\":{\"k\":1}}");

	assert_string_equal(reply_str(&reply, "version"), expected);
	reply_release(&reply);
}

static const char *key(struct world *w, bool verified, int index, int forwarded,
		       const char *data)
{
	return fmt(w,
		   "{\"is_verified\":%s,\"first_message_index\":%d,"
		   "\"forwarded_count\":%d,\"session_data\":{\"d\":\"%s\"}}",
		   verified ? "true" : "false", index, forwarded, data);
}

static void put(struct world *w, const char *path, const char *body)
{
	tell(w, &w->alice, "PUT", fmt(w, KEYS "%s", path), body);
}

static const char *stored(struct world *w)
{
	return str_of(json_object_get(get(w, &w->alice,
					  KEYS "/!r:a/s?version=1"),
				      "session_data"),
		      "d");
}

static void versions_are_made_described_changed_and_deleted(void **state)
{
	struct world *w = *state;
	json_t *version;

	refuse(w, &w->alice, "GET", VERSION, NULL, 404, "M_NOT_FOUND");
	start(w, "1");
	start(w, "2");
	version = get(w, &w->alice, VERSION);
	assert_string_equal(str_of(version, "version"), "2");
	assert_int_equal(
		json_integer_value(json_object_get(version, "count")), 0);
	refuse(w, &w->alice, "PUT", VERSION "/2",
	       "{\"algorithm\":\"other\",\"auth_data\":{}}", 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", VERSION "/2",
	       "{" ALGORITHM ",\"auth_data\":{},\"version\":\"1\"}", 400,
	       "M_INVALID_PARAM");
	tell(w, &w->alice, "PUT", VERSION "/2",
	     "{" ALGORITHM ",\"auth_data\":{\"k\":2}}");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(get(w, &w->alice,
						     VERSION "/2"),
						 "auth_data"),
				 "k")),
			 2);
	tell(w, &w->alice, "DELETE", VERSION "/2", NULL);
	tell(w, &w->alice, "DELETE", VERSION "/2", NULL);
	refuse(w, &w->alice, "GET", VERSION "/2", NULL, 404, "M_NOT_FOUND");
	refuse(w, &w->alice, "DELETE", VERSION "/9", NULL, 404, "M_NOT_FOUND");
	refuse(w, &w->alice, "GET", VERSION "/x", NULL, 404, "M_NOT_FOUND");
	assert_string_equal(str_of(get(w, &w->alice, VERSION), "version"),
			    "1");
	start(w, "3"); /* a number is never given out again */
	refuse(w, &w->bob, "GET", VERSION "/1", NULL, 404, "M_NOT_FOUND");
}

static void a_better_key_replaces_and_a_worse_one_does_not(void **state)
{
	struct world *w = *state;

	start(w, "1");
	put(w, "/!r:a/s?version=1", key(w, false, 5, 5, "first"));
	put(w, "/!r:a/s?version=1", key(w, false, 6, 0, "later index"));
	assert_string_equal(stored(w), "first");
	put(w, "/!r:a/s?version=1", key(w, false, 5, 4, "fewer hops"));
	assert_string_equal(stored(w), "fewer hops");
	put(w, "/!r:a/s?version=1", key(w, false, 4, 9, "earlier index"));
	assert_string_equal(stored(w), "earlier index");
	put(w, "/!r:a/s?version=1", key(w, true, 9, 9, "verified"));
	assert_string_equal(stored(w), "verified");
	put(w, "/!r:a/s?version=1", key(w, false, 0, 0, "unverified"));
	assert_string_equal(stored(w), "verified");
}

static void keys_are_read_in_the_three_shapes(void **state)
{
	struct world *w = *state;
	json_t *rooms, *before, *after;

	start(w, "1");
	before = get(w, &w->alice, VERSION);
	put(w, "?version=1",
	    fmt(w,
		"{\"rooms\":{\"!r:a\":{\"sessions\":{\"s\":%s,\"t\":%s}},"
		"\"!q:a\":{\"sessions\":{\"s\":%s}}}}",
		key(w, true, 0, 0, "rs"), key(w, true, 0, 0, "rt"),
		key(w, true, 0, 0, "qs")));
	put(w, "/!q:a?version=1",
	    fmt(w, "{\"sessions\":{\"u\":%s}}", key(w, true, 0, 0, "qu")));
	after = get(w, &w->alice, VERSION);
	assert_string_not_equal(str_of(before, "etag"), str_of(after, "etag"));
	assert_int_equal(json_integer_value(json_object_get(after, "count")),
			 4);

	rooms = json_object_get(get(w, &w->alice, KEYS "?version=1"), "rooms");
	assert_int_equal(json_object_size(rooms), 2);
	assert_int_equal(json_object_size(json_object_get(
				 json_object_get(rooms, "!q:a"), "sessions")),
			 2);
	assert_int_equal(
		json_object_size(json_object_get(
			get(w, &w->alice, KEYS "/!r:a?version=1"),
			"sessions")),
		2);
	assert_int_equal(
		json_object_size(json_object_get(
			get(w, &w->alice, KEYS "/!none:a?version=1"),
			"sessions")),
		0);
	assert_string_equal(stored(w), "rs");
	refuse(w, &w->alice, "GET", KEYS "/!r:a/none?version=1", NULL, 404,
	       "M_NOT_FOUND");
}

static void keys_are_deleted_as_selected(void **state)
{
	struct world *w = *state;

	start(w, "1");
	put(w, "/!r:a/s?version=1", key(w, true, 0, 0, "a"));
	put(w, "/!r:a/t?version=1", key(w, true, 0, 0, "b"));
	put(w, "/!q:a/s?version=1", key(w, true, 0, 0, "c"));
	/* A room that never was is not "all rooms". */
	tell(w, &w->alice, "DELETE", KEYS "/!none:a?version=1", NULL);
	tell(w, &w->alice, "DELETE", KEYS "/!r:a/s?version=1", NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 get(w, &w->alice, VERSION), "count")),
			 2);
	tell(w, &w->alice, "DELETE", KEYS "/!r:a?version=1", NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 get(w, &w->alice, VERSION), "count")),
			 1);
	tell(w, &w->alice, "DELETE", KEYS "?version=1", NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 get(w, &w->alice, VERSION), "count")),
			 0);
}

static void an_older_version_takes_no_keys(void **state)
{
	struct world *w = *state;
	struct reply reply;

	start(w, "1");
	start(w, "2");
	reply = node_request(&w->node, "PUT", KEYS "/!r:a/s?version=1",
			     w->alice.token, key(w, true, 0, 0, "x"));
	assert_int_equal(reply.status, 403);
	assert_string_equal(reply.errcode, "M_WRONG_ROOM_KEYS_VERSION");
	assert_string_equal(reply_str(&reply, "current_version"), "2");
	reply_release(&reply);
	refuse(w, &w->alice, "PUT", KEYS "/!r:a/s",
	       key(w, true, 0, 0, "x"), 400, "M_MISSING_PARAM");
	refuse(w, &w->alice, "PUT", KEYS "/!r:a/s?version=2",
	       "{\"is_verified\":1}", 400, "M_BAD_JSON");
	refuse(w, &w->alice, "PUT", KEYS "/!r:a/s?version=2",
	       key(w, true, -1, 0, "x"), 400, "M_BAD_JSON");
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions_are_made_described_changed_and_deleted),
		TEST(a_better_key_replaces_and_a_worse_one_does_not),
		TEST(keys_are_read_in_the_three_shapes),
		TEST(keys_are_deleted_as_selected),
		TEST(an_older_version_takes_no_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
