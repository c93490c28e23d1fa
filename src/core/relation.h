/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event says of its relation to another: `m.relates_to` in its content
 * (client-server API, "Forming relationships between events"). Encrypted events
 * hold it in the clear. Pure; any thread.
 */
#pragma once

#include "core/canonical_json.h"

struct mh_relation {
	struct mh_strbuf event_id; /* the parent's */
	struct mh_strbuf rel_type;
	struct mh_strbuf key; /* an annotation's */
	bool has_key;
};
#define MH_RELATION_INIT                                                       \
	{                                                                      \
		MH_STRBUF_INIT, MH_STRBUF_INIT, MH_STRBUF_INIT, false          \
	}

/*
 * Reads the relation of a canonical content. False when it has none, or one
 * without a parent and type of the right form.
 */
bool mh_relation_read(struct mh_str content, struct mh_relation *ret);
void mh_relation_release(struct mh_relation *relation);
