/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration: from text, to text, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/settings.h"

static void set(struct mh_settings *settings, const char *section,
		const char *name, const char *value)
{
	MH_ERROR(err);

	assert_int_equal(mh_settings_set(settings, section, name, value, &err),
			 0);
}

static void test_defaults(void **state MH_UNUSED)
{
	struct mh_settings settings;

	mh_settings_init(&settings);
	assert_string_equal(settings.server.name, "");
	assert_int_equal(settings.listen.client.count, 1);
	assert_string_equal(settings.listen.client.items[0], "127.0.0.1:8008");
	assert_int_equal(settings.registration.mode, MH_REGISTRATION_CLOSED);
	assert_string_equal(settings.rooms.default_version, "12");
	assert_true(settings.limits.rate_limits);
	assert_int_equal(settings.limits.message.tokens, 10);
	assert_int_equal(settings.limits.message.per_ms, 1000);
	assert_int_equal(settings.limits.message.burst, 50);
	assert_int_equal(settings.limits.max_request_size, 4 << 20);
	assert_int_equal(settings.auth.access_token_lifetime, 3600 * 1000);
	assert_int_equal(settings.log.format, MH_LOG_TEXT);
	mh_settings_release(&settings);
}

/* The choices of the table stand in the order of their enums. */
static void test_choices_are_their_enums(void **state MH_UNUSED)
{
	struct mh_settings settings;

	mh_settings_init(&settings);
	set(&settings, "registration", "mode", "closed");
	assert_int_equal(settings.registration.mode, MH_REGISTRATION_CLOSED);
	set(&settings, "registration", "mode", "token");
	assert_int_equal(settings.registration.mode, MH_REGISTRATION_TOKEN);
	set(&settings, "registration", "mode", "open");
	assert_int_equal(settings.registration.mode, MH_REGISTRATION_OPEN);
	set(&settings, "auth", "password_cost", "minimal");
	assert_int_equal(settings.auth.password_cost, MH_PASSWORD_MINIMAL);
	set(&settings, "auth", "password_cost", "interactive");
	assert_int_equal(settings.auth.password_cost, MH_PASSWORD_INTERACTIVE);
	set(&settings, "auth", "password_cost", "moderate");
	assert_int_equal(settings.auth.password_cost, MH_PASSWORD_MODERATE);
	set(&settings, "log", "level", "error");
	assert_int_equal(settings.log.level, MH_LOG_ERROR);
	set(&settings, "log", "level", "debug");
	assert_int_equal(settings.log.level, MH_LOG_DEBUG);
	set(&settings, "log", "format", "journald");
	assert_int_equal(settings.log.format, MH_LOG_JOURNALD);
	mh_settings_release(&settings);
}

static void test_units(void **state MH_UNUSED)
{
	struct mh_settings settings;

	mh_settings_init(&settings);
	set(&settings, "limits", "body_timeout", "1500ms");
	assert_int_equal(settings.limits.body_timeout, 1500);
	set(&settings, "limits", "body_timeout", " 2 m ");
	assert_int_equal(settings.limits.body_timeout, 120000);
	set(&settings, "memory", "budget", "2G");
	assert_int_equal(settings.memory.budget, (int64_t)2 << 30);
	set(&settings, "memory", "budget", "16777216");
	assert_int_equal(settings.memory.budget, 16777216);
	set(&settings, "limits", "login", "3/h burst 7");
	assert_int_equal(settings.limits.login.tokens, 3);
	assert_int_equal(settings.limits.login.per_ms, 3600 * 1000);
	assert_int_equal(settings.limits.login.burst, 7);
	set(&settings, "limits", "login", "4/d");
	assert_int_equal(settings.limits.login.burst, 4);
	set(&settings, "limits", "login", "off");
	assert_int_equal(settings.limits.login.tokens, 0);
	set(&settings, "listen", "client", "a:1, b:2 c:3");
	assert_int_equal(settings.listen.client.count, 3);
	assert_string_equal(settings.listen.client.items[2], "c:3");
	mh_settings_release(&settings);
}

static void test_bad_values_leave_the_old(void **state MH_UNUSED)
{
	static const char *const bad[][3] = {
		{ "registration", "mode", "opened" },
		{ "registration", "mode", "" },
		{ "rooms", "default_version", "13" },
		{ "limits", "rate_limits", "yes" },
		{ "limits", "max_devices", "0" },
		{ "limits", "max_devices", "5x" },
		{ "limits", "max_devices", "99999999999999999999" },
		{ "limits", "body_timeout", "60" },
		{ "limits", "body_timeout", "2h" },
		{ "limits", "body_timeout", "99999999999999999d" },
		{ "limits", "max_request_size", "1k" },
		{ "limits", "max_request_size", "4 MB" },
		{ "limits", "max_request_size", "-1" },
		{ "limits", "read", "10" },
		{ "limits", "read", "0/s" },
		{ "limits", "read", "10/w" },
		{ "limits", "read", "10/s burst" },
		{ "limits", "read", "10/s burst 0" },
		{ "limits", "read", "10/s burst 5 6" },
		{ "limits", "read", "10/s bust 5" },
		{ "nope", "x", "1" },
		{ "server", "nope", "1" },
	};
	struct mh_settings settings;
	struct mh_settings fresh;

	mh_settings_init(&settings);
	mh_settings_init(&fresh);
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++) {
		MH_ERROR(err);

		assert_int_equal(mh_settings_set(&settings, bad[i][0],
						 bad[i][1], bad[i][2], &err),
				 -1);
		assert_int_equal(err.code, MH_M_INVALID_PARAM);
		assert_non_null(strstr(err.message, bad[i][1]));
	}
	for (size_t i = 0; i < mh_setting_count; i++)
		assert_true(mh_setting_equal(&mh_setting_table[i], &settings,
					     &fresh));
	mh_settings_release(&settings);
	mh_settings_release(&fresh);
}

/* What is printed reads back as the same value, for every setting. */
static void test_print_and_parse_agree(void **state MH_UNUSED)
{
	struct mh_settings settings;
	struct mh_settings copy;

	mh_settings_init(&settings);
	set(&settings, "limits", "login", "3/h burst 7");
	set(&settings, "limits", "join", "off");
	set(&settings, "limits", "body_timeout", "1500ms");
	set(&settings, "memory", "budget", "16777217");
	set(&settings, "listen", "trusted_proxies", "::1, 10.0.0.0/8");
	set(&settings, "auth", "key_rotation", "0s");
	mh_settings_copy(&copy, &settings);
	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];
		MH_ERROR(err);
		MH_STRBUF(text);

		mh_setting_print(setting, &settings, &text);
		assert_int_equal(mh_setting_parse(setting, &copy, text.data,
						  false, &err),
				 0);
		assert_true(mh_setting_equal(setting, &settings, &copy));
	}
	mh_settings_release(&settings);
	mh_settings_release(&copy);
}

static void test_secrets_are_not_printed(void **state MH_UNUSED)
{
	const struct mh_setting *setting =
		mh_setting_find("registration", "shared_secret");
	struct mh_settings settings;
	struct mh_settings other;
	MH_STRBUF(text);

	mh_settings_init(&settings);
	set(&settings, "registration", "shared_secret", "hunter2");
	mh_settings_copy(&other, &settings);
	mh_setting_print(setting, &settings, &text);
	assert_string_equal(text.data, "(secret)");
	assert_true(mh_setting_equal(setting, &settings, &other));
	set(&other, "registration", "shared_secret", "hunter3");
	assert_false(mh_setting_equal(setting, &settings, &other));
	mh_settings_release(&settings);
	mh_settings_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_choices_are_their_enums),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_bad_values_leave_the_old),
		cmocka_unit_test(test_print_and_parse_agree),
		cmocka_unit_test(test_secrets_are_not_printed),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
