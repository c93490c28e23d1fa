/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strbuf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char mh_strbuf_empty[1];

void mh_strbuf_init(struct mh_strbuf *buf)
{
	*buf = (struct mh_strbuf)MH_STRBUF_INIT;
}

void mh_strbuf_release(struct mh_strbuf *buf)
{
	if (buf->cap)
		free(buf->data);
	mh_strbuf_init(buf);
}

void mh_strbuf_clear(struct mh_strbuf *buf)
{
	mh_strbuf_truncate(buf, 0);
}

void mh_strbuf_truncate(struct mh_strbuf *buf, size_t len)
{
	MH_ASSERT(len <= buf->len);
	buf->len = len;
	if (buf->cap)
		buf->data[len] = '\0';
}

char *mh_strbuf_reserve(struct mh_strbuf *buf, size_t extra)
{
	size_t need = buf->len + extra + 1;

	MH_ASSERT(need > extra);
	if (need > buf->cap) {
		size_t cap = buf->cap ? buf->cap : 64;

		while (cap < need)
			cap += cap / 2 + 64;
		buf->data = mh_realloc(buf->cap ? buf->data : NULL, cap);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

void mh_strbuf_add(struct mh_strbuf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(mh_strbuf_reserve(buf, len), data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void mh_strbuf_addch(struct mh_strbuf *buf, char c)
{
	mh_strbuf_add(buf, &c, 1);
}

void mh_strbuf_addint(struct mh_strbuf *buf, int64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, value);

	mh_strbuf_add(buf, digits, (size_t)n);
}

void mh_strbuf_addf(struct mh_strbuf *buf, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	MH_ASSERT(n >= 0);
	vsnprintf(mh_strbuf_reserve(buf, (size_t)n), (size_t)n + 1, format,
		  again);
	va_end(again);
	buf->len += (size_t)n;
}

char *mh_strbuf_detach(struct mh_strbuf *buf, size_t *ret_len)
{
	char *data = buf->cap ? buf->data : mh_strdup("");

	if (ret_len)
		*ret_len = buf->len;
	mh_strbuf_init(buf);
	return data;
}
