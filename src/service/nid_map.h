/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table from nids to pointers: open addressing, nothing is ever taken out.
 * Not thread-safe.
 */
#pragma once

#include "store/names.h"

struct mh_nid_slot {
	mh_nid nid; /* 0: free */
	void *value;
};

struct mh_nid_map {
	struct mh_nid_slot *slots;
	size_t n, cap; /* cap is 0 or a power of two */
};

/* The values remain the caller's. */
void mh_nid_map_release(struct mh_nid_map *map);
/* NULL when there is none. */
void *mh_nid_map_get(const struct mh_nid_map *map, mh_nid nid);
/* `nid` is positive and not there yet; `value` is not NULL. */
void mh_nid_map_put(struct mh_nid_map *map, mh_nid nid, void *value);
