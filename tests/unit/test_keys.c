/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of end-to-end encryption, over a whole node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "core/signing.h"
#include "unit/room_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

static struct reply post(struct world *w, const struct person *who,
			 const char *path, const char *body)
{
	return ask(w, who, "POST", fmt(w, API "/keys/%s", path), body);
}

static const char *device_keys(struct world *w, const struct person *who,
			       const char *algorithm)
{
	return fmt(w,
		   "{\"device_keys\":{\"user_id\":\"%s\",\"device_id\":\"%s\","
		   "\"algorithms\":[\"%s\"],\"keys\":{\"ed25519:%s\":\"k\"},"
		   "\"signatures\":{}}}",
		   who->user_id, who->device_id, algorithm, who->device_id);
}

static void upload(struct world *w, const struct person *who, const char *body)
{
	struct reply reply = post(w, who, "upload", body);

	reply_release(&reply);
}

static json_t *at(json_t *object, const char *a, const char *b)
{
	return json_object_get(json_object_get(object, a), b);
}

static void uploaded_device_keys_are_found(void **state)
{
	struct world *w = *state;
	struct reply reply;
	json_t *keys;

	upload(w, &w->alice, device_keys(w, &w->alice, "m.olm"));
	reply = post(w, &w->bob, "query",
		     fmt(w,
			 "{\"device_keys\":{\"%s\":[],\"@x:other.example\":[]}}",
			 w->alice.user_id));
	keys = json_object_get(at(reply.json, "device_keys", w->alice.user_id),
			       w->alice.device_id);
	assert_string_equal(str_of(keys, "user_id"), w->alice.user_id);
	assert_non_null(json_object_get(keys, "unsigned"));
	assert_non_null(at(reply.json, "failures", "other.example"));
	reply_release(&reply);
}

static void keys_of_another_device_are_refused(void **state)
{
	struct world *w = *state;

	refuse(w, &w->bob, "POST", API "/keys/upload",
	       device_keys(w, &w->alice, "m.olm"), 400, "M_INVALID_PARAM");
	refuse(w, &w->bob, "POST", API "/keys/upload",
	       "{\"one_time_keys\":{\"nocolon\":\"x\"}}", 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->bob, "POST", API "/keys/upload",
	       "{\"one_time_keys\":[]}", 400, "M_BAD_JSON");
}

/* What a claim of one key by bob gives: the ID and value, or "". */
static const char *claim(struct world *w)
{
	struct reply reply = post(
		w, &w->bob, "claim",
		fmt(w, "{\"one_time_keys\":{\"%s\":{\"%s\":\"c\"}}}",
		    w->alice.user_id, w->alice.device_id));
	json_t *device = json_object_get(
		at(reply.json, "one_time_keys", w->alice.user_id),
		w->alice.device_id);
	const char *id = json_object_iter_key(json_object_iter(device));
	const char *got = id ? fmt(w, "%s=%s", id, str_of(device, id)) : "";

	reply_release(&reply);
	return got;
}

static void a_one_time_key_is_given_once_oldest_first(void **state)
{
	struct world *w = *state;
	struct reply reply;

	upload(w, &w->alice, "{\"one_time_keys\":{\"c:z\":\"first\"}}");
	upload(w, &w->alice, "{\"one_time_keys\":{\"c:a\":\"second\"},"
			     "\"fallback_keys\":{\"c:f\":\"last\"}}");
	reply = post(w, &w->alice, "upload", "{}");
	assert_int_equal(json_integer_value(at(reply.json,
					       "one_time_key_counts", "c")),
			 2);
	reply_release(&reply);

	assert_string_equal(claim(w), "c:z=first");
	assert_string_equal(claim(w), "c:a=second");
	reply = sync_once(w, &w->alice, NULL, "");
	assert_int_equal(json_array_size(json_object_get(
				 reply.json,
				 "device_unused_fallback_key_types")),
			 1);
	reply_release(&reply);
	assert_string_equal(claim(w), "c:f=last");
	assert_string_equal(claim(w), "c:f=last");
	reply = sync_once(w, &w->alice, NULL, "");
	assert_int_equal(json_array_size(json_object_get(
				 reply.json,
				 "device_unused_fallback_key_types")),
			 0);
	reply_release(&reply);
}

static void a_one_time_key_cannot_change(void **state)
{
	struct world *w = *state;

	upload(w, &w->alice, "{\"one_time_keys\":{\"c:a\":\"one\"}}");
	upload(w, &w->alice, "{\"one_time_keys\":{\"c:a\":\"one\"}}");
	refuse(w, &w->alice, "POST", API "/keys/upload",
	       "{\"one_time_keys\":{\"c:a\":\"two\"}}", 400,
	       "M_INVALID_PARAM");
	assert_string_equal(claim(w), "c:a=one");
	assert_string_equal(claim(w), "");
}

/* --- device lists ------------------------------------------------------------ */

static bool lists(json_t *lists_of, const char *list, const char *user_id)
{
	json_t *one;
	size_t i;

	json_array_foreach (json_object_get(lists_of, list), i, one)
		if (!strcmp(json_string_value(one), user_id))
			return true;
	return false;
}

/* Is `whom` in that list of the next sync of alice? Moves the token on. */
static bool alice_hears(struct world *w, const char **token, const char *list,
			const struct person *whom)
{
	struct reply reply = sync_once(w, &w->alice, *token, "");
	bool found = lists(json_object_get(reply.json, "device_lists"), list,
			   whom->user_id);

	*token = next_batch(w, &reply);
	reply_release(&reply);
	return found;
}

static void device_lists_follow_who_shares_a_room(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC), *first, *token;
	struct reply reply;

	first = token = sync_token(w, &w->alice, NULL);
	upload(w, &w->bob, device_keys(w, &w->bob, "m.olm"));
	assert_false(alice_hears(w, &token, "changed", &w->bob));
	join(w, &w->bob, room);
	assert_true(alice_hears(w, &token, "changed", &w->bob));
	say(w, &w->bob, room, "hello");
	assert_false(alice_hears(w, &token, "changed", &w->bob));
	upload(w, &w->bob, device_keys(w, &w->bob, "m.other"));
	assert_true(alice_hears(w, &token, "changed", &w->bob));
	upload(w, &w->carol, device_keys(w, &w->carol, "m.olm"));
	assert_false(alice_hears(w, &token, "changed", &w->carol));
	leave(w, &w->bob, room);
	assert_true(alice_hears(w, &token, "left", &w->bob));

	reply = ask(w, &w->alice, "GET",
		    fmt(w, API "/keys/changes?from=%s&to=%s", first, token),
		    NULL);
	assert_true(lists(reply.json, "left", w->bob.user_id));
	assert_false(lists(reply.json, "changed", w->carol.user_id));
	reply_release(&reply);
	refuse(w, &w->alice, "GET", API "/keys/changes?from=x", NULL, 400,
	       "M_INVALID_PARAM");
}

static void who_stays_in_another_shared_room_is_not_left(void **state)
{
	struct world *w = *state;
	const char *one = make_room(w, &w->alice, PUBLIC), *token;
	const char *two = make_room(w, &w->alice, PUBLIC);

	join(w, &w->bob, one);
	join(w, &w->bob, two);
	token = sync_token(w, &w->alice, NULL);
	leave(w, &w->alice, one);
	assert_false(alice_hears(w, &token, "left", &w->bob));
	leave(w, &w->alice, two);
	assert_true(alice_hears(w, &token, "left", &w->bob));
}

/* --- to-device messages --------------------------------------------------------- */

static size_t messages(const struct reply *reply)
{
	return json_array_size(at(reply->json, "to_device", "events"));
}

static void a_message_waits_until_it_is_acknowledged(void **state)
{
	struct world *w = *state;
	const char *token = sync_token(w, &w->bob, NULL), *next;
	struct reply reply;

	for (int i = 0; i < 2; i++) /* the second time does nothing */
		tell(w, &w->alice, "PUT", API "/sendToDevice/m.new/txn1",
		     fmt(w, "{\"messages\":{\"%s\":{\"*\":{\"n\":1}}}}",
			 w->bob.user_id));
	reply = sync_once(w, &w->bob, token, "");
	assert_int_equal(messages(&reply), 1);
	next = next_batch(w, &reply);
	reply_release(&reply);
	reply = sync_once(w, &w->bob, token, ""); /* the reply got lost */
	assert_int_equal(messages(&reply), 1);
	reply_release(&reply);
	reply = sync_once(w, &w->bob, next, "");
	assert_int_equal(messages(&reply), 0);
	reply_release(&reply);
	reply = sync_once(w, &w->bob, token, "");
	assert_int_equal(messages(&reply), 0);
	reply_release(&reply);
	refuse(w, &w->alice, "PUT", API "/sendToDevice/m.new/txn2",
	       "{\"messages\":{\"@bob:a.example\":{\"*\":3}}}", 400,
	       "M_BAD_JSON");
}

/* --- cross-signing ------------------------------------------------------------------ */

struct key {
	struct mh_signer signer;
	char public_key[64], key_id[80];
};

static void make_key(struct key *key, unsigned char seed_byte,
		     const char *user_id)
{
	unsigned char seed[MH_ED25519_SEED];
	MH_STRBUF(text);

	memset(seed, seed_byte, sizeof(seed));
	mh_signer_init(&key->signer, mh_str(user_id), MH_STR(""), seed);
	mh_base64_encode(MH_BASE64_STD, key->signer.public_key,
			 MH_ED25519_PUBLIC, &text);
	snprintf(key->public_key, sizeof(key->public_key), "%s", text.data);
	snprintf(key->key_id, sizeof(key->key_id), "ed25519:%s", text.data);
	key->signer.key_id = mh_str(key->key_id);
}

static const char *key_json(struct world *w, const struct key *key,
			    const char *user_id, const char *usage,
			    const struct key *by)
{
	const char *json = fmt(
		w,
		"{\"keys\":{\"%s\":\"%s\"},\"usage\":[\"%s\"],"
		"\"user_id\":\"%s\"}",
		key->key_id, key->public_key, usage, user_id);
	MH_STRBUF(out);
	MH_ERROR(err);

	if (!by)
		return json;
	assert_int_equal(mh_sign_json(&by->signer, mh_str(json), &out, &err),
			 0);
	return keep(w, out.data);
}

static void cross_signing_keys_are_checked_kept_and_guarded(void **state)
{
	struct world *w = *state;
	const char *me = w->alice.user_id;
	struct key master, self, other;
	struct reply reply;

	make_key(&master, 1, me);
	make_key(&self, 2, me);
	make_key(&other, 3, me);
	refuse(w, &w->alice, "POST", API "/keys/device_signing/upload",
	       fmt(w, "{\"self_signing_key\":%s}",
		   key_json(w, &self, me, "self_signing", &master)),
	       400, "M_MISSING_PARAM");
	refuse(w, &w->alice, "POST", API "/keys/device_signing/upload",
	       fmt(w, "{\"master_key\":%s,\"self_signing_key\":%s}",
		   key_json(w, &master, me, "master", NULL),
		   key_json(w, &self, me, "self_signing", &other)),
	       400, "M_INVALID_SIGNATURE");
	for (int i = 0; i < 2; i++) /* the same keys again need no password */
		tell(w, &w->alice, "POST", API "/keys/device_signing/upload",
		     fmt(w, "{\"master_key\":%s,\"self_signing_key\":%s}",
			 key_json(w, &master, me, "master", NULL),
			 key_json(w, &self, me, "self_signing", &master)));

	reply = node_request(&w->node, "POST",
			     API "/keys/device_signing/upload", w->alice.token,
			     fmt(w, "{\"master_key\":%s}",
				 key_json(w, &other, me, "master", NULL)));
	assert_int_equal(reply.status, 401);
	assert_non_null(json_object_get(reply.json, "flows"));
	reply_release(&reply);

	reply = post(w, &w->bob, "query",
		     fmt(w, "{\"device_keys\":{\"%s\":[]}}", me));
	assert_non_null(json_object_get(
		at(at(reply.json, "master_keys", me), "keys", master.key_id) ?
			at(reply.json, "master_keys", me) :
			NULL,
		"usage"));
	assert_non_null(at(reply.json, "self_signing_keys", me));
	assert_int_equal(json_object_size(json_object_get(
				 reply.json, "user_signing_keys")),
			 0);
	reply_release(&reply);
}

static void signatures_are_added_to_what_is_stored(void **state)
{
	struct world *w = *state;
	const char *me = w->alice.user_id;
	struct key master;
	struct reply reply;
	const char *signed_key;

	make_key(&master, 1, me);
	upload(w, &w->alice, device_keys(w, &w->alice, "m.olm"));
	signed_key = fmt(
		w,
		"{\"user_id\":\"%s\",\"device_id\":\"%s\","
		"\"algorithms\":[\"m.olm\"],\"keys\":{\"ed25519:%s\":\"k\"},"
		"\"signatures\":{\"%s\":{\"%s\":\"sig\"}}}",
		me, w->alice.device_id, w->alice.device_id, me, master.key_id);
	reply = post(w, &w->alice, "signatures/upload",
		     fmt(w, "{\"%s\":{\"%s\":%s,\"NOSUCH\":{}}}", me,
			 w->alice.device_id, signed_key));
	assert_string_equal(
		str_of(json_object_get(at(reply.json, "failures", me),
				       "NOSUCH"),
		       "errcode"),
		"M_NOT_FOUND");
	assert_null(json_object_get(at(reply.json, "failures", me),
				    w->alice.device_id));
	reply_release(&reply);

	reply = post(w, &w->bob, "query",
		     fmt(w, "{\"device_keys\":{\"%s\":[]}}", me));
	assert_string_equal(
		str_of(at(json_object_get(at(reply.json, "device_keys", me),
					  w->alice.device_id),
			  "signatures", me),
		       master.key_id),
		"sig");
	reply_release(&reply);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(uploaded_device_keys_are_found),
		TEST(keys_of_another_device_are_refused),
		TEST(a_one_time_key_is_given_once_oldest_first),
		TEST(a_one_time_key_cannot_change),
		TEST(device_lists_follow_who_shares_a_room),
		TEST(who_stays_in_another_shared_room_is_not_left),
		TEST(a_message_waits_until_it_is_acknowledged),
		TEST(cross_signing_keys_are_checked_kept_and_guarded),
		TEST(signatures_are_added_to_what_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
