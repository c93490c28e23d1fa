/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers (appendices, "Identifier Grammar") and the room version table. */
#include "core/ids.h"
#include "core/room_version.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

/* An ID of exactly `len` bytes. */
static struct mh_str long_id(char sigil, size_t len, struct mh_strbuf *out)
{
	mh_strbuf_clear(out);
	mh_strbuf_addch(out, sigil);
	while (out->len < len - strlen(":b.example"))
		mh_strbuf_addch(out, 'x');
	mh_strbuf_addlit(out, ":b.example");
	return mh_strbuf_str(out);
}

static void server_names(void **state)
{
	static const char *const good[] = {
		"matrix.org",	"matrix.org:8888",   "1.2.3.4",
		"1.2.3.4:1234", "[1234:5678::abcd]", "[1234:5678::abcd]:5678",
		"localhost",	"MATRIX.org",	     "a-b.example",
	};
	static const char *const bad[] = {
		"",	     ":80",	"a b",	"a_b",	  "a:",	 "a:123456",
		"a:8x",	     "a:80:80", "[::1", "[::1]x", "[]",	 "[zz::]",
		"[1.2.3.4]", "[::1]:",	"é",	"a/b",	  "a@b",
	};

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(good); i++)
		assert_true(mh_server_name_valid(mh_str(good[i])));
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++)
		assert_false(mh_server_name_valid(mh_str(bad[i])));
	assert_false(mh_server_name_valid(MH_STR("a\0b")));
	assert_false(mh_server_name_valid(MH_STR("[::1\0]")));
}

static void user_ids(void **state)
{
	MH_STRBUF(text);

	(void)state;
	assert_true(mh_user_id_valid(MH_STR("@alice:example.org")));
	assert_true(mh_user_id_valid(MH_STR("@a:example.org:8448")));
	/* Historical ones, that servers must accept. */
	assert_true(mh_user_id_valid(MH_STR("@Ålice Smith:example.org")));
	assert_true(mh_user_id_valid(MH_STR("@:example.org")));
	assert_false(mh_user_id_valid(MH_STR("@a\0b:example.org")));
	assert_false(mh_user_id_valid(MH_STR("@\xff:example.org")));
	assert_false(mh_user_id_valid(MH_STR("alice:example.org")));
	assert_false(mh_user_id_valid(MH_STR("@alice")));
	assert_false(mh_user_id_valid(MH_STR("@alice:")));
	assert_false(mh_user_id_valid(MH_STR("@")));
	assert_false(mh_user_id_valid(MH_STR_NONE));
	assert_true(mh_user_id_valid(long_id('@', 255, &text)));
	assert_false(mh_user_id_valid(long_id('@', 256, &text)));

	assert_true(mh_user_id_registrable(MH_STR("@a.b_c=d-e/f+9:b.example")));
	assert_false(mh_user_id_registrable(MH_STR("@Alice:b.example")));
	assert_false(mh_user_id_registrable(MH_STR("@:b.example")));
	assert_false(mh_user_id_registrable(MH_STR("@a b:b.example")));
}

static void room_ids_aliases_and_event_ids(void **state)
{
	MH_STRBUF(text);

	(void)state;
	assert_true(mh_room_id_valid(MH_STR("!abc:example.org")));
	assert_true(mh_room_id_valid(
		MH_STR("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM")));
	assert_false(mh_room_id_valid(
		MH_STR("!31hneApxJ+1o/63DmFrpeqnkFfWppnzWso1JvH3ogLM")));
	assert_false(mh_room_id_valid(MH_STR("!short")));
	assert_false(mh_room_id_valid(MH_STR("#abc:example.org")));
	assert_false(mh_room_id_valid(long_id('!', 256, &text)));

	assert_true(mh_room_alias_valid(MH_STR("#Ünïcode room:example.org")));
	assert_false(mh_room_alias_valid(MH_STR("#:example.org")));
	assert_false(mh_room_alias_valid(MH_STR("#a\0:example.org")));
	assert_false(mh_room_alias_valid(MH_STR("#room")));

	assert_true(mh_event_id_valid(MH_STR("$abc:example.org")));
	assert_true(mh_event_id_valid(
		MH_STR("$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk")));
	assert_false(mh_event_id_valid(MH_STR("$")));
	assert_false(mh_event_id_valid(MH_STR("abc")));
	assert_false(mh_event_id_valid(MH_STR("$a\0b")));
	assert_false(mh_event_id_valid(long_id('$', 256, &text)));
}

static void other_identifiers(void **state)
{
	(void)state;
	assert_true(mh_device_id_valid(MH_STR("GHTYAJCE")));
	assert_true(mh_device_id_valid(MH_STR("my phone")));
	assert_false(mh_device_id_valid(MH_STR("")));
	assert_false(mh_device_id_valid(MH_STR("a\nb")));
	assert_true(mh_opaque_id_valid(MH_STR("aZ09._~-")));
	assert_false(mh_opaque_id_valid(MH_STR("")));
	assert_false(mh_opaque_id_valid(MH_STR("a/b")));
	assert_true(mh_key_id_valid(MH_STR("ed25519:a_1")));
	assert_true(mh_key_id_valid(MH_STR("signed_curve25519:AAAAHg")));
	assert_false(mh_key_id_valid(MH_STR("ed25519")));
	assert_false(mh_key_id_valid(MH_STR("ed25519:")));
	assert_false(mh_key_id_valid(MH_STR(":a")));
	assert_true(mh_mxc_uri_valid(MH_STR("mxc://example.org/aB_9-")));
	assert_false(mh_mxc_uri_valid(MH_STR("mxc://example.org/../x")));
	assert_false(mh_mxc_uri_valid(MH_STR("mxc://example.org/")));
	assert_false(mh_mxc_uri_valid(MH_STR("mxc:///abc")));
	assert_false(mh_mxc_uri_valid(MH_STR("http://example.org/abc")));
}

static void parts_of_identifiers(void **state)
{
	struct mh_str id = MH_STR("@alice:example.org:8448");

	(void)state;
	assert_true(mh_str_is(mh_id_domain(id), "example.org:8448"));
	assert_true(mh_str_is(mh_id_localpart(id), "alice"));
	assert_int_equal(mh_id_domain(MH_STR("$hash")).len, 0);
	assert_true(mh_str_is(mh_id_localpart(MH_STR("$hash")), "hash"));
	assert_int_equal(mh_id_localpart(MH_STR("")).len, 0);
	assert_int_equal(mh_id_localpart(MH_STR(":domain")).len, 0);
}

static void every_room_version_has_its_rules(void **state)
{
	const struct mh_room_rules *rules;
	size_t n = 0;

	(void)state;
	for (; (rules = mh_room_rules_at(n)); n++) {
		int v = (int)strtol(rules->version, NULL, 10);

		assert_int_equal(v, n + 1);
		assert_ptr_equal(mh_room_rules_find(mh_str(rules->version)),
				 rules);
		assert_int_equal(rules->event_id_format,
				 v <= 2	  ? MH_EVENT_ID_DOMAIN
				 : v == 3 ? MH_EVENT_ID_HASH_STD
					  : MH_EVENT_ID_HASH_URL);
		assert_int_equal(rules->state_res, v == 1 ? MH_STATE_RES_V1
						   : v <= 11
							   ? MH_STATE_RES_V2
							   : MH_STATE_RES_V2_1);
		assert_int_equal(rules->redaction, v <= 5   ? MH_REDACTION_V1
						   : v <= 7 ? MH_REDACTION_V6
						   : v == 8 ? MH_REDACTION_V8
						   : v <= 10
							   ? MH_REDACTION_V9
							   : MH_REDACTION_V11);
		assert_int_equal(rules->json,
				 v <= 5 ? MH_JSON_TOLERANT : MH_JSON_STRICT);
		assert_int_equal(rules->special_aliases_auth, v <= 5);
		assert_int_equal(rules->redaction_auth, v <= 2);
		assert_int_equal(rules->limit_notifications_pl, v >= 6);
		assert_int_equal(rules->knocking, v >= 7);
		assert_int_equal(rules->restricted_join, v >= 8);
		assert_int_equal(rules->knock_restricted, v >= 10);
		assert_int_equal(rules->integer_power_levels, v >= 10);
		assert_int_equal(rules->enforce_key_validity, v >= 5);
		assert_int_equal(rules->creator_in_content, v <= 10);
		assert_int_equal(rules->redacts_in_content, v >= 11);
		assert_int_equal(rules->privileged_creators, v >= 12);
		assert_int_equal(rules->additional_creators, v >= 12);
		assert_int_equal(rules->room_id_is_create, v >= 12);
	}
	assert_int_equal(n, 12);
	assert_null(mh_room_rules_find(MH_STR("13")));
	assert_null(mh_room_rules_find(MH_STR("")));
	assert_non_null(mh_room_rules_find(mh_str(MH_DEFAULT_ROOM_VERSION)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_names),
		cmocka_unit_test(user_ids),
		cmocka_unit_test(room_ids_aliases_and_event_ids),
		cmocka_unit_test(other_identifiers),
		cmocka_unit_test(parts_of_identifiers),
		cmocka_unit_test(every_room_version_has_its_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
