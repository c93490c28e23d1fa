/* SPDX-License-Identifier: Apache-2.0 */
/* Registration, login, sessions and what people keep on the node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/strbuf.h"
#include "unit/node.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#define API "/_matrix/client/v3"

static int setup(void **state)
{
	struct node *node = malloc(sizeof(*node));

	node_start(node);
	*state = node;
	return 0;
}

static int teardown(void **state)
{
	node_stop(*state);
	free(*state);
	return 0;
}

/* Sends a request and checks its status and errcode ("" for none). */
static void expect(struct node *node, const char *method, const char *target,
		   const char *token, const char *body, int status,
		   const char *errcode)
{
	struct reply reply = node_request(node, method, target, token, body);

	if (reply.status != status)
		print_error("%s %s: %d %s\n", method, target, reply.status,
			    reply.text);
	assert_int_equal(reply.status, status);
	assert_string_equal(reply.errcode, errcode);
	reply_release(&reply);
}

static bool token_works(struct node *node, const char *token)
{
	struct reply reply = node_request(node, "GET", API "/account/whoami",
					  token, NULL);
	bool works = reply.status == 200;

	if (!works)
		assert_string_equal(reply.errcode, "M_UNKNOWN_TOKEN");
	reply_release(&reply);
	return works;
}

/* --- registration ---------------------------------------------------------- */

static void test_register_asks_for_stages(void **state)
{
	struct node *node = *state;
	struct reply first, second;
	MH_STRBUF(body);

	first = node_request(node, "POST", API "/register", NULL,
			     "{\"username\":\"Alice\",\"password\":"
			     "\"correct horse\"}");
	assert_int_equal(first.status, 401);
	assert_string_equal(first.errcode, "");
	mh_strbuf_addf(&body,
		       "{\"username\":\"Alice\",\"password\":\"correct horse\","
		       "\"auth\":{\"type\":\"m.login.dummy\",\"session\":"
		       "\"%s\"}}",
		       reply_str(&first, "session"));
	second = node_request(node, "POST", API "/register", NULL, body.data);
	assert_int_equal(second.status, 200);
	assert_string_equal(reply_str(&second, "user_id"),
			    "@alice:a.example");
	assert_true(token_works(node, reply_str(&second, "access_token")));

	/* The attempt was good once, and the name is taken now. */
	expect(node, "POST", API "/register", NULL, body.data, 400,
	       "M_USER_IN_USE");
	reply_release(&first);
	reply_release(&second);
}

static void test_register_refuses_bad_names_and_passwords(void **state)
{
	struct node *node = *state;

	expect(node, "POST", API "/register", NULL,
	       "{\"username\":\"al ice\",\"password\":\"correct horse\"}", 400,
	       "M_INVALID_USERNAME");
	expect(node, "POST", API "/register", NULL,
	       "{\"username\":\"alice\",\"password\":\"short\"}", 400,
	       "M_WEAK_PASSWORD");
	expect(node, "POST", API "/register?kind=guest", NULL, "{}", 403,
	       "M_FORBIDDEN");
	expect(node, "GET", API "/register/available?username=a%20b", NULL,
	       NULL, 400, "M_INVALID_USERNAME");
	expect(node, "GET", API "/register/available?username=free", NULL, NULL,
	       200, "");
}

static void test_closed_registration(void **state)
{
	struct node *node = *state;
	MH_ERROR(err);

	assert_int_equal(mh_settings_set(&node->settings, "registration",
					 "mode", "closed", &err),
			 0);
	expect(node, "POST", API "/register", NULL,
	       "{\"username\":\"alice\",\"password\":\"correct horse\"}", 403,
	       "M_FORBIDDEN");
}

/* --- login ------------------------------------------------------------------ */

static void test_login(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply reply;

	expect(node, "POST", API "/login", NULL,
	       "{\"type\":\"m.login.password\",\"user\":\"alice\","
	       "\"password\":\"wrong\"}",
	       403, "M_FORBIDDEN");
	expect(node, "POST", API "/login", NULL,
	       "{\"type\":\"m.login.password\",\"user\":\"nobody\","
	       "\"password\":\"wrong\"}",
	       403, "M_FORBIDDEN");
	expect(node, "POST", API "/login", NULL, "{\"type\":\"m.login.pony\"}",
	       400, "M_UNKNOWN");
	reply = node_request(
		node, "POST", API "/login", NULL,
		"{\"type\":\"m.login.password\",\"identifier\":{\"type\":"
		"\"m.id.user\",\"user\":\"@alice:a.example\"},\"password\":"
		"\"alice alice alice\",\"device_id\":\"PHONE\"}");
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply_str(&reply, "device_id"), "PHONE");
	assert_true(token_works(node, reply_str(&reply, "access_token")));
	assert_true(token_works(node, alice.token));
	reply_release(&reply);
	person_release(&alice);
}

static struct reply login_as(struct node *node, const char *name,
			     const char *more)
{
	MH_STRBUF(body);

	mh_strbuf_addf(&body,
		       "{\"type\":\"m.login.password\",\"user\":\"%s\","
		       "\"password\":\"%s %s %s\"%s}",
		       name, name, name, name, more);
	return node_request(node, "POST", API "/login", NULL, body.data);
}

static void test_logging_in_again_ends_the_devices_older_session(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply first = login_as(node, "alice", ",\"device_id\":\"D\"");
	struct reply again = login_as(node, "alice", ",\"device_id\":\"D\"");

	assert_false(token_works(node, reply_str(&first, "access_token")));
	assert_true(token_works(node, reply_str(&again, "access_token")));
	reply_release(&first);
	reply_release(&again);
	person_release(&alice);
}

static void test_logout_holds_over_a_restart(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply other = login_as(node, "alice", "");

	expect(node, "POST", API "/logout", alice.token, NULL, 200, "");
	assert_false(token_works(node, alice.token));
	assert_true(token_works(node, reply_str(&other, "access_token")));
	node_restart(node);
	assert_false(token_works(node, alice.token));
	assert_true(token_works(node, reply_str(&other, "access_token")));
	expect(node, "POST", API "/logout/all",
	       reply_str(&other, "access_token"), NULL, 200, "");
	assert_false(token_works(node, reply_str(&other, "access_token")));
	reply_release(&other);
	person_release(&alice);
}

static void test_forged_tokens(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	char *bad = mh_strdup(alice.token);
	size_t len = strlen(bad);

	bad[len - 5] = bad[len - 5] == 'A' ? 'B' : 'A';
	assert_false(token_works(node, bad));
	assert_false(token_works(node, "eyJhbGciOiJub25lIn0.e30."));
	assert_false(token_works(node, "x"));
	expect(node, "GET", API "/account/whoami", NULL, NULL, 401,
	       "M_MISSING_TOKEN");
	free(bad);
	person_release(&alice);
}

/* --- refreshing -------------------------------------------------------------- */

static struct reply refresh(struct node *node, const char *token)
{
	MH_STRBUF(body);

	mh_strbuf_addf(&body, "{\"refresh_token\":\"%s\"}", token);
	return node_request(node, "POST", API "/refresh", NULL, body.data);
}

static void test_refresh_token_dies_when_the_new_pair_is_used(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply login = login_as(node, "alice",
				      ",\"refresh_token\":true");
	struct reply lost = refresh(node, reply_str(&login, "refresh_token"));
	struct reply next = refresh(node, reply_str(&login, "refresh_token"));
	struct reply reuse;

	/* The first reply may have been lost: the old token still works. */
	assert_int_equal(lost.status, 200);
	assert_int_equal(next.status, 200);
	assert_true(token_works(node, reply_str(&next, "access_token")));
	/* From now on the old one was copied by somebody. */
	reuse = refresh(node, reply_str(&login, "refresh_token"));
	assert_int_equal(reuse.status, 401);
	assert_string_equal(reuse.errcode, "M_UNKNOWN_TOKEN");
	assert_false(token_works(node, reply_str(&next, "access_token")));
	assert_true(token_works(node, alice.token));
	reply_release(&login);
	reply_release(&lost);
	reply_release(&next);
	reply_release(&reuse);
	person_release(&alice);
}

static void test_access_token_expires_softly(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply login = login_as(node, "alice",
				      ",\"refresh_token\":true");
	struct reply late, next;

	mh_executor_advance(node->executor,
			    node->settings.auth.access_token_lifetime + 1000);
	late = node_request(node, "GET", API "/account/whoami",
			    reply_str(&login, "access_token"), NULL);
	assert_int_equal(late.status, 401);
	assert_true(json_is_true(json_object_get(late.json, "soft_logout")));
	next = refresh(node, reply_str(&login, "refresh_token"));
	assert_int_equal(next.status, 200);
	assert_true(token_works(node, reply_str(&next, "access_token")));
	/* Those who do not refresh have tokens that last. */
	assert_true(token_works(node, alice.token));
	reply_release(&login);
	reply_release(&late);
	reply_release(&next);
	person_release(&alice);
}

/* --- interactive authentication ---------------------------------------------- */

/* Repeats a request with alice's password for the attempt of a first reply. */
static void add_auth(struct mh_strbuf *body, const char *members,
		     const struct reply *challenge, const char *password)
{
	mh_strbuf_clear(body);
	mh_strbuf_addf(body,
		       "{%s\"auth\":{\"type\":\"m.login.password\","
		       "\"session\":\"%s\",\"password\":\"%s\"}}",
		       members, reply_str(challenge, "session"), password);
}

static void test_password_change_ends_other_sessions(void **state)
{
	static const char wanted[] = "\"new_password\":\"battery staple\",";
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply other = login_as(node, "alice", "");
	struct reply challenge =
		node_request(node, "POST", API "/account/password", alice.token,
			     "{\"new_password\":\"battery staple\"}");
	MH_STRBUF(body);

	assert_int_equal(challenge.status, 401);
	assert_string_equal(challenge.errcode, "");
	add_auth(&body, wanted, &challenge, "wrong");
	expect(node, "POST", API "/account/password", alice.token, body.data,
	       401, "M_FORBIDDEN");
	add_auth(&body, wanted, &challenge, "alice alice alice");
	expect(node, "POST", API "/account/password", alice.token, body.data,
	       200, "");
	assert_true(token_works(node, alice.token));
	assert_false(token_works(node, reply_str(&other, "access_token")));
	reply_release(&other);
	other = login_as(node, "alice", "");
	assert_int_equal(other.status, 403);
	reply_release(&other);
	reply_release(&challenge);
	person_release(&alice);
}

static void test_deactivated_account(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply challenge = node_request(
		node, "POST", API "/account/deactivate", alice.token, "{}");
	struct reply login;
	MH_STRBUF(body);

	add_auth(&body, "", &challenge, "alice alice alice");
	expect(node, "POST", API "/account/deactivate", alice.token, body.data,
	       200, "");
	assert_false(token_works(node, alice.token));
	login = login_as(node, "alice", "");
	assert_int_equal(login.status, 403);
	expect(node, "POST", API "/register", NULL,
	       "{\"username\":\"alice\",\"password\":\"correct horse\"}", 400,
	       "M_USER_IN_USE");
	reply_release(&login);
	reply_release(&challenge);
	person_release(&alice);
}

static void test_login_token_works_once(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply challenge =
		node_request(node, "POST", "/_matrix/client/v1/login/get_token",
			     alice.token, "{}");
	struct reply made;
	MH_STRBUF(body);

	add_auth(&body, "", &challenge, "alice alice alice");
	made = node_request(node, "POST", "/_matrix/client/v1/login/get_token",
			    alice.token, body.data);
	assert_int_equal(made.status, 200);
	mh_strbuf_clear(&body);
	mh_strbuf_addf(&body, "{\"type\":\"m.login.token\",\"token\":\"%s\"}",
		       reply_str(&made, "login_token"));
	expect(node, "POST", API "/login", NULL, body.data, 200, "");
	expect(node, "POST", API "/login", NULL, body.data, 403, "M_FORBIDDEN");
	reply_release(&made);
	reply_release(&challenge);
	person_release(&alice);
}

/* --- devices, account data, filters ------------------------------------------- */

static void test_devices(void **state)
{
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply other = login_as(node, "alice", ",\"device_id\":\"TAB\"");
	struct reply reply;
	MH_STRBUF(body);

	expect(node, "PUT", API "/devices/TAB", alice.token,
	       "{\"display_name\":\"tablet\"}", 200, "");
	reply = node_request(node, "GET", API "/devices/TAB", alice.token,
			     NULL);
	assert_string_equal(reply_str(&reply, "display_name"), "tablet");
	reply_release(&reply);
	expect(node, "GET", API "/devices/NONE", alice.token, NULL, 404,
	       "M_NOT_FOUND");
	reply = node_request(node, "DELETE", API "/devices/TAB", alice.token,
			     NULL);
	assert_int_equal(reply.status, 401);
	add_auth(&body, "", &reply, "alice alice alice");
	reply_release(&reply);
	/* An attempt is not good for another device. */
	reply = node_request(node, "DELETE", API "/devices/TAB", alice.token,
			     body.data);
	assert_int_equal(reply.status, 200);
	assert_false(token_works(node, reply_str(&other, "access_token")));
	reply_release(&reply);
	reply_release(&other);
	person_release(&alice);
}

static void test_account_data_and_tags(void **state)
{
	static const char data[] =
		API "/user/@alice:a.example/account_data/m.direct";
	static const char tags[] =
		API "/user/@alice:a.example/rooms/!r:a.example/tags";
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct person bob = node_register(node, "bob");
	struct reply reply;

	expect(node, "GET", data, alice.token, NULL, 404, "M_NOT_FOUND");
	expect(node, "PUT", data, alice.token, "{\"b\":1,\"a\":2}", 200, "");
	expect(node, "PUT", data, alice.token, "[]", 400, "M_BAD_JSON");
	expect(node, "PUT", data, bob.token, "{}", 403, "M_FORBIDDEN");
	expect(node, "GET", data, bob.token, NULL, 403, "M_FORBIDDEN");
	expect(node, "PUT",
	       API "/user/@alice:a.example/account_data/m.push_rules",
	       alice.token, "{}", 405, "M_BAD_JSON");
	reply = node_request(node, "GET", data, alice.token, NULL);
	assert_string_equal(reply.text, "{\"a\":2,\"b\":1}");
	reply_release(&reply);

	expect(node, "PUT",
	       API "/user/@alice:a.example/rooms/!r:a.example/tags/u.work",
	       alice.token, "{\"order\":0.5}", 200, "");
	reply = node_request(node, "GET", tags, alice.token, NULL);
	assert_string_equal(reply.text, "{\"tags\":{\"u.work\":{\"order\":0.5}"
					"}}");
	reply_release(&reply);
	expect(node, "DELETE",
	       API "/user/@alice:a.example/rooms/!r:a.example/tags/u.work",
	       alice.token, NULL, 200, "");
	reply = node_request(node, "GET", tags, alice.token, NULL);
	assert_string_equal(reply.text, "{\"tags\":{}}");
	reply_release(&reply);
	person_release(&alice);
	person_release(&bob);
}

static void test_filters(void **state)
{
	static const char path[] = API "/user/@alice:a.example/filter";
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply first, again, got;
	MH_STRBUF(target);

	first = node_request(node, "POST", path, alice.token,
			     "{\"room\":{\"timeline\":{\"limit\":3}}}");
	again = node_request(node, "POST", path, alice.token,
			     "{ \"room\": {\"timeline\":{\"limit\":3}}}");
	assert_int_equal(first.status, 200);
	assert_string_equal(first.text, again.text);
	mh_strbuf_addf(&target, "%s/%s", path, reply_str(&first, "filter_id"));
	got = node_request(node, "GET", target.data, alice.token, NULL);
	assert_string_equal(got.text,
			    "{\"room\":{\"timeline\":{\"limit\":3}}}");
	expect(node, "GET", API "/user/@alice:a.example/filter/99", alice.token,
	       NULL, 404, "M_NOT_FOUND");
	expect(node, "POST", path, alice.token, "{\"room\":[]}", 400,
	       "M_BAD_JSON");
	reply_release(&first);
	reply_release(&again);
	reply_release(&got);
	person_release(&alice);
}

static void test_profile(void **state)
{
	static const char profile[] = API "/profile/@alice:a.example";
	struct node *node = *state;
	struct person alice = node_register(node, "alice");
	struct reply reply;

	expect(node, "PUT", API "/profile/@alice:a.example/m.tz", alice.token,
	       "{\"m.tz\":\"Europe/Berlin\"}", 200, "");
	expect(node, "PUT", API "/profile/@alice:a.example/org.pony",
	       alice.token, "{\"org.pony\":{\"legs\":4}}", 200, "");
	expect(node, "PUT", API "/profile/@alice:a.example/org.pony",
	       alice.token, "{\"other\":1}", 400, "M_MISSING_PARAM");
	expect(node, "PUT", API "/profile/@alice:a.example/Pony", alice.token,
	       "{\"Pony\":1}", 400, "M_INVALID_PARAM");
	expect(node, "PUT", API "/profile/@bob:a.example/org.pony", alice.token,
	       "{\"org.pony\":1}", 403, "M_FORBIDDEN");
	reply = node_request(node, "GET", profile, NULL, NULL);
	assert_string_equal(reply.text, "{\"m.tz\":\"Europe/Berlin\","
					"\"org.pony\":{\"legs\":4}}");
	reply_release(&reply);
	expect(node, "DELETE", API "/profile/@alice:a.example/m.tz",
	       alice.token, NULL, 200, "");
	expect(node, "GET", API "/profile/@alice:a.example/m.tz", NULL, NULL,
	       404, "M_NOT_FOUND");
	expect(node, "GET", API "/profile/@nobody:a.example", NULL, NULL, 404,
	       "M_NOT_FOUND");
	person_release(&alice);
}

static void test_shared_secret(void **state)
{
	static const char path[] = "/_synapse/admin/v1/register";
	struct node *node = *state;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len;
	struct reply nonce, made;
	MH_STRBUF(text);
	MH_STRBUF(hex);
	MH_STRBUF(body);
	MH_ERROR(err);

	expect(node, "GET", path, NULL, NULL, 400, "M_UNKNOWN");
	assert_int_equal(mh_settings_set(&node->settings, "registration",
					 "shared_secret", "s3cret", &err),
			 0);
	nonce = node_request(node, "GET", path, NULL, NULL);
	assert_int_equal(nonce.status, 200);
	mh_strbuf_addf(&text, "%s%calice%ccorrect horse%cadmin",
		       reply_str(&nonce, "nonce"), 0, 0, 0);
	assert_non_null(HMAC(EVP_sha1(), "s3cret", 6,
			     (const unsigned char *)text.data, text.len, mac,
			     &mac_len));
	mh_hex_encode(mac, mac_len, &hex);
	mh_strbuf_addf(&body,
		       "{\"nonce\":\"%s\",\"username\":\"alice\","
		       "\"password\":\"correct horse\",\"admin\":true,"
		       "\"mac\":\"%s\"}",
		       reply_str(&nonce, "nonce"), hex.data);
	made = node_request(node, "POST", path, NULL, body.data);
	assert_int_equal(made.status, 200);
	assert_true(token_works(node, reply_str(&made, "access_token")));
	expect(node, "POST", path, NULL, body.data, 400, "M_UNKNOWN");
	body.data[body.len - 3] = body.data[body.len - 3] == '0' ? '1' : '0';
	expect(node, "POST", path, NULL, body.data, 403, "M_FORBIDDEN");
	reply_release(&nonce);
	reply_release(&made);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_register_asks_for_stages),
		T(test_register_refuses_bad_names_and_passwords),
		T(test_closed_registration),
		T(test_login),
		T(test_logging_in_again_ends_the_devices_older_session),
		T(test_logout_holds_over_a_restart),
		T(test_forged_tokens),
		T(test_refresh_token_dies_when_the_new_pair_is_used),
		T(test_access_token_expires_softly),
		T(test_password_change_ends_other_sessions),
		T(test_deactivated_account),
		T(test_login_token_works_once),
		T(test_devices),
		T(test_account_data_and_tags),
		T(test_filters),
		T(test_profile),
		T(test_shared_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
