/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: conversations with a store behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/control.h"
#include "main/data_dir.h"

#include "store/accounts.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
	char folder[40];
	char socket[64];
	struct mh_server server;
	struct mh_control *control;
};

static const struct mh_control_command *const tables[] = {
	mh_control_status_commands,
	mh_control_token_commands,
	mh_control_user_commands,
	NULL,
};

static int setup(void **state)
{
	struct fixture *f = MH_NEW(struct fixture);
	char database[64];
	struct mh_store_options options = { .server_name = "a.example",
					    .readers = 1 };
	MH_ERROR(err);

	snprintf(f->folder, sizeof(f->folder), "/tmp/moothall-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(database, sizeof(database), "%s/moothall.db", f->folder);
	snprintf(f->socket, sizeof(f->socket), "%s/control.sock", f->folder);
	options.path = database;
	f->server.name = MH_STR("a.example");
	f->server.clock = mh_clock_real();
	f->server.random = mh_random_system();
	f->server.executor = mh_executor_threads_new(f->server.clock);
	f->server.workers = mh_executor_queue(f->server.executor, "worker", 1);
	f->server.workers_count = 1;
	assert_int_equal(mh_store_open(&options, f->server.executor,
				       &f->server.store, &err),
			 0);
	assert_int_equal(mh_control_new(&f->server, f->socket, tables,
					&f->control, &err),
			 0);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st MH_UNUSED,
		      int type MH_UNUSED, struct FTW *ftw MH_UNUSED)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mh_control_stop(f->control);
	mh_executor_stop(f->server.executor);
	mh_control_free(f->control);
	mh_store_close(f->server.store);
	mh_executor_free(f->server.executor);
	nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, f->socket, strlen(f->socket));
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	mh_control_accept(f->control);
	return fd;
}

/* Sends a line, reads a line. */
static json_t *ask(int fd, const char *request)
{
	MH_STRBUF(line);
	char c = 0;
	json_t *answer;

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	assert_int_equal(write(fd, "\n", 1), 1);
	while (c != '\n') {
		assert_int_equal(read(fd, &c, 1), 1);
		mh_strbuf_addch(&line, c);
	}
	answer = json_loadb(line.data, line.len, 0, NULL);
	assert_non_null(answer);
	return answer;
}

static void expect_error(int fd, const char *request, const char *errcode,
			 const char *words)
{
	json_t *answer = ask(fd, request);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_string_equal(
		json_string_value(json_object_get(answer, "errcode")), errcode);
	assert_non_null(strstr(
		json_string_value(json_object_get(answer, "error")), words));
	json_decref(answer);
}

/* The result, borrowed from `*ret_answer`. */
static json_t *expect_ok(int fd, const char *request, json_t **ret_answer)
{
	json_t *answer = ask(fd, request);

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s",
			 json_string_value(json_object_get(answer, "error")));
	*ret_answer = answer;
	return json_object_get(answer, "result");
}

static void test_only_the_owner_may_open_it(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(lstat(f->socket, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_status(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	json_t *answer;
	json_t *result = expect_ok(fd, "{\"command\":\"status\"}", &answer);

	assert_string_equal(
		json_string_value(json_object_get(result, "server_name")),
		"a.example");
	assert_int_equal(json_integer_value(json_object_get(result, "pid")),
			 getpid());
	json_decref(answer);
	close(fd);
}

static void test_bad_requests_get_an_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	expect_error(fd, "", "M_NOT_JSON", "");
	expect_error(fd, "[1]", "M_BAD_JSON", "");
	expect_error(fd, "{}", "M_MISSING_PARAM", "command");
	expect_error(fd, "{\"command\":\"fly\"}", "M_UNRECOGNIZED", "'fly'");
	expect_error(fd, "{\"command\":\"status\",\"args\":3}", "M_BAD_JSON",
		     "args");
	expect_error(fd, "{\"command\":\"user show\"}", "M_MISSING_PARAM",
		     "user");
	close(fd);
}

static void test_registration_tokens(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	json_t *answer;
	json_t *result;
	json_t *tokens;

	result = expect_ok(fd,
			   "{\"command\":\"registration-token create\","
			   "\"args\":{\"token\":\"tea\",\"uses\":3}}",
			   &answer);
	assert_string_equal(json_string_value(json_object_get(result, "token")),
			    "tea");
	json_decref(answer);
	expect_error(fd,
		     "{\"command\":\"registration-token create\","
		     "\"args\":{\"token\":\"tea\"}}",
		     "M_INVALID_PARAM", "");
	expect_error(fd,
		     "{\"command\":\"registration-token create\","
		     "\"args\":{\"token\":\"t e a\"}}",
		     "M_INVALID_PARAM", "characters");
	result = expect_ok(fd, "{\"command\":\"registration-token create\"}",
			   &answer);
	assert_int_equal(
		strlen(json_string_value(json_object_get(result, "token"))),
		16);
	json_decref(answer);

	result = expect_ok(fd, "{\"command\":\"registration-token list\"}",
			   &answer);
	tokens = json_object_get(result, "tokens");
	assert_int_equal(json_array_size(tokens), 2);
	json_decref(answer);

	expect_ok(fd,
		  "{\"command\":\"registration-token revoke\","
		  "\"args\":{\"token\":\"tea\"}}",
		  &answer);
	json_decref(answer);
	expect_error(fd,
		     "{\"command\":\"registration-token revoke\","
		     "\"args\":{\"token\":\"tea\"}}",
		     "M_NOT_FOUND", "'tea'");
	close(fd);
}

static int add_account(struct mh_control_call *call MH_UNUSED, struct mh_tx *tx,
		       struct mh_error *err)
{
	mh_nid user = mh_name_intern(tx, MH_STR("@alice:a.example"), err);
	mh_nid device = mh_name_intern(tx, MH_STR("PHONE"), err);

	if (user < 0 || device < 0 ||
	    mh_account_add(tx, user, MH_STR("hash"), true, 1000, err) < 0)
		return -1;
	return mh_device_put(tx, user, device, MH_STR("phone"), 1000, err);
}

static void test_users(void **state)
{
	struct fixture *f = *state;
	struct mh_control_call call = { .server = &f->server };
	int fd = dial(f);
	json_t *devices;
	json_t *answer;
	json_t *result;
	json_t *users;
	MH_ERROR(err);

	assert_int_equal(mh_control_write(&call, add_account, &err), 0);
	result = expect_ok(fd, "{\"command\":\"user list\"}", &answer);
	users = json_object_get(result, "users");
	assert_int_equal(json_array_size(users), 1);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(users, 0), "user_id")),
			    "@alice:a.example");
	json_decref(answer);

	result = expect_ok(fd,
			   "{\"command\":\"user show\","
			   "\"args\":{\"user\":\"alice\"}}",
			   &answer);
	assert_true(json_is_true(json_object_get(result, "admin")));
	devices = json_object_get(result, "devices");
	assert_int_equal(json_array_size(devices), 1);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(devices, 0), "device_id")),
			    "PHONE");
	json_decref(answer);

	expect_error(fd,
		     "{\"command\":\"user show\",\"args\":{\"user\":\"bob\"}}",
		     "M_NOT_FOUND", "@bob:a.example");
	expect_error(fd,
		     "{\"command\":\"user show\","
		     "\"args\":{\"user\":\"@a:b.example\"}}",
		     "M_INVALID_USERNAME", "is not a user of a.example");
	close(fd);
}

static void test_a_served_socket_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct mh_control *second;
	MH_ERROR(err);

	assert_int_equal(mh_control_new(&f->server, f->socket, tables, &second,
					&err),
			 -1);
	assert_non_null(strstr(err.message, "another daemon serves"));
}

static void test_a_stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);
	MH_ERROR(err);
	int fd;

	mh_control_stop(f->control);
	mh_control_free(f->control);
	memcpy(address.sun_path, f->socket, strlen(f->socket));
	assert_int_equal(
		bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
	close(dead);
	assert_int_equal(mh_control_new(&f->server, f->socket, tables,
					&f->control, &err),
			 0);
	fd = dial(f);
	close(fd);
}

static void test_another_file_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct mh_control *second;
	char path[64];
	MH_ERROR(err);
	int fd;

	snprintf(path, sizeof(path), "%s/diary", f->folder);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(
		mh_control_new(&f->server, path, tables, &second, &err), -1);
	assert_non_null(strstr(err.message, "is no socket"));
	assert_int_equal(access(path, F_OK), 0);
}

/* A client that says nothing does not hold up the end. */
static void test_silent_clients_are_ended(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	char c;

	for (size_t i = 0; i < 3; i++)
		fds[i] = dial(f);
	mh_control_stop(f->control);
	mh_executor_stop(f->server.executor);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(read(fds[i], &c, 1), 0);
		close(fds[i]);
	}
}

/* --- the data folder ---------------------------------------------------- */

static void test_one_daemon_a_data_folder(void **state)
{
	struct fixture *f = *state;
	char folder[80];
	char expected[40];
	int first;
	int second;
	MH_ERROR(err);

	snprintf(folder, sizeof(folder), "%s/data", f->folder);
	assert_int_equal(mh_data_dir_lock(folder, &first, &err), 0);
	assert_int_equal(mh_data_dir_lock(folder, &second, &err), -1);
	snprintf(expected, sizeof(expected), "(process %ld)", (long)getpid());
	assert_non_null(strstr(err.message, expected));
	assert_non_null(strstr(err.message, folder));
	close(first);
	assert_int_equal(mh_data_dir_lock(folder, &second, &err), 0);
	close(second);
}

static void test_bad_data_folders_are_named(void **state)
{
	struct fixture *f = *state;
	char path[80];
	MH_ERROR(err);
	int fd;

	snprintf(path, sizeof(path), "%s/no/where", f->folder);
	assert_int_equal(mh_data_dir_lock(path, &fd, &err), -1);
	assert_non_null(strstr(err.message, "the folder above it does not"));

	snprintf(path, sizeof(path), "%s/file", f->folder);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mh_data_dir_lock(path, &fd, &err), -1);
	assert_non_null(strstr(err.message, "is not a folder"));

	snprintf(path, sizeof(path), "%s/open", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(mh_data_dir_lock(path, &fd, &err), -1);
	assert_non_null(strstr(err.message, "can be written by everyone"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_the_owner_may_open_it),
		TEST(test_status),
		TEST(test_bad_requests_get_an_answer),
		TEST(test_registration_tokens),
		TEST(test_users),
		TEST(test_a_served_socket_is_not_taken),
		TEST(test_a_stale_socket_is_replaced),
		TEST(test_another_file_is_left_alone),
		TEST(test_silent_clients_are_ended),
		TEST(test_one_daemon_a_data_folder),
		TEST(test_bad_data_folders_are_named),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
