/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name;
	int status;
} codes[] = {
	[MH_OK] = { "M_UNKNOWN", 500 },
#define MH_ERRCODE(name, status) [MH_##name] = { #name, status },
#include "base/errcodes.def"
#undef MH_ERRCODE
};

void mh_error_init(struct mh_error *err)
{
	*err = (struct mh_error)MH_ERROR_INIT;
}

void mh_error_release(struct mh_error *err)
{
	mh_strbuf_release(&err->extra);
	mh_error_init(err);
}

void mh_error_move(struct mh_error *to, struct mh_error *from)
{
	mh_error_release(to);
	*to = *from;
	mh_error_init(from);
}

static void fill(struct mh_error *err, int status, enum mh_errcode code,
		 const char *format, va_list args)
{
	size_t len;

	mh_error_release(err);
	err->code = code;
	err->status = status;
	vsnprintf(err->message, sizeof(err->message), format, args);

	/* Names from outside may have been cut inside a character. */
	len = strlen(err->message);
	while (len && !mh_str_is_utf8(mh_str_n(err->message, len)))
		len--;
	err->message[len] = '\0';
}

int mh_fail(struct mh_error *err, enum mh_errcode code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(err, 0, code, format, args);
	va_end(args);
	return -1;
}

int mh_fail_status(struct mh_error *err, int status, enum mh_errcode code,
		   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(err, status, code, format, args);
	va_end(args);
	return -1;
}

int mh_fail_internal(struct mh_error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(err, 500, MH_M_UNKNOWN, format, args);
	va_end(args);
	return -1;
}

int mh_fail_rate_limited(struct mh_error *err, int64_t retry_after_ms)
{
	mh_fail(err, MH_M_LIMIT_EXCEEDED, "too many requests");
	err->retry_after = retry_after_ms > 0 ? retry_after_ms : 1;
	return -1;
}

const char *mh_errcode_name(enum mh_errcode code)
{
	MH_ASSERT((size_t)code < MH_ARRAY_LEN(codes));
	return codes[code].name;
}

int mh_error_status(const struct mh_error *err)
{
	return err->status ? err->status : codes[err->code].status;
}

/* Messages hold ASCII and UTF-8; only what JSON forbids is escaped. */
static void add_escaped(struct mh_strbuf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			mh_strbuf_addf(out, "\\%c", c);
		else if (c < 0x20)
			mh_strbuf_addf(out, "\\u%04x", c);
		else
			mh_strbuf_addch(out, (char)c);
	}
}

void mh_error_json(const struct mh_error *err, struct mh_strbuf *out)
{
	mh_strbuf_addch(out, '{');
	if (!err->no_errcode) {
		mh_strbuf_addf(out, "\"errcode\":\"%s\",\"error\":\"",
			       mh_errcode_name(err->code));
		add_escaped(out, err->message);
		mh_strbuf_addch(out, '"');
		if (err->retry_after)
			mh_strbuf_addf(out, ",\"retry_after_ms\":%lld",
				       (long long)err->retry_after);
		if (err->extra.len)
			mh_strbuf_addch(out, ',');
	}
	mh_strbuf_addstr(out, mh_strbuf_str(&err->extra));
	mh_strbuf_addch(out, '}');
}
