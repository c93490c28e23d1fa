/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is read, and what its errors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "main/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Loads a file of these bytes; its name in problems becomes FILE. */
static int load_bytes(const void *bytes, size_t len,
		      const char *const *overrides, size_t n,
		      struct mh_settings *ret, struct mh_strbuf *problems)
{
	char path[] = "/tmp/moothall-test-XXXXXX";
	struct mh_config_source source = { path, overrides, n };
	MH_STRBUF(raw);
	int fd = mkstemp(path);
	const char *p;
	char *at;
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
	rc = mh_config_load(&source, ret, &raw);
	unlink(path);
	for (p = raw.data; (at = strstr(p, path)); p = at + strlen(path)) {
		mh_strbuf_add(problems, p, (size_t)(at - p));
		mh_strbuf_addlit(problems, "FILE");
	}
	mh_strbuf_addf(problems, "%s", p);
	return rc;
}

static int load(const char *text, struct mh_settings *ret,
		struct mh_strbuf *problems)
{
	return load_bytes(text, strlen(text), NULL, 0, ret, problems);
}

static void assert_problem(const char *text, const char *expected)
{
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_int_equal(load(text, &settings, &problems), -1);
	assert_string_equal(problems.data, expected);
}

#define NAME "[server]\nname = a.example\n"

static void test_a_file(void **state MH_UNUSED)
{
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_int_equal(load("\xef\xbb\xbf# a comment\r\n"
			      "[server]\r\n"
			      "name = a.example ; who we are\r\n"
			      "	data_dir = /data\r\n"
			      "\r\n"
			      "[listen]\n"
			      "client: 127.0.0.1:1\n"
			      "client = [::1]:2, *:3\n"
			      "[server]\n"
			      "support_page = https://a.example/help",
			      &settings, &problems),
			 0);
	assert_string_equal(problems.data, "");
	assert_string_equal(settings.server.name, "a.example");
	assert_string_equal(settings.server.data_dir, "/data");
	assert_string_equal(settings.server.support_page,
			    "https://a.example/help");
	assert_int_equal(settings.listen.client.count, 3);
	assert_string_equal(settings.listen.client.items[0], "127.0.0.1:1");
	assert_string_equal(settings.listen.client.items[2], "*:3");
	/* what follows from others */
	assert_string_equal(settings.server.public_url, "https://a.example");
	assert_string_equal(settings.control.socket, "/data/control.sock");
	mh_settings_release(&settings);
}

static void test_problems_name_file_line_and_values(void **state MH_UNUSED)
{
	assert_problem(NAME "[registration]\n\nmode = opened\n",
		       "FILE:5: 'mode' in [registration] must be closed, token "
		       "or open, not 'opened'\n");
	assert_problem(NAME "nam = b\n",
		       "FILE:3: unknown key 'nam' in [server]; there are: "
		       "name, data_dir, public_url, admin_contact, "
		       "security_contact, support_page, workers\n");
	assert_problem(NAME "name = b\n",
		       "FILE:3: 'name' in [server] is set on line 2 already\n");
	assert_problem("name = b\n",
		       "FILE:1: 'name' stands before any [section]\n");
	assert_problem(NAME "[log\n",
		       "FILE:3: expected '[section]', 'key = value' or a "
		       "comment\n");
	assert_problem(NAME "[memory]\nbudget = 1M\n",
		       "FILE:4: 'budget' in [memory] must be a size in bytes, "
		       "k, M or G, from 16M to 1024G, not '1M'\n");
	assert_problem("[log]\nlevel = info\n",
		       "FILE: 'name' in [server] must be set\n");
	assert_problem("[server]\nname = a b\n",
		       "FILE:2: 'name' in [server] must be a host name with or "
		       "without a port, such as example.org, not 'a b'\n");
	assert_problem(NAME "[listen]\nfederation = *:8448\n",
		       "FILE:4: 'federation' in [listen] needs "
		       "tls_certificate and tls_private_key\n");
	assert_problem(NAME "[listen]\nclient = 8008\n",
		       "FILE:4: 'client' in [listen] takes addresses such as "
		       "127.0.0.1:8008, [::1]:8008, *:8008 or unix:/path, not '8008'\n");
	assert_problem(NAME "[listen]\ntrusted_proxies = ::1 10.0.0.0/33\n",
		       "FILE:4: 'trusted_proxies' in [listen] takes addresses "
		       "and networks such as 127.0.0.1, ::1 or 10.0.0.0/8, not "
		       "'10.0.0.0/33'\n");
	assert_problem(NAME "public_url = example.org\n",
		       "FILE:3: 'public_url' in [server] must be an address "
		       "that begins with https:// or http://, not "
		       "'example.org'\n");
	assert_problem(NAME "[registration]\nshared_secret = file:/no/where\n",
		       "FILE:4: 'shared_secret' in [registration] names "
		       "'/no/where': No such file or directory\n");
}

static void test_every_problem_is_told(void **state MH_UNUSED)
{
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_int_equal(load(NAME "x = 1\n[log]\nlevel = 2\n", &settings,
			      &problems),
			 -1);
	assert_non_null(strstr(problems.data, "FILE:3: unknown key 'x'"));
	assert_non_null(strstr(problems.data, "FILE:5: 'level' in [log]"));
}

static void test_bytes_that_are_no_text(void **state MH_UNUSED)
{
	static const char nul[] = "[server]\nna\0me = b\n";
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_problem(NAME "data_dir = \xff\n",
		       "FILE:3: this line is not UTF-8\n");
	assert_int_equal(load_bytes(nul, sizeof(nul) - 1, NULL, 0, &settings,
				    &problems),
			 -1);
	assert_non_null(strstr(problems.data,
			       "FILE:2: there is a NUL byte in this line"));
}

/* A line is read whole or refused, never cut. */
static void test_long_lines(void **state MH_UNUSED)
{
	struct mh_settings settings;
	MH_STRBUF(problems);
	MH_STRBUF(text);

	mh_strbuf_addlit(&text, NAME "# ");
	for (int i = 0; i < 10000; i++)
		mh_strbuf_addch(&text, 'x');
	mh_strbuf_addlit(&text, "\n[voip]\nturn_shared_secret = ");
	for (int i = 0; i < 150; i++)
		mh_strbuf_addch(&text, 'y');
	assert_int_equal(load(text.data, &settings, &problems), 0);
	assert_int_equal(strlen(settings.voip.turn_shared_secret), 150);
	mh_settings_release(&settings);

	for (int i = 0; i < 10000; i++)
		mh_strbuf_addch(&text, 'y');
	assert_int_equal(load(text.data, &settings, &problems), -1);
	assert_non_null(
		strstr(problems.data, "FILE:5: this line is 10171 bytes long"));
}

static void test_files_that_cannot_be_read(void **state MH_UNUSED)
{
	struct mh_config_source missing = { "/no/where.conf", NULL, 0 };
	struct mh_config_source folder = { "/tmp", NULL, 0 };
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_int_equal(mh_config_load(&missing, &settings, &problems), -1);
	assert_string_equal(problems.data,
			    "/no/where.conf: cannot read the configuration: "
			    "No such file or directory\n");
	mh_strbuf_clear(&problems);
	assert_int_equal(mh_config_load(&folder, &settings, &problems), -1);
	assert_string_equal(problems.data, "/tmp: cannot read the "
					   "configuration: Is a directory\n");
}

static void test_overrides_count_more(void **state MH_UNUSED)
{
	static const char *const good[] = { "server.name=b.example",
					    "listen.client=*:1",
					    "listen.client=*:2" };
	static const char *const bad[] = { "log.level=loud", "foo",
					   "foo.bar=1" };
	static const char text[] = NAME "[listen]\nclient = *:9\n";
	struct mh_settings settings;
	MH_STRBUF(problems);

	assert_int_equal(load_bytes(text, sizeof(text) - 1, good, 3, &settings,
				    &problems),
			 0);
	assert_string_equal(settings.server.name, "b.example");
	assert_int_equal(settings.listen.client.count, 2);
	assert_string_equal(settings.listen.client.items[0], "*:1");
	mh_settings_release(&settings);

	assert_int_equal(load_bytes(text, sizeof(text) - 1, bad, 3, &settings,
				    &problems),
			 -1);
	assert_non_null(strstr(problems.data, "-o log.level: 'level' in [log] "
					      "must be error, warn, info or "
					      "debug, not 'loud'\n"));
	assert_non_null(
		strstr(problems.data, "-o: 'foo' is not section.key=value\n"));
	assert_non_null(
		strstr(problems.data, "-o foo.bar: unknown section [foo]"));
}

static void test_a_secret_from_a_file(void **state MH_UNUSED)
{
	char path[] = "/tmp/moothall-test-XXXXXX";
	int fd = mkstemp(path);
	struct mh_settings settings;
	MH_STRBUF(problems);
	MH_STRBUF(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "s3cret\nmore\n", 12), 12);
	close(fd);
	mh_strbuf_addf(&text, NAME "[registration]\nshared_secret = file:%s\n",
		       path);
	assert_int_equal(load(text.data, &settings, &problems), 0);
	unlink(path);
	assert_string_equal(settings.registration.shared_secret, "s3cret");
	mh_settings_release(&settings);
}

static void test_reload_takes_what_it_can(void **state MH_UNUSED)
{
	struct mh_settings current;
	struct mh_settings loaded;
	struct mh_settings next;
	MH_STRBUF(problems);
	MH_STRBUF(changed);
	MH_STRBUF(fixed);

	assert_int_equal(load(NAME "public_url = https://x.example\n", &current,
			      &problems),
			 0);
	assert_int_equal(load(NAME "public_url = https://y.example\n"
				   "data_dir = /else\n"
				   "[limits]\nmessage = off\n"
				   "[registration]\nshared_secret = s\n",
			      &loaded, &problems),
			 0);
	mh_config_reload(&current, &loaded, &next, &changed, &fixed);
	assert_string_equal(changed.data,
			    "server.public_url, registration.shared_secret, "
			    "limits.message");
	assert_string_equal(fixed.data, "server.data_dir, control.socket");
	assert_string_equal(next.server.public_url, "https://y.example");
	assert_string_equal(next.server.data_dir, current.server.data_dir);
	assert_int_equal(next.limits.message.tokens, 0);
	mh_settings_release(&current);
	mh_settings_release(&loaded);
	mh_settings_release(&next);
}

/* The printed configuration and the sample are files that can be read. */
static void test_what_is_printed_can_be_read(void **state MH_UNUSED)
{
	static const char *const name[] = { "server.name=a.example" };
	struct mh_settings defaults;
	struct mh_settings again;
	MH_STRBUF(problems);
	MH_STRBUF(text);

	mh_config_print_sample(&text);
	assert_int_equal(load_bytes(text.data, text.len, name, 1, &defaults,
				    &problems),
			 0);
	mh_strbuf_clear(&text);
	mh_config_print(&defaults, &text);
	assert_int_equal(load(text.data, &again, &problems), 0);
	for (size_t i = 0; i < mh_setting_count; i++)
		assert_true(mh_setting_equal(&mh_setting_table[i], &defaults,
					     &again));
	mh_settings_release(&defaults);
	mh_settings_release(&again);
}

static void test_sample_and_manual_have_every_key(void **state MH_UNUSED)
{
	MH_STRBUF(sample);
	MH_STRBUF(man);

	mh_config_print_sample(&sample);
	mh_config_print_man(&man);
	for (size_t i = 0; i < mh_setting_count; i++) {
		MH_STRBUF(in_sample);
		MH_STRBUF(in_man);

		mh_strbuf_addf(&in_sample, "%s =", mh_setting_table[i].name);
		mh_strbuf_addf(&in_man, "\n.B %s\n", mh_setting_table[i].name);
		assert_non_null(strstr(sample.data, in_sample.data));
		assert_non_null(strstr(man.data, in_man.data));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file),
		cmocka_unit_test(test_problems_name_file_line_and_values),
		cmocka_unit_test(test_every_problem_is_told),
		cmocka_unit_test(test_bytes_that_are_no_text),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_overrides_count_more),
		cmocka_unit_test(test_a_secret_from_a_file),
		cmocka_unit_test(test_reload_takes_what_it_can),
		cmocka_unit_test(test_what_is_printed_can_be_read),
		cmocka_unit_test(test_sample_and_manual_have_every_key),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
