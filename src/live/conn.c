/* SPDX-License-Identifier: Apache-2.0 */
#include "live/conn.h"

#include <stdlib.h>

struct mh_live_buf {
	int refs; /* atomic */
	size_t len;
	char bytes[]; /* headroom, then the data */
};

struct mh_live_buf *mh_live_buf_new(size_t len)
{
	struct mh_live_buf *buf =
		mh_alloc(sizeof(*buf) + MH_LIVE_HEADROOM + len);

	buf->refs = 1;
	buf->len = len;
	return buf;
}

struct mh_live_buf *mh_live_buf_ref(struct mh_live_buf *buf)
{
	__atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
	return buf;
}

void mh_live_buf_unref(struct mh_live_buf *buf)
{
	if (buf && __atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(buf);
}

char *mh_live_buf_data(struct mh_live_buf *buf)
{
	return buf->bytes + MH_LIVE_HEADROOM;
}

size_t mh_live_buf_len(const struct mh_live_buf *buf)
{
	return buf->len;
}

struct mh_live_conn *mh_live_conn_ref(struct mh_live_conn *conn)
{
	__atomic_add_fetch(&conn->refs, 1, __ATOMIC_RELAXED);
	return conn;
}

void mh_live_conn_unref(struct mh_live_conn *conn)
{
	if (conn && __atomic_sub_fetch(&conn->refs, 1, __ATOMIC_ACQ_REL) == 0)
		conn->ops->destroy(conn);
}
