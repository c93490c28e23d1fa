/* SPDX-License-Identifier: Apache-2.0 */
/* Routing, authentication, limits and replies, without any transport. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/router.h"
#include "http/uri.h"
#include "service/server.h"
#include "store/store.h"

#include <stdlib.h>
#include <strings.h>

/* --- a server with nothing in it, and a transport that keeps the reply -----
 */

struct fixture {
	struct mh_server server;
	struct mh_settings settings;
	struct mh_random *random;
	/* of the last reply */
	int status;
	char *body;
	char headers[2048]; /* "Name: value\n"... */
	/* what the handler saw */
	char seen[512];
	size_t seen_len;
	bool is_gone;
};

static struct fixture *fixture;
static const char *authorization;

static const char *header(struct mh_request *req MH_UNUSED, const char *name)
{
	return strcasecmp(name, "Authorization") ? NULL : authorization;
}

static void respond(struct mh_request *req, struct mh_response *response)
{
	size_t len = 0;

	free(fixture->body);
	fixture->status = response->status;
	fixture->body = mh_memdup(response->body, response->body_len);
	for (size_t i = 0; i < response->n_headers; i++)
		len += (size_t)snprintf(fixture->headers + len,
					sizeof(fixture->headers) - len,
					"%s: %s\n", response->headers[i].name,
					response->headers[i].value);
	fixture->headers[len] = '\0';
	mh_request_release(req);
	free(req);
}

static struct mh_request *new_request(enum mh_method method, const char *target)
{
	struct mh_request *req = MH_NEW(struct mh_request);

	mh_request_init(req, &fixture->server);
	req->method = method;
	req->target = mh_str(target);
	req->header = header;
	req->respond = respond;
	req->remote_address = MH_STR("192.0.2.1");
	fixture->status = 0;
	fixture->seen_len = 0;
	fixture->seen[0] = '\0';
	return req;
}

static void handle(struct mh_request *req)
{
	mh_router_handle(fixture->server.router, req);
	mh_executor_run_until_idle(fixture->server.executor);
}

static int ask(enum mh_method method, const char *target)
{
	handle(new_request(method, target));
	return fixture->status;
}

static int get(const char *target)
{
	return ask(MH_METHOD_GET, target);
}

static void assert_errcode(int status, const char *code)
{
	MH_CLEANUP(json_decrefp)
	json_t *body = json_loads(fixture->body, 0, NULL);

	assert_int_equal(fixture->status, status);
	assert_non_null(body);
	assert_string_equal(json_string_value(json_object_get(body, "errcode")),
			    code);
	assert_true(json_string_length(json_object_get(body, "error")) > 0);
}

/* --- handlers ----------------------------------------------------------- */

static int show(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	size_t len = 0;

	for (size_t i = 0; i < req->n_params; i++) {
		struct mh_str param = mh_request_param(req, i);

		memcpy(fixture->seen + len, param.data, param.len);
		len += param.len;
		fixture->seen[len++] = '|';
	}
	fixture->seen[len] = '\0';
	fixture->seen_len = len;
	return mh_reply_empty(req);
}

static int show_path(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	snprintf(fixture->seen, sizeof(fixture->seen), "%s", req->route->path);
	return mh_reply_empty(req);
}

static int show_user(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	snprintf(fixture->seen, sizeof(fixture->seen), "%.*s",
		 MH_STR_ARG(req->who.user_id));
	return mh_reply_empty(req);
}

static int show_query(struct mh_request *req, struct mh_error *err)
{
	struct mh_str text = MH_STR_NONE;
	int64_t limit = -1;
	bool full = false;

	if (mh_request_query_int(req, "limit", &limit, err) < 0 ||
	    mh_request_query_bool(req, "full", &full, err) < 0)
		return -1;
	mh_request_query_n(req, "a b", 1, &text);
	snprintf(fixture->seen, sizeof(fixture->seen), "%lld %d '%.*s'",
		 (long long)limit, full, MH_STR_ARG(text));
	return mh_reply_empty(req);
}

static int show_body(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_reply_json(req, body);
}

static int fail_inside(struct mh_request *req MH_UNUSED, struct mh_error *err)
{
	return mh_fail_internal(err, "disk on fire");
}

static int say_again(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	mh_reply_header(req, "X-Test", "again");
	return mh_reply_empty(req);
}

static int come_back(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	mh_request_resume(req, say_again);
	return 0;
}

static void on_gone(struct mh_request *req)
{
	fixture->is_gone = true;
	mh_reply_empty(req);
}

static int wait_for_ever(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	if (!mh_request_on_gone(req, on_gone))
		return mh_reply_empty(req);
	return 0;
}

static const struct mh_route routes[] = {
	{ MH_METHOD_GET, "/_matrix/client/versions", MH_AUTH_OPTIONAL,
	  MH_RATE_NONE, MH_INLINE, show_user },
	{ MH_METHOD_PUT,
	  "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}",
	  MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER, show },
	{ MH_METHOD_GET,
	  "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}",
	  MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER, show },
	{ MH_METHOD_PUT,
	  "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}",
	  MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER, show },
	{ MH_METHOD_GET, "/_matrix/client/v3/devices/{deviceId}", MH_AUTH_NONE,
	  MH_RATE_NONE, MH_WORKER, show },
	{ MH_METHOD_POST, "/_matrix/client/v3/devices/delete", MH_AUTH_NONE,
	  MH_RATE_NONE, MH_WORKER, show_path },
	{ MH_METHOD_GET, "/_matrix/client/v3/pushrules/", MH_AUTH_NONE,
	  MH_RATE_NONE, MH_WORKER, show_path },
	{ MH_METHOD_GET, "/query", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  show_query },
	{ MH_METHOD_POST, "/body", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  show_body },
	{ MH_METHOD_POST, "/optional", MH_AUTH_NONE, MH_RATE_NONE,
	  MH_BODY_OPTIONAL, show_body },
	{ MH_METHOD_GET, "/user", MH_AUTH_USER, MH_RATE_MESSAGE, MH_WORKER,
	  show_user },
	{ MH_METHOD_GET, "/no-guest", MH_AUTH_NO_GUEST, MH_RATE_NONE, MH_WORKER,
	  show_user },
	{ MH_METHOD_GET, "/soft", MH_AUTH_SOFT, MH_RATE_NONE, MH_WORKER,
	  show_user },
	{ MH_METHOD_GET, "/server", MH_AUTH_SERVER, MH_RATE_NONE, MH_WORKER,
	  show_user },
	{ MH_METHOD_POST, "/register", MH_AUTH_NONE, MH_RATE_REGISTER,
	  MH_WORKER, show_user },
	{ MH_METHOD_GET, "/internal", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  fail_inside },
	{ MH_METHOD_GET, "/later", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  come_back },
	{ MH_METHOD_GET, "/wait", MH_AUTH_NONE, MH_RATE_NONE, MH_WORKER,
	  wait_for_ever },
};

static int check_token(struct mh_server *server MH_UNUSED, struct mh_str token,
		       bool soft, struct mh_arena *arena MH_UNUSED,
		       struct mh_requester *ret, struct mh_error *err)
{
	if (!mh_str_is(token, "alice") && !mh_str_is(token, "guest") &&
	    !(soft && mh_str_is(token, "expired")))
		return mh_fail(err, MH_M_UNKNOWN_TOKEN, "unknown token");
	ret->user_id = MH_STR("@alice:a.example");
	ret->device_id = MH_STR("PHONE");
	ret->user = 1;
	ret->is_guest = mh_str_is(token, "guest");
	return 0;
}

static int set_up(void **state MH_UNUSED)
{
	static const struct mh_router_auth auth = { .user = check_token };
	struct mh_server *server;
	MH_ERROR(err);

	authorization = NULL;
	fixture = MH_NEW(struct fixture);
	server = &fixture->server;
	mh_settings_init(&fixture->settings);
	assert_int_equal(mh_settings_set(&fixture->settings, "limits",
					 "message", "1/s burst 2", &err),
			 0);
	assert_int_equal(mh_settings_set(&fixture->settings, "limits", "read",
					 "1/s burst 3", &err),
			 0);
	server->settings = &fixture->settings;
	server->executor = mh_executor_sim_new(1, 0);
	server->clock = mh_executor_clock(server->executor);
	server->workers = mh_executor_queue(server->executor, "worker", 2);
	fixture->random = mh_random_seeded_new(1);
	server->limits = mh_rate_limits_new(&fixture->settings, server->clock,
					    fixture->random);
	server->router = mh_router_new(server);
	mh_router_set_auth(server->router, &auth);
	mh_router_add(server->router, routes, MH_ARRAY_LEN(routes));
	return 0;
}

static int tear_down(void **state MH_UNUSED)
{
	mh_router_free(fixture->server.router);
	mh_rate_limits_free(fixture->server.limits);
	mh_executor_free(fixture->server.executor);
	mh_random_seeded_free(fixture->random);
	mh_settings_release(&fixture->settings);
	free(fixture->body);
	free(fixture);
	return 0;
}

/* --- paths -------------------------------------------------------------- */

static void test_parameters_are_decoded_one_by_one(void **state MH_UNUSED)
{
	static const char expected[] = "!r:a.example|a/b|\0c%|";

	assert_int_equal(ask(MH_METHOD_PUT,
			     "/_matrix/client/v3/rooms/%21r%3Aa.example/send/"
			     "a%2Fb/%00c%25?x=/y"),
			 200);
	assert_int_equal(fixture->seen_len, sizeof(expected) - 1);
	assert_memory_equal(fixture->seen, expected, sizeof(expected));
}

static void test_an_empty_parameter_only_at_the_end(void **state MH_UNUSED)
{
	assert_int_equal(get("/_matrix/client/v3/rooms/!r/state/m.room.name/"),
			 200);
	assert_string_equal(fixture->seen, "!r|m.room.name||");
	assert_int_equal(get("/_matrix/client/v3/rooms//state/m.room.name/"),
			 404);
	assert_int_equal(get("/_matrix/client/v3/rooms/!r/state/m.room.name"),
			 404);
	assert_int_equal(get("/_matrix/client/v3/rooms/!r/state/a/b/"), 404);
}

static void test_a_literal_is_preferred(void **state MH_UNUSED)
{
	assert_int_equal(
		ask(MH_METHOD_POST, "/_matrix/client/v3/devices/delete"), 200);
	assert_string_equal(fixture->seen, routes[5].path);
	/* The device called "delete" is still there for other methods. */
	assert_int_equal(get("/_matrix/client/v3/devices/delete"), 200);
	assert_string_equal(fixture->seen, "delete|");
}

static void test_encoded_literals_and_slashes(void **state MH_UNUSED)
{
	assert_int_equal(get("/_matrix/client/%76ersions"), 200);
	assert_int_equal(get("/_matrix%2Fclient/versions"), 404);
	assert_int_equal(get("/_matrix/client/v3/pushrules/"), 200);
	assert_int_equal(get("/_matrix/client/v3/pushrules"), 404);
	assert_int_equal(get("//_matrix/client/versions"), 404);
	assert_int_equal(get("/_matrix/client/versions/"), 404);
	assert_int_equal(get("/_matrix/client/x/../versions"), 404);
	assert_int_equal(get("/_matrix/client/versions%00"), 404);
}

static void test_r0_is_v3(void **state MH_UNUSED)
{
	assert_int_equal(get("/_matrix/client/r0/devices/X"), 200);
	assert_int_equal(get("/_matrix/media/r0/devices/X"), 404);
}

static void test_absolute_targets(void **state MH_UNUSED)
{
	assert_int_equal(get("http://a.example/_matrix/client/versions"), 200);
	assert_int_equal(get("http://a.example"), 400);
	assert_int_equal(get("ftp://a.example/_matrix/client/versions"), 400);
	assert_int_equal(get("*"), 400);
	assert_int_equal(get("/"), 404);
}

static void test_broken_encodings(void **state MH_UNUSED)
{
	static const char *const targets[] = {
		"/_matrix/client/v3/devices/%",
		"/_matrix/client/v3/devices/%4",
		"/_matrix/client/v3/devices/%zz",
		"/_matrix/client/v3/devices/%ff",
		"/_matrix/client/v3/devices/%ed%a0%80",
		"/_matrix/client/v3/devices/\xc3",
		"/query?limit=%",
		"/query?%fe=1",
	};

	for (size_t i = 0; i < MH_ARRAY_LEN(targets); i++) {
		get(targets[i]);
		assert_errcode(400, "M_INVALID_PARAM");
	}
}

static void test_unknown_and_wrong_method(void **state MH_UNUSED)
{
	get("/_matrix/client/v3/unknown");
	assert_errcode(404, "M_UNRECOGNIZED");
	get("/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s");
	assert_errcode(404, "M_UNRECOGNIZED");
	ask(MH_METHOD_DELETE,
	    "/_matrix/client/v3/rooms/!r/state/m.room.name/x");
	assert_errcode(405, "M_UNRECOGNIZED");
	assert_non_null(strstr(fixture->headers, "Allow: GET, PUT, OPTIONS\n"));
	ask(MH_METHOD_OTHER, "/query");
	assert_errcode(405, "M_UNRECOGNIZED");
	assert_int_equal(ask(MH_METHOD_HEAD, "/query"), 200);
	ask(MH_METHOD_HEAD, "/body");
	assert_errcode(405, "M_UNRECOGNIZED");
}

static void test_what_is_served(void **state MH_UNUSED)
{
	struct mh_router *router = fixture->server.router;

	assert_true(mh_router_serves(router, MH_METHOD_GET,
				     "/_matrix/client/v3/devices/{any}"));
	assert_false(mh_router_serves(router, MH_METHOD_PUT,
				      "/_matrix/client/v3/devices/{any}"));
	assert_false(mh_router_serves(router, MH_METHOD_GET,
				      "/_matrix/client/v3/devices"));
	assert_ptr_equal(mh_router_at(router, 0), &routes[0]);
	assert_null(mh_router_at(router, MH_ARRAY_LEN(routes)));
}

/* --- query and body ------------------------------------------------------- */

static void test_queries(void **state MH_UNUSED)
{
	get("/query");
	assert_string_equal(fixture->seen, "-1 0 ''");
	get("/query?&limit=12&full=true&a+b=1&a%20b=x%26y+z");
	assert_string_equal(fixture->seen, "12 1 'x&y z'");
	get("/query?limit=ten");
	assert_errcode(400, "M_INVALID_PARAM");
	get("/query?full=1");
	assert_errcode(400, "M_INVALID_PARAM");
}

static int post(const char *path, const char *body)
{
	struct mh_request *req = new_request(MH_METHOD_POST, path);

	req->body = mh_str(body);
	handle(req);
	return fixture->status;
}

static void test_bodies(void **state MH_UNUSED)
{
	assert_int_equal(post("/body", "{\"a\":1}"), 200);
	assert_string_equal(fixture->body, "{\"a\":1}");
	post("/body", "");
	assert_errcode(400, "M_NOT_JSON");
	post("/body", "{\"a\":1,\"a\":2}");
	assert_int_equal(fixture->status, 400);
	post("/body", "[]");
	assert_errcode(400, "M_BAD_JSON");
	assert_int_equal(post("/optional", ""), 200);
	assert_string_equal(fixture->body, "{}");
	post("/optional", "nonsense");
	assert_errcode(400, "M_NOT_JSON");
}

/* --- who ---------------------------------------------------------------- */

static void test_tokens(void **state MH_UNUSED)
{
	get("/user");
	assert_errcode(401, "M_MISSING_TOKEN");
	authorization = "Basic abc";
	get("/user");
	assert_errcode(401, "M_MISSING_TOKEN");
	authorization = "Bearer wrong";
	get("/user");
	assert_errcode(401, "M_UNKNOWN_TOKEN");
	authorization = "bearer  alice";
	assert_int_equal(get("/user"), 200);
	assert_string_equal(fixture->seen, "@alice:a.example");
	authorization = NULL;
	assert_int_equal(get("/user?access_token=alice"), 200);
}

static void test_kinds_of_authentication(void **state MH_UNUSED)
{
	assert_int_equal(get("/_matrix/client/versions"), 200);
	assert_string_equal(fixture->seen, "");
	get("/server");
	assert_errcode(401, "M_UNAUTHORIZED");
	authorization = "Bearer wrong";
	get("/_matrix/client/versions");
	assert_errcode(401, "M_UNKNOWN_TOKEN");
	authorization = "Bearer guest";
	get("/no-guest");
	assert_errcode(403, "M_GUEST_ACCESS_FORBIDDEN");
	authorization = "Bearer expired";
	assert_int_equal(get("/soft"), 200);
	get("/no-guest");
	assert_errcode(401, "M_UNKNOWN_TOKEN");
}

static void test_limits_of_a_device(void **state MH_UNUSED)
{
	authorization = "Bearer alice";
	assert_int_equal(get("/user"), 200);
	assert_int_equal(get("/user"), 200);
	get("/user");
	assert_errcode(429, "M_LIMIT_EXCEEDED");
	assert_non_null(strstr(fixture->headers, "Retry-After: 1\n"));
	assert_non_null(strstr(fixture->body, "\"retry_after_ms\":1000"));
	mh_executor_advance(fixture->server.executor, 1000);
	assert_int_equal(get("/user"), 200);
}

static void test_tokens_cannot_be_tried_out(void **state MH_UNUSED)
{
	authorization = "Bearer wrong";
	for (int i = 0; i < 3; i++)
		assert_int_equal(get("/soft"), 401);
	get("/soft");
	assert_errcode(429, "M_LIMIT_EXCEEDED");
}

/* --- replies ------------------------------------------------------------ */

static void test_cors_is_on_everything(void **state MH_UNUSED)
{
	static const char origin[] = "Access-Control-Allow-Origin: *\n";

	assert_int_equal(ask(MH_METHOD_OPTIONS, "/user"), 200);
	assert_non_null(strstr(fixture->headers, origin));
	assert_non_null(strstr(fixture->headers,
			       "Access-Control-Allow-Methods: GET, POST, PUT, "
			       "DELETE, OPTIONS\n"));
	assert_non_null(
		strstr(fixture->headers,
		       "Access-Control-Allow-Headers: X-Requested-With, "
		       "Content-Type, Authorization\n"));
	get("/user");
	assert_int_equal(fixture->status, 401);
	assert_non_null(strstr(fixture->headers, origin));
}

static void test_inner_failures_stay_inside(void **state MH_UNUSED)
{
	get("/internal");
	assert_errcode(500, "M_UNKNOWN");
	assert_null(strstr(fixture->body, "fire"));
}

static void test_resuming_on_a_worker(void **state MH_UNUSED)
{
	assert_int_equal(get("/later"), 200);
	assert_non_null(strstr(fixture->headers, "X-Test: again\n"));
}

static void test_clients_that_leave(void **state MH_UNUSED)
{
	struct mh_request *req = new_request(MH_METHOD_GET, "/wait");

	handle(req);
	assert_int_equal(fixture->status, 0);
	mh_request_gone(req);
	assert_true(fixture->is_gone);
	assert_int_equal(fixture->status, 200);

	/* Who has left before waiting begins is not waited for. */
	fixture->is_gone = false;
	req = new_request(MH_METHOD_GET, "/wait");
	mh_request_gone(req);
	handle(req);
	assert_false(fixture->is_gone);
	assert_int_equal(fixture->status, 200);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_parameters_are_decoded_one_by_one),
		TEST(test_an_empty_parameter_only_at_the_end),
		TEST(test_a_literal_is_preferred),
		TEST(test_encoded_literals_and_slashes),
		TEST(test_r0_is_v3),
		TEST(test_absolute_targets),
		TEST(test_broken_encodings),
		TEST(test_unknown_and_wrong_method),
		TEST(test_what_is_served),
		TEST(test_queries),
		TEST(test_bodies),
		TEST(test_tokens),
		TEST(test_kinds_of_authentication),
		TEST(test_limits_of_a_device),
		TEST(test_tokens_cannot_be_tried_out),
		TEST(test_cors_is_on_everything),
		TEST(test_inner_failures_stay_inside),
		TEST(test_resuming_on_a_worker),
		TEST(test_clients_that_leave),
	};

	mh_log_configure(MH_LOG_ERROR, MH_LOG_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
