/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures. A function that can fail returns int: 0 or more on success, -1
 * after filling a struct mh_error. There are three kinds of "no":
 *
 *   bug      MH_ASSERT; never reachable by anyone's bytes
 *   failure  -1 and a struct mh_error, whose code is one of the spec's
 *   verdict  accept, soft-fail, reject, drop: an answer and not an error
 *
 *	if (!mh_str_is_utf8(name))
 *		return mh_fail(err, MH_M_INVALID_PARAM, "'name' is not UTF-8");
 *
 * The message is for people: it names the thing and what was expected. It
 * never holds a token, key, password or message body.
 */
#pragma once

#include "base/strbuf.h"

enum mh_errcode {
	MH_OK = 0,
#define MH_ERRCODE(name, status) MH_##name,
#include "base/errcodes.def"
#undef MH_ERRCODE
};

struct mh_error {
	enum mh_errcode code;
	int status;	      /* HTTP status; 0 means the code's usual one */
	int64_t retry_after;  /* milliseconds; 0 means none (M_LIMIT_EXCEEDED) */
	bool no_errcode;      /* the answer is `extra` alone (401 of UIA) */
	char message[256];    /* NUL-terminated UTF-8 */
	struct mh_strbuf extra; /* further JSON members: "\"soft_logout\":true" */
};

#define MH_ERROR_INIT { .extra = MH_STRBUF_INIT }
/* A struct mh_error on the stack, released at the end of the scope. */
#define MH_ERROR(name)                                                         \
	MH_CLEANUP(mh_error_release) struct mh_error name = MH_ERROR_INIT

void mh_error_init(struct mh_error *err);
void mh_error_release(struct mh_error *err);
/* Moves the failure (and ownership of `extra`) from `from` to `to`. */
void mh_error_move(struct mh_error *to, struct mh_error *from);

/* All return -1, so that `return mh_fail(...)` reads well. */
int mh_fail(struct mh_error *err, enum mh_errcode code, const char *format, ...)
	MH_PRINTF(3, 4);
/* The same with another HTTP status than the code's usual one. */
int mh_fail_status(struct mh_error *err, int status, enum mh_errcode code,
		   const char *format, ...) MH_PRINTF(4, 5);
/* A failure of the machine or of this program (disk, memory): M_UNKNOWN 500. */
int mh_fail_internal(struct mh_error *err, const char *format, ...)
	MH_PRINTF(2, 3);
int mh_fail_rate_limited(struct mh_error *err, int64_t retry_after_ms);

const char *mh_errcode_name(enum mh_errcode code); /* "M_FORBIDDEN" */
int mh_error_status(const struct mh_error *err);   /* HTTP status */
/* Appends the spec's error object: {"errcode":...,"error":...}. */
void mh_error_json(const struct mh_error *err, struct mh_strbuf *out);
