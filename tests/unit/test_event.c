/* SPDX-License-Identifier: Apache-2.0 */
/* Events: the spec's vectors, and what differs between room versions. */
#include "core/signing.h"

#include "base/base64.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static struct mh_signer signer;

/* Appendices, "Cryptographic Test Vectors". */
static int setup(void **state)
{
	unsigned char seed[MH_ED25519_SEED];
	size_t len;

	(void)state;
	assert_true(mh_base64_decode(
		MH_BASE64_STD,
		MH_STR("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), seed,
		sizeof(seed), &len));
	mh_signer_init(&signer, MH_STR("domain"), MH_STR("ed25519:1"), seed);
	return 0;
}

static const struct mh_room_rules *version(const char *name)
{
	const struct mh_room_rules *rules = mh_room_rules_find(mh_str(name));

	assert_non_null(rules);
	return rules;
}

static void canonical(const char *text, struct mh_strbuf *out)
{
	MH_ERROR(err);

	assert_int_equal(mh_canonical_json(mh_str(text), MH_JSON_TOLERANT, out,
					   &err),
			 0);
}

static void assert_signs_to(const char *json, const char *expected)
{
	MH_STRBUF(in);
	MH_STRBUF(out);
	MH_ERROR(err);

	canonical(json, &in);
	assert_int_equal(mh_sign_json(&signer, mh_strbuf_str(&in), &out, &err),
			 0);
	assert_string_equal(out.data, expected);
	assert_true(mh_verify_json(mh_strbuf_str(&out), MH_STR("domain"),
				   MH_STR("ed25519:1"), signer.public_key));
	assert_false(mh_verify_json(mh_strbuf_str(&out), MH_STR("domain"),
				    MH_STR("ed25519:2"), signer.public_key));
}

static void json_is_signed_as_in_the_appendices(void **state)
{
	(void)state;
	assert_signs_to("{}",
			"{\"signatures\":{\"domain\":{\"ed25519:1\":\"K8280/U9SS"
			"y9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7X"
			"g4ahLwYGYZzuHGZKM5ZAQ\"}}}");
	assert_signs_to("{\"two\":\"Two\",\"one\":1}",
			"{\"one\":1,\"signatures\":{\"domain\":{\"ed25519:1\":\""
			"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSo"
			"qE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw\"}},\"two\":\"Two\"}");
}

static void assert_event_signs_to(const char *json, const char *hash,
				  const char *signature)
{
	unsigned char digest[MH_SHA256];
	MH_STRBUF(in);
	MH_STRBUF(hashed);
	MH_STRBUF(with_hash);
	MH_STRBUF(out);
	MH_STRBUF(encoded);
	MH_ERROR(err);

	canonical(json, &in);
	mh_event_content_hash(mh_strbuf_str(&in), digest);
	mh_base64_encode(MH_BASE64_STD, digest, sizeof(digest), &encoded);
	assert_string_equal(encoded.data, hash);
	mh_strbuf_add(&with_hash, json, strlen(json) - 1);
	mh_strbuf_addf(&with_hash, ",\"hashes\":{\"sha256\":\"%s\"}}", hash);
	canonical(with_hash.data, &hashed);
	assert_int_equal(mh_event_sign(version("1"), &signer,
				       mh_strbuf_str(&hashed), &out, &err),
			 0);
	assert_non_null(strstr(out.data, signature));
}

static void events_are_signed_as_in_the_appendices(void **state)
{
	(void)state;
	assert_event_signs_to(
		"{\"room_id\":\"!x:domain\",\"sender\":\"@a:domain\","
		"\"origin\":\"domain\",\"origin_server_ts\":1000000,"
		"\"signatures\":{},\"type\":\"X\",\"content\":{},"
		"\"prev_events\":[],\"auth_events\":[],\"depth\":3,"
		"\"unsigned\":{\"age_ts\":1000000}}",
		"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
		"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5"
		"KLjAWbOoMszkwsQma+lYAg");
	assert_event_signs_to(
		"{\"content\":{\"body\":\"Here is the message content\"},"
		"\"event_id\":\"$0:domain\",\"origin\":\"domain\","
		"\"origin_server_ts\":1000000,\"type\":\"m.room.message\","
		"\"room_id\":\"!r:domain\",\"sender\":\"@u:domain\","
		"\"signatures\":{},\"unsigned\":{\"age_ts\":1000000}}",
		"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
		"Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn2"
		"41eYHYMGCA5McEiVPdhzBA");
}

static struct mh_event *build(const struct mh_room_rules *rules,
			      const char *type, const char *state_key,
			      const char *content)
{
	struct mh_str prev = MH_STR("$prev:domain");
	struct mh_event_draft draft = {
		.rules = rules,
		.room_id = MH_STR("!r:domain"),
		.sender = MH_STR("@a:domain"),
		.type = mh_str(type),
		.state_key = mh_str(state_key),
		.content = mh_str(content),
		.depth = 7,
		.origin_server_ts = 1700000000000,
		.prev_events = &prev,
		.n_prev_events = 1,
		.event_id = MH_STR("$chosen:domain"),
	};
	struct mh_event *event = NULL;
	MH_ERROR(err);

	if (rules->room_id_is_create && !strcmp(type, "m.room.create")) {
		draft.room_id = MH_STR_NONE;
		draft.n_prev_events = 0;
	}
	if (!strcmp(type, "m.room.redaction"))
		draft.redacts = MH_STR("$target:domain");
	assert_int_equal(mh_event_build(&draft, &signer, &event, &err), 0);
	return event;
}

static void what_is_built_parses_to_the_same_in_every_version(void **state)
{
	const struct mh_room_rules *rules;

	(void)state;
	for (size_t i = 0; (rules = mh_room_rules_at(i)); i++) {
		MH_CLEANUP(mh_event_unrefp)
		struct mh_event *event = build(
			rules, "m.room.message", NULL,
			"{\"msgtype\":\"m.text\",\"body\":\"a\\u0000\\\"b\"}");
		MH_CLEANUP(mh_event_unrefp) struct mh_event *parsed = NULL;
		MH_ERROR(err);

		assert_int_equal(mh_event_parse(rules, event->json, &parsed,
						&err),
				 0);
		assert_false(parsed->redacted_by_hash);
		assert_true(mh_str_eq(parsed->event_id, event->event_id));
		assert_true(mh_str_eq(parsed->json, event->json));
		assert_int_equal(parsed->n_prev_events, 1);
		assert_true(mh_str_is(parsed->prev_events[0], "$prev:domain"));
		assert_int_equal(parsed->depth, 7);
		assert_false(mh_event_is_state(parsed));
		assert_true(mh_event_verify(parsed, MH_STR("domain"),
					    MH_STR("ed25519:1"),
					    signer.public_key));
	}
}

static void event_ids_follow_the_version(void **state)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *v2 = build(version("2"), "x", NULL, "{}");
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *v3 = build(version("3"), "x", NULL, "{}");
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *v4 = build(version("4"), "x", NULL, "{}");

	(void)state;
	assert_true(mh_str_is(v2->event_id, "$chosen:domain"));
	assert_int_equal(v3->event_id.len, 44);
	assert_int_equal(v4->event_id.len, 44);
	assert_int_equal(mh_str_find(v4->event_id, '+'), -1);
	assert_int_equal(mh_str_find(v4->event_id, '/'), -1);
}

static void a_version_12_room_is_named_by_its_create_event(void **state)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *create =
		build(version("12"), "m.room.create", "",
		      "{\"room_version\":\"12\"}");
	MH_STRBUF(room_id);

	(void)state;
	mh_event_create_room_id(create->event_id, &room_id);
	assert_true(mh_str_eq(create->room_id, mh_strbuf_str(&room_id)));
	assert_null(mh_json_slice(create->json, "room_id").data);
}

static void changed_content_is_redacted_on_receipt(void **state)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event = build(version("10"), "m.room.message", NULL,
				       "{\"body\":\"true\"}");
	MH_CLEANUP(mh_event_unrefp) struct mh_event *parsed = NULL;
	MH_CLEANUP(mh_freep) char *text = mh_str_dup(event->json);
	MH_ERROR(err);

	(void)state;
	memcpy(strstr(text, "true"), "lies", 4);
	assert_int_equal(mh_event_parse(version("10"), mh_str(text), &parsed,
					&err),
			 0);
	assert_true(parsed->redacted_by_hash);
	assert_true(mh_str_is(parsed->content, "{}"));
	/* The event ID covers the redacted form, so it is the same event. */
	assert_true(mh_str_eq(parsed->event_id, event->event_id));
}

static void assert_redacts_to(const char *rules, const char *type,
			      const char *content, const char *expected)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event = build(version(rules), type, "", content);
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *redacted = mh_event_redact(event);
	MH_CLEANUP(mh_freep) char *kept = mh_str_dup(redacted->content);

	assert_string_equal(kept, expected);
	assert_true(mh_str_eq(redacted->event_id, event->event_id));
}

static void redaction_keeps_what_each_version_says(void **state)
{
	const char *member =
		"{\"displayname\":\"A\","
		"\"join_authorised_via_users_server\":\"@b:domain\","
		"\"membership\":\"join\",\"third_party_invite\":"
		"{\"display_name\":\"x\",\"signed\":{\"token\":\"t\"}}}";
	const char *rules = "{\"allow\":[],\"join_rule\":\"restricted\"}";
	const char *levels = "{\"ban\":50,\"invite\":50,\"notifications\":{}}";

	(void)state;
	assert_redacts_to("1", "m.room.aliases", "{\"aliases\":[],\"x\":1}",
			  "{\"aliases\":[]}");
	assert_redacts_to("6", "m.room.aliases", "{\"aliases\":[]}", "{}");
	assert_redacts_to("7", "m.room.join_rules", rules,
			  "{\"join_rule\":\"restricted\"}");
	assert_redacts_to("8", "m.room.join_rules", rules, rules);
	assert_redacts_to("8", "m.room.member", member,
			  "{\"membership\":\"join\"}");
	assert_redacts_to("9", "m.room.member", member,
			  "{\"join_authorised_via_users_server\":\"@b:domain\","
			  "\"membership\":\"join\"}");
	assert_redacts_to("11", "m.room.member", member,
			  "{\"join_authorised_via_users_server\":\"@b:domain\","
			  "\"membership\":\"join\",\"third_party_invite\":"
			  "{\"signed\":{\"token\":\"t\"}}}");
	assert_redacts_to("11", "m.room.member",
			  "{\"membership\":\"join\",\"third_party_invite\":"
			  "{\"display_name\":\"x\"}}",
			  "{\"membership\":\"join\","
			  "\"third_party_invite\":{}}");
	assert_redacts_to("10", "m.room.power_levels", levels, "{\"ban\":50}");
	assert_redacts_to("11", "m.room.power_levels", levels,
			  "{\"ban\":50,\"invite\":50}");
	assert_redacts_to("10", "m.room.create", "{\"creator\":\"@a:domain\","
			  "\"type\":\"m.space\"}",
			  "{\"creator\":\"@a:domain\"}");
	assert_redacts_to("11", "m.room.create", "{\"type\":\"m.space\"}",
			  "{\"type\":\"m.space\"}");
	assert_redacts_to("11", "m.room.message", "{\"body\":\"x\"}", "{}");
}

static void clients_find_redacts_in_both_places(void **state)
{
	(void)state;
	for (size_t i = 0; mh_room_rules_at(i); i++) {
		MH_CLEANUP(mh_event_unrefp)
		struct mh_event *event = build(mh_room_rules_at(i),
					       "m.room.redaction", NULL, "{}");
		MH_STRBUF(json);

		mh_event_client_json_open(event, true, &json);
		mh_strbuf_addch(&json, '}');
		assert_non_null(strstr(
			json.data,
			"{\"content\":{\"redacts\":\"$target:domain\"},"));
		assert_non_null(
			strstr(json.data, ",\"redacts\":\"$target:domain\","));
		assert_null(strstr(json.data, "auth_events"));
		assert_null(strstr(json.data, "signatures"));
	}
}

static void assert_refused(const char *rules, const char *from, const char *to,
			   enum mh_errcode code)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event = build(version(rules), "m.room.message", NULL,
				       "{\"body\":1}");
	MH_CLEANUP(mh_event_unrefp) struct mh_event *parsed = NULL;
	MH_CLEANUP(mh_freep) char *text = mh_str_dup(event->json);
	char *place = strstr(text, from);
	MH_STRBUF(changed);
	MH_ERROR(err);

	assert_non_null(place);
	mh_strbuf_add(&changed, text, (size_t)(place - text));
	mh_strbuf_addstr(&changed, mh_str(to));
	mh_strbuf_addstr(&changed, mh_str(place + strlen(from)));
	assert_int_equal(mh_event_parse(version(rules),
					mh_strbuf_str(&changed), &parsed, &err),
			 -1);
	assert_int_equal(err.code, code);
	assert_null(parsed);
}

static void malformed_events_are_refused(void **state)
{
	(void)state;
	assert_refused("6", "\"body\":1", "\"body\":1.5", MH_M_BAD_JSON);
	assert_refused("6", "\"body\":1", "\"body\":9007199254740992",
		       MH_M_BAD_JSON);
	assert_refused("6", "\"body\":1", "\"body\":1,\"body\":1",
		       MH_M_BAD_JSON);
	assert_refused("6", "\"depth\":7", "\"depth\":-7", MH_M_BAD_JSON);
	assert_refused("6", "\"depth\":7", "\"depth\":\"7\"", MH_M_BAD_JSON);
	assert_refused("6", "\"type\":\"m.room.message\"", "\"type\":7",
		       MH_M_BAD_JSON);
	assert_refused("6", "\"sender\":\"@a:domain\"", "\"sender\":\"a\"",
		       MH_M_BAD_JSON);
	assert_refused("6", "[\"$prev:domain\"]", "[\"prev\"]", MH_M_BAD_JSON);
	assert_refused("6", "[\"$prev:domain\"]", "{}", MH_M_BAD_JSON);
	assert_refused("1", "[[\"$prev:domain\",{}]]", "[\"$prev:domain\"]",
		       MH_M_BAD_JSON);
	assert_refused("12", "\"type\":\"m.room.message\"",
		       "\"state_key\":\"\",\"type\":\"m.room.create\"",
		       MH_M_BAD_JSON);
	assert_refused("6", "\"depth\":7", "\"depth\":7,", MH_M_NOT_JSON);
}

static void old_versions_tolerate_other_numbers(void **state)
{
	MH_CLEANUP(mh_event_unrefp)
	struct mh_event *event = build(version("5"), "m.room.message", NULL,
				       "{\"body\":1.5}");

	(void)state;
	assert_true(mh_str_is(event->content, "{\"body\":1.5}"));
}

static void assert_parses(const char *rules, const char *text)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	MH_ERROR(err);

	assert_int_equal(mh_event_parse(version(rules), mh_str(text), &event,
					&err),
			 0);
}

static void depth_reaches_2_to_the_63_before_version_6(void **state)
{
	const char *text =
		"{\"auth_events\":[],\"content\":{},"
		"\"depth\":9223372036854775807,\"hashes\":{\"sha256\":\"x\"},"
		"\"origin_server_ts\":1,\"prev_events\":[],"
		"\"room_id\":\"!r:domain\",\"sender\":\"@a:domain\","
		"\"signatures\":{},\"type\":\"x\"}";
	struct mh_event *event = NULL;
	MH_ERROR(err);

	(void)state;
	assert_parses("5", text);
	assert_int_equal(mh_event_parse(version("6"), mh_str(text), &event,
					&err),
			 -1);
	assert_int_equal(err.code, MH_M_BAD_JSON);
}

static void redacts_means_something_in_redactions_alone(void **state)
{
	const char *text =
		"{\"auth_events\":[],\"content\":{},\"depth\":1,"
		"\"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":1,"
		"\"prev_events\":[],\"redacts\":7,\"room_id\":\"!r:domain\","
		"\"sender\":\"@a:domain\",\"signatures\":{},"
		"\"type\":\"x\"}";

	(void)state;
	assert_parses("10", text);
	assert_refused("10", "\"type\":\"m.room.message\"",
		       "\"redacts\":7,\"type\":\"m.room.redaction\"",
		       MH_M_BAD_JSON);
	assert_refused("10", "\"sha256\"", "\"sha512\"", MH_M_BAD_JSON);
}

static void an_event_may_have_65536_bytes_and_no_more(void **state)
{
	MH_STRBUF(content);
	struct mh_event_draft draft = {
		.rules = version("11"),
		.room_id = MH_STR("!r:domain"),
		.sender = MH_STR("@a:domain"),
		.type = MH_STR("x"),
	};
	struct mh_event *event = NULL;
	MH_ERROR(err);

	(void)state;
	mh_strbuf_addlit(&content, "{\"body\":\"");
	while (content.len < 70000)
		mh_strbuf_addlit(&content, "0123456789");
	mh_strbuf_addlit(&content, "\"}");
	draft.content = mh_strbuf_str(&content);
	assert_int_equal(mh_event_build(&draft, &signer, &event, &err), -1);
	assert_int_equal(err.code, MH_M_TOO_LARGE);
	assert_null(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_signed_as_in_the_appendices),
		cmocka_unit_test(events_are_signed_as_in_the_appendices),
		cmocka_unit_test(
			what_is_built_parses_to_the_same_in_every_version),
		cmocka_unit_test(event_ids_follow_the_version),
		cmocka_unit_test(a_version_12_room_is_named_by_its_create_event),
		cmocka_unit_test(changed_content_is_redacted_on_receipt),
		cmocka_unit_test(redaction_keeps_what_each_version_says),
		cmocka_unit_test(clients_find_redacts_in_both_places),
		cmocka_unit_test(malformed_events_are_refused),
		cmocka_unit_test(old_versions_tolerate_other_numbers),
		cmocka_unit_test(depth_reaches_2_to_the_63_before_version_6),
		cmocka_unit_test(redacts_means_something_in_redactions_alone),
		cmocka_unit_test(an_event_may_have_65536_bytes_and_no_more),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
