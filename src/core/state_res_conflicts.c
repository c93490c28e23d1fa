/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The full conflicted set of state resolution 2 and 2.1 (rooms/v12.md,
 * "Definitions"): conflicted state set, auth difference and, in 2.1, the
 * conflicted state subgraph. This needs auth edges only, no events.
 *
 * The auth difference without whole chains. A state has a handful of
 * conflicted events and maybe ten thousand unconflicted ones, whose auth
 * chains all sets share. So:
 *
 *  1. Walk from the conflicted events. An unconflicted event ends the walk
 *     (in version 2; 2.1 needs what lies behind it for the subgraph): it and
 *     all behind it are in every set's chain.
 *  2. Count for each event found how many sets reach it. All of them, and it
 *     is no difference.
 *  3. What is left may still be in the chain of an unconflicted event. Only
 *     now, and only until everything left was met, walk from those: first from
 *     power levels and join rules, which is where such events mostly hang.
 *
 * No shortcut by depth: it comes from the sender, who may lie, and then servers
 * that walk differently would disagree about the room.
 *
 * An event counts as part of its own auth chain here, as in the servers we
 * federate with: else an unconflicted event that only one side refers to
 * would be a difference. The text defines a chain without its beginning, and
 * for conflicted events it makes no difference.
 */
#include "core/state_res_graph.h"

enum step { CLOSURE = 1, COUNT, COMMON_POWER, COMMON_ALL, COLLECT };

static void push(struct mh_state_res *res, struct mh_res_node *node,
		 enum mh_res_walk walk)
{
	if (node->walked & walk)
		return;
	node->walked |= walk;
	mh_res_nodes_add(&res->pending, node);
}

/* Does this walk go on behind the node? */
static bool is_passed(const struct mh_state_res *res,
		      const struct mh_res_node *node, enum mh_res_walk walk)
{
	if (walk == MH_RES_WALK_COMMON)
		/* What is behind it is no difference either. */
		return node->n_reached < res->n_sets;
	return !node->unconflicted ||
	       res->rules->state_res == MH_STATE_RES_V2_1;
}

static void visit(struct mh_state_res *res, struct mh_res_node *node,
		  enum mh_res_walk walk)
{
	if (walk == MH_RES_WALK_COMMON && node->differs) {
		node->differs = false;
		res->n_differs--;
	}
}

/* Everything was met: what else was asked for is not needed. */
static enum mh_state_res_step abandon(struct mh_state_res *res,
				      struct mh_res_nodes *waiting)
{
	mh_res_nodes_release(waiting);
	mh_res_nodes_release(&res->pending);
	mh_res_forget_missing(res);
	return MH_STATE_RES_DONE;
}

/* Goes as far as edges are known, and asks for those at which it stops. */
static enum mh_state_res_step walk_on(struct mh_state_res *res,
				      enum mh_res_walk walk)
{
	struct mh_res_nodes waiting = { 0 };

	while (res->pending.n) {
		struct mh_res_node *node = res->pending.at[--res->pending.n];

		visit(res, node, walk);
		if (walk == MH_RES_WALK_COMMON && res->n_differs == 0)
			return abandon(res, &waiting);
		if (!is_passed(res, node, walk))
			continue;
		if (!mh_res_need_edges(res, node)) {
			mh_res_nodes_add(&waiting, node);
			continue;
		}
		for (size_t i = 0; i < node->n_auth; i++)
			push(res, node->auth[i], walk);
	}
	mh_res_nodes_release(&res->pending);
	res->pending = waiting;
	return mh_res_check(res, true);
}

static void start_closure(struct mh_state_res *res)
{
	for (size_t i = 0; i < res->n_sets; i++)
		for (size_t j = 0; j < res->sets[i].n; j++)
			push(res, res->sets[i].nodes[j], MH_RES_WALK_CLOSURE);
}

/* How many sets reach each event of the closure, before unconflicted ones. */
static void count_set(const struct mh_res_set *set, size_t number)
{
	struct mh_res_nodes stack = { 0 };

	for (size_t i = 0; i < set->n; i++)
		mh_res_nodes_add(&stack, set->nodes[i]);
	while (stack.n) {
		struct mh_res_node *node = stack.at[--stack.n];

		if (node->counted == number || node->unconflicted)
			continue;
		node->counted = number;
		node->n_reached++;
		for (size_t i = 0; i < node->n_auth; i++)
			mh_res_nodes_add(&stack, node->auth[i]);
	}
	mh_res_nodes_release(&stack);
}

static void count_reached(struct mh_state_res *res)
{
	struct mh_res_node *node, *next;

	for (size_t i = 0; i < res->n_sets; i++)
		count_set(&res->sets[i], i + 1);
	HASH_ITER(hh, res->nodes, node, next)
	{
		/* Conflicted events are in the full set anyhow. */
		if (node->n_reached == 0 || node->n_reached == res->n_sets ||
		    node->conflicted || node->gone)
			continue;
		node->differs = true;
		res->n_differs++;
	}
}

static bool grants_power(const struct mh_res_slot *slot)
{
	return mh_str_is(slot->type, "m.room.power_levels") ||
	       mh_str_is(slot->type, "m.room.join_rules");
}

static void start_common(struct mh_state_res *res, bool power_only)
{
	struct mh_res_slot *slot, *next;

	if (res->n_differs == 0)
		return;
	HASH_ITER(hh, res->slots, slot, next)
	{
		if (slot->unconflicted && (!power_only || grants_power(slot)))
			push(res, slot->unconflicted, MH_RES_WALK_COMMON);
	}
}

/*
 * Version 2.1: every event on a path from one conflicted event to another.
 * The closure is all that is behind conflicted events; what of it leads to one
 * is found from the other end.
 */
static void find_subgraph(struct mh_state_res *res)
{
	struct mh_res_nodes stack = { 0 };
	struct mh_res_node *node, *next;

	HASH_ITER(hh, res->nodes, node, next)
	{
		if (node->conflicted)
			mh_res_nodes_add(&stack, node);
	}
	while (stack.n) {
		node = stack.at[--stack.n];
		for (struct mh_res_edge *edge = node->cited_by; edge;
		     edge = edge->next) {
			if (edge->from->on_path ||
			    !(edge->from->walked & MH_RES_WALK_CLOSURE))
				continue;
			edge->from->on_path = true;
			mh_res_nodes_add(&stack, edge->from);
		}
	}
	mh_res_nodes_release(&stack);
}

static void collect(struct mh_state_res *res)
{
	struct mh_res_node *node, *next;

	if (res->rules->state_res == MH_STATE_RES_V2_1)
		find_subgraph(res);
	HASH_ITER(hh, res->nodes, node, next)
	{
		if (node->gone ||
		    !(node->conflicted || node->differs || node->on_path))
			continue;
		node->in_full = true;
		mh_res_nodes_add(&res->full, node);
	}
}

enum mh_state_res_step mh_res_find_conflicts(struct mh_state_res *res)
{
	switch ((enum step)res->step) {
	case CLOSURE:
		start_closure(res);
		if (walk_on(res, MH_RES_WALK_CLOSURE) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		res->step = COUNT;
		/* fall through */
	case COUNT:
		count_reached(res);
		start_common(res, true);
		res->step = COMMON_POWER;
		/* fall through */
	case COMMON_POWER:
		if (walk_on(res, MH_RES_WALK_COMMON) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		start_common(res, false);
		res->step = COMMON_ALL;
		/* fall through */
	case COMMON_ALL:
		if (walk_on(res, MH_RES_WALK_COMMON) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		collect(res);
		res->step = COLLECT;
		/* fall through */
	case COLLECT:
		break;
	}
	return MH_STATE_RES_DONE;
}
