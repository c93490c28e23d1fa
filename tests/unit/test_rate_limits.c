/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/rate_limits.h"

#include <stdio.h>

static int64_t now_ms;

static int64_t read_clock(struct mh_clock *clock MH_UNUSED)
{
	return now_ms;
}

static struct mh_clock test_clock = { read_clock, read_clock };

struct fixture {
	struct mh_settings settings;
	struct mh_random *random;
	struct mh_rate_limits *limits;
};

static int set_up(void **state)
{
	struct fixture *f = MH_NEW(struct fixture);
	MH_ERROR(err);

	now_ms = 1000000;
	mh_settings_init(&f->settings);
	assert_int_equal(mh_settings_set(&f->settings, "limits", "message",
					 "10/s burst 5", &err),
			 0);
	assert_int_equal(mh_settings_set(&f->settings, "limits", "read", "off",
					 &err),
			 0);
	f->random = mh_random_seeded_new(1);
	f->limits = mh_rate_limits_new(&f->settings, &test_clock, f->random);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mh_rate_limits_free(f->limits);
	mh_random_seeded_free(f->random);
	mh_settings_release(&f->settings);
	mh_freep(state);
	return 0;
}

/* Milliseconds to wait; 0 when it was granted. */
static int64_t take(struct fixture *f, enum mh_rate kind,
		    enum mh_rate_scope scope, const char *who)
{
	struct mh_rate_key key = { scope, mh_str(who) };
	MH_ERROR(err);

	if (mh_rate_limits_take(f->limits, kind, &key, 1, &err) == 0)
		return 0;
	assert_int_equal(err.code, MH_M_LIMIT_EXCEEDED);
	assert_true(err.retry_after > 0);
	return err.retry_after;
}

static int64_t send(struct fixture *f, const char *who)
{
	return take(f, MH_RATE_MESSAGE, MH_RATE_BY_DEVICE, who);
}

static void test_a_burst_then_the_rate(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		assert_int_equal(send(f, "alice"), 0);
	assert_int_equal(send(f, "alice"), 100);
	now_ms += 99;
	assert_int_equal(send(f, "alice"), 1);
	now_ms += 1;
	assert_int_equal(send(f, "alice"), 0);
	assert_int_equal(send(f, "alice"), 100);
	now_ms += 3600000;
	for (int i = 0; i < 5; i++)
		assert_int_equal(send(f, "alice"), 0);
	assert_int_equal(send(f, "alice"), 100);
}

static void test_buckets_are_apart(void **state)
{
	struct fixture *f = *state;

	while (send(f, "alice") == 0)
		;
	assert_int_equal(send(f, "bob"), 0);
	assert_int_equal(take(f, MH_RATE_JOIN, MH_RATE_BY_DEVICE, "alice"), 0);
	assert_int_equal(take(f, MH_RATE_MESSAGE, MH_RATE_BY_ADDRESS, "alice"),
			 0);
}

static void test_a_user_may_do_three_times_as_much(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	while (take(f, MH_RATE_MESSAGE, MH_RATE_BY_USER, "alice") == 0)
		n++;
	assert_int_equal(n, 15);
}

static void test_all_or_none(void **state)
{
	struct fixture *f = *state;
	struct mh_rate_key keys[2] = {
		{ MH_RATE_BY_USER, MH_STR("alice") },
		{ MH_RATE_BY_DEVICE, MH_STR("phone") },
	};
	MH_ERROR(err);
	int n = 0;

	while (send(f, "phone") == 0)
		;
	for (int i = 0; i < 100; i++)
		assert_int_equal(mh_rate_limits_take(f->limits, MH_RATE_MESSAGE,
						     keys, 2, &err),
				 -1);
	while (take(f, MH_RATE_MESSAGE, MH_RATE_BY_USER, "alice") == 0)
		n++;
	assert_int_equal(n, 15);
}

static void test_off(void **state)
{
	struct fixture *f = *state;
	MH_ERROR(err);

	for (int i = 0; i < 10000; i++)
		assert_int_equal(
			take(f, MH_RATE_READ, MH_RATE_BY_DEVICE, "alice"), 0);
	while (send(f, "alice") == 0)
		;
	assert_int_equal(mh_settings_set(&f->settings, "limits", "rate_limits",
					 "off", &err),
			 0);
	mh_rate_limits_configure(f->limits, &f->settings);
	assert_int_equal(send(f, "alice"), 0);
	assert_int_equal(
		mh_rate_limits_take(NULL, MH_RATE_MESSAGE, NULL, 0, &err), 0);
}

/* The table is of fixed size; who owes most is remembered longest. */
static void test_a_crowd_does_not_free_a_debtor(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		send(f, "debtor");
	for (int i = 0; i < 100000; i++) {
		char who[16];

		snprintf(who, sizeof(who), "%d", i);
		assert_int_equal(send(f, who), 0);
	}
	assert_int_equal(send(f, "debtor"), 100);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a_burst_then_the_rate),
		TEST(test_buckets_are_apart),
		TEST(test_a_user_may_do_three_times_as_much),
		TEST(test_all_or_none),
		TEST(test_off),
		TEST(test_a_crowd_does_not_free_a_debtor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
