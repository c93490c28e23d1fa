/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution of room version 1 (rooms/v1.md, "State resolution"): one
 * conflicted key after the other, power levels first, by depth.
 *
 * Where the text leaves a choice this does what the servers that hold these
 * rooms do: the conflicts of members are resolved each against the state
 * before any of them was, so that their order does not matter; and if no
 * event of some other key passes, the one of least depth stays, so that the
 * key does not vanish.
 */
#include "core/state_res_graph.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { SHA1_SIZE = 20 };

enum pass { POWER_LEVELS, JOIN_RULES, MEMBERS, OTHERS, N_PASSES };

struct candidate {
	struct mh_res_node *node;
	int64_t depth;
	unsigned char sha1[SHA1_SIZE];
};

static enum pass pass_of(const struct mh_res_slot *slot)
{
	if (mh_str_is(slot->type, "m.room.power_levels") &&
	    slot->state_key.len == 0)
		return POWER_LEVELS;
	if (mh_str_is(slot->type, "m.room.join_rules"))
		return JOIN_RULES;
	if (mh_str_is(slot->type, "m.room.member"))
		return MEMBERS;
	return OTHERS;
}

/* Ascending depth, then descending SHA-1 of the event ID. */
static int candidate_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return memcmp(y->sha1, x->sha1, SHA1_SIZE);
}

static struct candidate *sorted_candidates(const struct mh_res_slot *slot,
					   size_t *ret_n)
{
	struct candidate *list =
		mh_alloc_array(slot->candidates.n, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < slot->candidates.n; i++) {
		struct mh_res_node *node = slot->candidates.at[i];
		struct candidate *candidate = &list[n];

		if (node->gone)
			continue;
		candidate->node = node;
		candidate->depth = node->event->depth;
		MH_ASSERT(EVP_Digest(node->id.data, node->id.len,
				     candidate->sha1, NULL, EVP_sha1(),
				     NULL) == 1);
		n++;
	}
	if (n)
		qsort(list, n, sizeof(*list), candidate_cmp);
	*ret_n = n;
	return list;
}

/* From the oldest on, as long as each allows the next to take its place. */
static struct mh_res_node *pick_chain(struct mh_state_res *res,
				      struct mh_res_slot *slot,
				      const struct candidate *list, size_t n)
{
	struct mh_res_node *picked;

	slot->value = n ? list[0].node : NULL;
	for (size_t i = 1; i < n; i++) {
		if (!mh_res_allowed(res, list[i].node, false))
			break;
		slot->value = list[i].node;
	}
	picked = slot->value;
	slot->value = NULL;
	return picked;
}

/* The youngest that the state allows. */
static struct mh_res_node *pick_latest(struct mh_state_res *res,
				       const struct candidate *list, size_t n)
{
	for (size_t i = n; i > 0; i--)
		if (mh_res_allowed(res, list[i - 1].node, false))
			return list[i - 1].node;
	return n ? list[0].node : NULL;
}

static struct mh_res_node *resolve_slot(struct mh_state_res *res,
					struct mh_res_slot *slot)
{
	MH_CLEANUP(mh_freep) struct candidate *list = NULL;
	size_t n;

	list = sorted_candidates(slot, &n);
	if (pass_of(slot) == OTHERS)
		return pick_latest(res, list, n);
	return pick_chain(res, slot, list, n);
}

/* Picks for all keys of a pass, and only then puts them into the state. */
static void run_pass(struct mh_state_res *res, enum pass pass)
{
	struct mh_res_slot *slot, *next;
	struct mh_res_nodes picked = { 0 };
	size_t i = 0;

	HASH_ITER(hh, res->slots, slot, next)
	{
		if (slot->conflicted && pass_of(slot) == pass)
			mh_res_nodes_add(&picked, resolve_slot(res, slot));
	}
	HASH_ITER(hh, res->slots, slot, next)
	{
		if (slot->conflicted && pass_of(slot) == pass)
			slot->value = picked.at[i++];
	}
	mh_res_nodes_release(&picked);
}

enum mh_state_res_step mh_res_run_v1(struct mh_state_res *res)
{
	struct mh_res_slot *slot, *next;

	HASH_ITER(hh, res->slots, slot, next)
	{
		slot->value = slot->unconflicted;
	}
	HASH_ITER(hh, res->slots, slot, next)
	{
		if (!slot->conflicted)
			continue;
		for (size_t i = 0; i < slot->candidates.n; i++)
			if (mh_res_need_event(res, slot->candidates.at[i]) &&
			    !slot->candidates.at[i]->gone)
				mh_res_need_state_of(res,
						     slot->candidates.at[i]);
	}
	if (mh_res_check(res, false) == MH_STATE_RES_NEED)
		return MH_STATE_RES_NEED;
	for (enum pass pass = POWER_LEVELS; pass < N_PASSES; pass++)
		run_pass(res, pass);
	return MH_STATE_RES_DONE;
}
