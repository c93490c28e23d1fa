/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing buffer of bytes. `data` is always NUL-terminated past `len`, and
 * may be read directly; writing goes through these functions.
 *
 *   MH_STRBUF(buf);
 *   mh_strbuf_addf(&buf, "%s:%d", host, port);
 *   use(buf.data, buf.len);		released at the end of the scope
 */
#pragma once

#include "base/str.h"

struct mh_strbuf {
	char *data; /* never NULL: points to a static "" while empty */
	size_t len;
	size_t cap;
};

extern char mh_strbuf_empty[1];

#define MH_STRBUF_INIT { mh_strbuf_empty, 0, 0 }
#define MH_STRBUF(name)                                                        \
	MH_CLEANUP(mh_strbuf_release) struct mh_strbuf name = MH_STRBUF_INIT

void mh_strbuf_init(struct mh_strbuf *buf);
void mh_strbuf_release(struct mh_strbuf *buf);
/* Forgets the contents, keeps the storage. */
void mh_strbuf_clear(struct mh_strbuf *buf);
/* Cuts the contents to `len` bytes, which must not be more than there are. */
void mh_strbuf_truncate(struct mh_strbuf *buf, size_t len);
/* Room for `extra` more bytes; returns where they begin. */
char *mh_strbuf_reserve(struct mh_strbuf *buf, size_t extra);

void mh_strbuf_add(struct mh_strbuf *buf, const void *data, size_t len);
void mh_strbuf_addch(struct mh_strbuf *buf, char c);
void mh_strbuf_addint(struct mh_strbuf *buf, int64_t value);
void mh_strbuf_addf(struct mh_strbuf *buf, const char *format, ...)
	MH_PRINTF(2, 3);

static inline void mh_strbuf_addstr(struct mh_strbuf *buf, struct mh_str s)
{
	mh_strbuf_add(buf, s.data, s.len);
}

/* mh_strbuf_addlit(&buf, "\"event_id\":") */
#define mh_strbuf_addlit(buf, lit) mh_strbuf_add(buf, "" lit, sizeof(lit) - 1)

static inline struct mh_str mh_strbuf_str(const struct mh_strbuf *buf)
{
	return (struct mh_str){ buf->data, buf->len };
}

/* Gives the bytes away (NUL-terminated, free() them) and empties the buffer. */
char *mh_strbuf_detach(struct mh_strbuf *buf, size_t *ret_len);
