/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relation.h"

#include "core/ids.h"

#define REL_TYPE_MAX 255

static bool member(struct mh_str object, const char *key, struct mh_strbuf *out)
{
	struct mh_str raw = mh_json_slice(object, key);

	return raw.data && mh_json_unescape(raw, out);
}

bool mh_relation_read(struct mh_str content, struct mh_relation *ret)
{
	struct mh_str relates = mh_json_slice(content, "m.relates_to");

	if (!relates.data || relates.data[0] != '{' ||
	    !member(relates, "event_id", &ret->event_id) ||
	    !member(relates, "rel_type", &ret->rel_type) ||
	    !mh_event_id_valid(mh_strbuf_str(&ret->event_id)) ||
	    !ret->rel_type.len || ret->rel_type.len > REL_TYPE_MAX)
		return false;
	ret->has_key = member(relates, "key", &ret->key);
	return true;
}

void mh_relation_release(struct mh_relation *relation)
{
	mh_strbuf_release(&relation->event_id);
	mh_strbuf_release(&relation->rel_type);
	mh_strbuf_release(&relation->key);
}
