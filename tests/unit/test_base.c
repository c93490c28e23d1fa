/* SPDX-License-Identifier: Apache-2.0 */
/* The small things of base: strings, buffers, arenas, base64, errors, time. */
#include "base/arena.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void strings_compare_by_bytes(void **state)
{
	int64_t n;

	(void)state;
	assert_true(mh_str_eq(MH_STR("a\0b"), MH_STR("a\0b")));
	assert_false(mh_str_eq(MH_STR("a\0b"), MH_STR("a\0c")));
	assert_true(mh_str_eq(MH_STR_NONE, MH_STR("")));
	assert_true(mh_str_cmp(MH_STR("a"), MH_STR("ab")) < 0);
	assert_true(mh_str_cmp(MH_STR("\xc3"), MH_STR("z")) > 0);
	assert_int_equal(mh_str_cmp(MH_STR("x"), MH_STR("x")), 0);
	assert_true(mh_str_starts(MH_STR("m.room"), MH_STR("m.")));
	assert_false(mh_str_starts(MH_STR("m"), MH_STR("m.")));
	assert_true(mh_str_eq_secret(MH_STR("token"), MH_STR("token")));
	assert_false(mh_str_eq_secret(MH_STR("token"), MH_STR("tokem")));
	assert_false(mh_str_eq_secret(MH_STR("token"), MH_STR("toke")));

	assert_true(mh_str_to_int(MH_STR("-42"), &n));
	assert_int_equal(n, -42);
	assert_false(mh_str_to_int(MH_STR(""), &n));
	assert_false(mh_str_to_int(MH_STR("-"), &n));
	assert_false(mh_str_to_int(MH_STR("+1"), &n));
	assert_false(mh_str_to_int(MH_STR("1 "), &n));
	assert_false(mh_str_to_int(MH_STR("9999999999999999999"), &n));
}

static void utf8_is_well_formed(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xc3",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xe2\x82",
		"a\xff",
	};

	(void)state;
	assert_true(mh_str_is_utf8(MH_STR("aé日😀\0")));
	assert_true(mh_str_is_utf8(MH_STR("\xf4\x8f\xbf\xbf\xed\x9f\xbf")));
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++)
		assert_false(mh_str_is_utf8(mh_str(bad[i])));
}

static void globs_match_the_whole_text(void **state)
{
	(void)state;
	assert_true(mh_str_glob(MH_STR("*.example.org"),
				MH_STR("a.b.example.org")));
	assert_true(mh_str_glob(MH_STR("*"), MH_STR("")));
	assert_true(mh_str_glob(MH_STR("a?c"), MH_STR("abc")));
	assert_true(mh_str_glob(MH_STR("a*b*c"), MH_STR("axxbyybc")));
	assert_true(mh_str_glob(MH_STR("*ab"), MH_STR("aaab")));
	assert_false(mh_str_glob(MH_STR("a?c"), MH_STR("ac")));
	assert_false(mh_str_glob(MH_STR("abc"), MH_STR("abcd")));
	assert_false(mh_str_glob(MH_STR("[a]"), MH_STR("a")));
	assert_false(mh_str_glob(MH_STR(""), MH_STR("a")));
}

/* Nested quantifiers take exponential time in a naive matcher. */
static void globs_take_no_exponential_time(void **state)
{
	MH_STRBUF(pattern);
	MH_STRBUF(text);

	(void)state;
	for (int i = 0; i < 100; i++) {
		mh_strbuf_addlit(&pattern, "*a");
		mh_strbuf_addlit(&text, "aaaa");
	}
	mh_strbuf_addch(&pattern, 'b');
	assert_false(
		mh_str_glob(mh_strbuf_str(&pattern), mh_strbuf_str(&text)));
}

static void buffers_grow_and_keep_a_nul(void **state)
{
	MH_STRBUF(buf);
	MH_CLEANUP(mh_freep) char *text = NULL;
	size_t len;

	(void)state;
	assert_string_equal(buf.data, "");
	for (int i = 0; i < 1000; i++)
		mh_strbuf_addf(&buf, "%d,", i);
	assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_int_equal(buf.data[buf.len], '\0');
	mh_strbuf_truncate(&buf, 2);
	mh_strbuf_addint(&buf, INT64_MIN);
	mh_strbuf_addlit(&buf, "\0x");
	assert_int_equal(buf.len, 2 + 20 + 2);
	text = mh_strbuf_detach(&buf, &len);
	assert_int_equal(len, 24);
	assert_string_equal(text, "0,-9223372036854775808");
	assert_int_equal(buf.len, 0);
}

static int order[2], n_order;

static void note(void *object)
{
	order[n_order++] = *(int *)object;
}

static void arenas_free_together_latest_first(void **state)
{
	struct mh_arena arena;
	struct mh_str small, large;
	int *one, *two;
	char *wide;

	(void)state;
	mh_arena_init(&arena);
	one = MH_ARENA_NEW(&arena, int);
	two = MH_ARENA_NEW(&arena, int);
	*one = 1;
	*two = 2;
	mh_arena_defer(&arena, note, one);
	mh_arena_defer(&arena, note, two);
	small = mh_arena_str(&arena, MH_STR("a\0b"));
	large = mh_arena_printf(&arena, "%0*d", 9000, 7);
	wide = mh_arena_alloc(&arena, 100000);
	for (size_t i = 0; i < 100000; i++)
		assert_int_equal(wide[i], 0);
	assert_true(mh_str_eq(small, MH_STR("a\0b")));
	assert_int_equal(large.len, 9000);
	assert_int_equal((uintptr_t)wide % _Alignof(max_align_t), 0);
	n_order = 0;
	mh_arena_release(&arena);
	assert_int_equal(n_order, 2);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
}

static void base64_is_unpadded(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" },
		{ "f", "Zg" },
		{ "fo", "Zm8" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" },
	};
	unsigned char bytes[8];
	size_t len;

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(vectors); i++) {
		struct mh_str plain = mh_str(vectors[i][0]);
		MH_STRBUF(out);

		mh_base64_encode(MH_BASE64_STD, plain.data, plain.len, &out);
		assert_string_equal(out.data, vectors[i][1]);
		/* With padding or without. */
		for (int padded = 0; padded < 2; padded++) {
			while (padded && out.len % 4)
				mh_strbuf_addch(&out, '=');
			assert_true(mh_base64_decode(MH_BASE64_STD,
						     mh_strbuf_str(&out), bytes,
						     sizeof(bytes), &len));
			assert_true(
				mh_str_eq(mh_str_n((char *)bytes, len), plain));
		}
	}
}

static void base64_has_two_alphabets(void **state)
{
	static const unsigned char high[] = { 0xfb, 0xff, 0xfe };
	unsigned char bytes[3];
	size_t len;
	MH_STRBUF(out);

	(void)state;
	mh_base64_encode(MH_BASE64_STD, high, sizeof(high), &out);
	mh_base64_encode(MH_BASE64_URL, high, sizeof(high), &out);
	assert_string_equal(out.data, "+//+-__-");
	assert_true(mh_base64_decode(MH_BASE64_URL, MH_STR("-__-"), bytes,
				     sizeof(bytes), &len));
	assert_memory_equal(bytes, high, sizeof(high));
	assert_false(mh_base64_decode(MH_BASE64_URL, MH_STR("+//+"), bytes,
				      sizeof(bytes), &len));
	assert_false(mh_base64_decode(MH_BASE64_STD, MH_STR("-__-"), bytes,
				      sizeof(bytes), &len));
}

static void malformed_base64_and_hex_are_refused(void **state)
{
	static const char *const bad[] = { "A",	   "AAAAA", "A=A=",
					   "Zg=",  "Zg===", "Z g=",
					   "Zg\n", "====",  "=" };
	unsigned char bytes[4];
	size_t len;
	MH_STRBUF(out);

	(void)state;
	for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++)
		assert_false(mh_base64_decode(MH_BASE64_STD, mh_str(bad[i]),
					      bytes, sizeof(bytes), &len));
	/* What does not fit is refused, not cut. */
	assert_false(mh_base64_decode(MH_BASE64_STD, MH_STR("Zm9vYmE"), bytes,
				      4, &len));
	assert_true(mh_hex_decode(MH_STR("00fFa9"), bytes, 3));
	mh_hex_encode(bytes, 3, &out);
	assert_string_equal(out.data, "00ffa9");
	assert_false(mh_hex_decode(MH_STR("00ff"), bytes, 3));
	assert_false(mh_hex_decode(MH_STR("00ffa"), bytes, 2));
	assert_false(mh_hex_decode(MH_STR("0g"), bytes, 1));
}

static void errors_carry_code_status_and_message(void **state)
{
	MH_ERROR(err);
	MH_ERROR(moved);
	MH_STRBUF(json);

	(void)state;
	assert_int_equal(mh_fail(&err, MH_M_FORBIDDEN, "no '%s'", "\"\n"), -1);
	assert_int_equal(mh_error_status(&err), 403);
	mh_strbuf_addlit(&err.extra, "\"soft_logout\":true");
	mh_error_move(&moved, &err);
	assert_int_equal(err.code, MH_OK);
	mh_error_json(&moved, &json);
	assert_string_equal(json.data,
			    "{\"errcode\":\"M_FORBIDDEN\",\"error\":"
			    "\"no '\\\"\\u000a'\",\"soft_logout\":true}");
	mh_fail_status(&err, 404, MH_M_UNRECOGNIZED, "x");
	assert_int_equal(mh_error_status(&err), 404);
	mh_fail_rate_limited(&err, 1500);
	mh_strbuf_clear(&json);
	mh_error_json(&err, &json);
	assert_non_null(strstr(json.data, "\"retry_after_ms\":1500"));
	assert_int_equal(mh_error_status(&err), 429);
}

static void long_messages_are_cut_between_characters(void **state)
{
	MH_STRBUF(name);
	MH_ERROR(err);

	(void)state;
	while (name.len < 400)
		mh_strbuf_addlit(&name, "日");
	mh_fail(&err, MH_M_NOT_FOUND, "x%s", name.data);
	assert_true(strlen(err.message) > 250);
	assert_true(mh_str_is_utf8(mh_str(err.message)));
}

static void a_seed_replays_its_stream(void **state)
{
	/* xoshiro256** from SplitMix64 of 0: its first word. */
	static const unsigned char expected[] = {
		0xb4, 0xf2, 0x75, 0xcb, 0x36, 0x5f, 0xec, 0x99,
	};
	struct mh_random *a = mh_random_seeded_new(0);
	struct mh_random *b = mh_random_seeded_new(0);
	struct mh_random *c = mh_random_seeded_new(1);
	unsigned char x[64], y[64], z[64];

	(void)state;
	mh_random_bytes(a, x, sizeof(x));
	mh_random_bytes(b, y, sizeof(y));
	mh_random_bytes(c, z, sizeof(z));
	assert_memory_equal(x, expected, sizeof(expected));
	assert_memory_equal(x, y, sizeof(x));
	assert_memory_not_equal(x, z, sizeof(x));
	mh_random_seeded_free(a);
	mh_random_seeded_free(b);
	mh_random_seeded_free(c);
	mh_random_seeded_free(NULL);
}

static void random_numbers_stay_below_their_bound(void **state)
{
	struct mh_random *random = mh_random_seeded_new(7);
	unsigned seen = 0;
	char letters[101];

	(void)state;
	for (int i = 0; i < 1000; i++)
		seen |= 1u << mh_random_below(random, 6);
	assert_int_equal(seen, 0x3f); /* all of 0 to 5, nothing else */
	assert_int_equal(mh_random_below(random, 1), 0);
	mh_random_letters(random, letters, 100);
	assert_int_equal(strlen(letters), 100);
	assert_int_equal(strspn(letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "abcdefghijklmnopqrstuvwxyz"),
			 100);
	mh_random_seeded_free(random);
}

static void the_system_gives_different_bytes_each_time(void **state)
{
	unsigned char a[32], b[32];

	(void)state;
	mh_random_bytes(mh_random_system(), a, sizeof(a));
	mh_random_bytes(mh_random_system(), b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void clocks_tell_the_time(void **state)
{
	struct mh_clock *clock = mh_clock_real();
	int64_t first = mh_clock_mono(clock);

	(void)state;
	assert_true(mh_clock_mono(clock) >= first);
	assert_true(mh_clock_wall(clock) > INT64_C(1600000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_compare_by_bytes),
		cmocka_unit_test(utf8_is_well_formed),
		cmocka_unit_test(globs_match_the_whole_text),
		cmocka_unit_test(globs_take_no_exponential_time),
		cmocka_unit_test(buffers_grow_and_keep_a_nul),
		cmocka_unit_test(arenas_free_together_latest_first),
		cmocka_unit_test(base64_is_unpadded),
		cmocka_unit_test(base64_has_two_alphabets),
		cmocka_unit_test(malformed_base64_and_hex_are_refused),
		cmocka_unit_test(errors_carry_code_status_and_message),
		cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(a_seed_replays_its_stream),
		cmocka_unit_test(random_numbers_stay_below_their_bound),
		cmocka_unit_test(the_system_gives_different_bytes_each_time),
		cmocka_unit_test(clocks_tell_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
