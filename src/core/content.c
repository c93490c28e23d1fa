/* SPDX-License-Identifier: Apache-2.0 */
#include "core/content.h"

struct mh_str mh_content_get(struct mh_str object, const char *key)
{
	if (!mh_content_is_object(object))
		return MH_STR_NONE;
	return mh_json_slice(object, key);
}

bool mh_content_str(struct mh_str raw, struct mh_strbuf *scratch,
		    struct mh_str *ret)
{
	if (raw.len < 2 || raw.data[0] != '"')
		return false;
	*ret = mh_str_n(raw.data + 1, raw.len - 2);
	if (mh_str_find(*ret, '\\') < 0)
		return true;

	mh_strbuf_clear(scratch);
	if (!mh_json_unescape(raw, scratch))
		return false;
	*ret = mh_strbuf_str(scratch);
	return true;
}

struct mh_str mh_content_key(const struct mh_json_iter *it,
			     struct mh_strbuf *scratch)
{
	/* The member begins with the key and its quotes. */
	struct mh_str raw = mh_str_n(it->member.data, it->key.len + 2);
	struct mh_str key = it->key;

	return mh_content_str(raw, scratch, &key) ? key : it->key;
}

bool mh_content_str_is(struct mh_str raw, struct mh_str text)
{
	MH_STRBUF(scratch);
	struct mh_str value;

	return mh_content_str(raw, &scratch, &value) && mh_str_eq(value, text);
}
