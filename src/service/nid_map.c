/* SPDX-License-Identifier: Apache-2.0 */
#include "service/nid_map.h"

#include <stdlib.h>

/* nids are handed out one by one, so a multiplicative hash spreads them. */
static size_t slot_of(const struct mh_nid_map *map, mh_nid nid)
{
	uint64_t hash = (uint64_t)nid * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash >> 32) & (map->cap - 1);
}

void mh_nid_map_release(struct mh_nid_map *map)
{
	free(map->slots);
	*map = (struct mh_nid_map){ 0 };
}

void *mh_nid_map_get(const struct mh_nid_map *map, mh_nid nid)
{
	if (map->cap == 0)
		return NULL;
	for (size_t i = slot_of(map, nid);; i = (i + 1) & (map->cap - 1)) {
		if (map->slots[i].nid == nid)
			return map->slots[i].value;
		if (map->slots[i].nid == 0)
			return NULL;
	}
}

static void insert(struct mh_nid_map *map, mh_nid nid, void *value)
{
	size_t i = slot_of(map, nid);

	while (map->slots[i].nid)
		i = (i + 1) & (map->cap - 1);
	map->slots[i] = (struct mh_nid_slot){ nid, value };
	map->n++;
}

void mh_nid_map_put(struct mh_nid_map *map, mh_nid nid, void *value)
{
	MH_ASSERT(nid > 0 && value);
	if (2 * (map->n + 1) > map->cap) {
		struct mh_nid_map old = *map;

		map->n = 0;
		map->cap = old.cap ? 2 * old.cap : 64;
		map->slots = mh_alloc_array(map->cap, sizeof(*map->slots));
		for (size_t i = 0; i < old.cap; i++)
			if (old.slots[i].nid)
				insert(map, old.slots[i].nid,
				       old.slots[i].value);
		free(old.slots);
	}
	insert(map, nid, value);
}
