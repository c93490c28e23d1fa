/* SPDX-License-Identifier: Apache-2.0 */
/* The three formats of the log, and addresses of the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/netaddr.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What mh_log() writes, with its time replaced by T. */
static void logged(enum mh_log_format format, const char *message, char *out,
		   size_t size)
{
	int saved = dup(STDERR_FILENO);
	int fds[2];
	ssize_t len;
	char *time;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	mh_log_configure(MH_LOG_INFO, format);
	mh_log_debug("test", "never seen");
	mh_log_warn("test", "%s", message);
	mh_log_configure(MH_LOG_INFO, MH_LOG_TEXT);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	len = read(fds[0], out, size - 1);
	close(fds[0]);
	assert_true(len > 0);
	out[len] = '\0';
	time = strstr(out, "20"); /* of this century */
	if (time && strlen(time) > 24 && time[23] == 'Z') {
		memmove(time + 1, time + 24, strlen(time + 24) + 1);
		*time = 'T';
	}
}

static void test_formats(void **state MH_UNUSED)
{
	char out[1024];

	logged(MH_LOG_TEXT, "a\nb \"q\"", out, sizeof(out));
	assert_string_equal(out, "T warn  test: a\\x0ab \"q\"\n");
	logged(MH_LOG_JOURNALD, "a\tb", out, sizeof(out));
	assert_string_equal(out, "<4>test: a\\x09b\n");
	logged(MH_LOG_JSON, "a\n\"q\\", out, sizeof(out));
	assert_string_equal(out,
			    "{\"time\":\"T\",\"level\":\"warn\",\"topic\":"
			    "\"test\",\"message\":\"a\\u000a\\\"q\\\\\"}\n");
	logged(MH_LOG_JSON, "\xff", out, sizeof(out));
	assert_non_null(strstr(out, "\"message\":\"\\ufffd\"}"));
}

static void test_long_messages_are_whole(void **state MH_UNUSED)
{
	char message[2001];
	char out[4096];

	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	logged(MH_LOG_JOURNALD, message, out, sizeof(out));
	assert_int_equal(strlen(out), strlen("<4>test: \n") + 2000);
}

static void test_listen_addresses(void **state MH_UNUSED)
{
	static const char *const bad[] = { "",	       "8008",	   ":8008",
					   "a:",       "a:0",	   "a:65536",
					   "::1:8008", "[::1]",	   "[x]:1",
					   "[]:1",     "a:80080x", "a:-1" };
	struct mh_listen_address address;

	assert_true(
		mh_listen_address_parse(MH_STR("127.0.0.1:8008"), &address));
	assert_string_equal(address.host, "127.0.0.1");
	assert_string_equal(address.port, "8008");
	assert_true(mh_listen_address_parse(MH_STR("[::1]:1"), &address));
	assert_string_equal(address.host, "::1");
	assert_true(mh_listen_address_parse(MH_STR("*:65535"), &address));
	assert_string_equal(address.host, "");
	assert_string_equal(address.port, "65535");
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++)
		assert_false(mh_listen_address_parse(mh_str(bad[i]), &address));
}

static bool within(const char *network, const char *ip)
{
	struct mh_network n;
	struct mh_ip i;

	assert_true(mh_network_parse(mh_str(network), &n));
	assert_true(mh_ip_parse(mh_str(ip), &i));
	return mh_network_contains(&n, &i);
}

static void test_networks(void **state MH_UNUSED)
{
	struct mh_network network;

	assert_true(within("10.0.0.0/8", "10.255.1.2"));
	assert_false(within("10.0.0.0/8", "11.0.0.0"));
	assert_true(within("10.1.2.128/25", "10.1.2.200"));
	assert_false(within("10.1.2.128/25", "10.1.2.127"));
	assert_true(within("127.0.0.1", "::ffff:127.0.0.1"));
	assert_false(within("127.0.0.1", "127.0.0.2"));
	assert_true(within("::1", "::1"));
	assert_true(within("fd00::/8", "fd12::1"));
	assert_false(within("fd00::/8", "fe00::1"));
	assert_true(within("0.0.0.0/0", "1.2.3.4"));
	assert_false(within("0.0.0.0/0", "::1"));
	assert_true(within("::/0", "1.2.3.4"));
	assert_false(mh_network_parse(MH_STR("1.2.3.4/33"), &network));
	assert_false(mh_network_parse(MH_STR("1.2.3/8"), &network));
	assert_false(mh_network_parse(MH_STR("::1/129"), &network));
	assert_false(mh_network_parse(MH_STR("host"), &network));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_long_messages_are_whole),
		cmocka_unit_test(test_listen_addresses),
		cmocka_unit_test(test_networks),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
