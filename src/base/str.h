/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct mh_str: a borrowed run of bytes. Strings from outside are always
 * (pointer, length), for JSON may hold NUL. Pass it by value.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <string.h>

struct mh_str {
	const char *data; /* not NUL-terminated; may be NULL when len is 0 */
	size_t len;
};

/* A literal: MH_STR("m.room.create"). */
#define MH_STR(lit) ((struct mh_str){ "" lit, sizeof(lit) - 1 })
#define MH_STR_NONE ((struct mh_str){ NULL, 0 })

/* printf("%.*s", MH_STR_ARG(s)) */
#define MH_STR_ARG(s) (int)(s).len, (s).data ? (s).data : ""

/* Borrows a C string; NULL gives MH_STR_NONE. */
static inline struct mh_str mh_str(const char *s)
{
	return (struct mh_str){ s, s ? strlen(s) : 0 };
}

static inline struct mh_str mh_str_n(const char *s, size_t len)
{
	return (struct mh_str){ s, len };
}

static inline bool mh_str_eq(struct mh_str a, struct mh_str b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.data, b.data, a.len));
}

/* mh_str_is(type, "m.room.member") */
static inline bool mh_str_is(struct mh_str a, const char *b)
{
	return mh_str_eq(a, mh_str(b));
}

/* Order by bytes, as canonical JSON and event ID tie-breaks want. */
int mh_str_cmp(struct mh_str a, struct mh_str b);

bool mh_str_starts(struct mh_str s, struct mh_str prefix);

/* The position of the first `c`, or -1. */
static inline ptrdiff_t mh_str_find(struct mh_str s, char c)
{
	const char *p = s.len ? memchr(s.data, c, s.len) : NULL;

	return p ? p - s.data : -1;
}

/* The rest of `s` from byte `from` on; empty when `from` is past the end. */
static inline struct mh_str mh_str_from(struct mh_str s, size_t from)
{
	if (from >= s.len)
		return MH_STR_NONE;
	return (struct mh_str){ s.data + from, s.len - from };
}

static inline struct mh_str mh_str_first(struct mh_str s, size_t len)
{
	return (struct mh_str){ s.data, len < s.len ? len : s.len };
}

/* A NUL-terminated copy; free() it. */
static inline char *mh_str_dup(struct mh_str s)
{
	return mh_memdup(s.data, s.len);
}

/*
 * Reads a whole decimal number of up to 18 digits with an optional '-'.
 * False when `s` is anything else.
 */
bool mh_str_to_int(struct mh_str s, int64_t *ret);

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlongs). */
bool mh_str_is_utf8(struct mh_str s);

/* The length of the well-formed UTF-8 sequence at `p`, of `left` >= 1 bytes; or
 * 0 when there is none. */
size_t mh_utf8_sequence(const unsigned char *p, size_t left);

/* Compares secrets: the time taken depends on the lengths alone. */
bool mh_str_eq_secret(struct mh_str a, struct mh_str b);

/* A hash for in-memory tables (FNV-1a); not for hostile keys in long chains. */
uint64_t mh_str_hash(struct mh_str s);

/* Matches a glob of '*' and '?' against the whole of `s`, bytes as they are. */
bool mh_str_glob(struct mh_str pattern, struct mh_str s);
