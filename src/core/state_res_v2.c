/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution 2 and 2.1 (rooms/v2.md and v12.md, "Algorithm"), from the
 * full conflicted set on:
 *
 *	LOAD		its events, their auth events, the state they need
 *	run_power()	1, 2: power events, in reverse topological power order
 *	MAINLINE	3: the power levels behind the resolved ones
 *	REST		3, 4: all other events, in mainline order
 *
 * and 5, what was agreed stands, in make_result(). 2.1 differs in starting from
 * an empty state, and in the full conflicted set.
 *
 * Two places follow the servers we federate with where the text is wider, for
 * a room is only one room if all agree. A power event is one with an empty
 * state_key (other keys give no power). And the auth chain of a power
 * event is followed inside the full conflicted set only.
 */
#include "core/state_res_graph.h"

#include <stdlib.h>

/* After the steps of mh_res_find_conflicts(). */
enum step { LOAD = 100, MAINLINE, REST };

#define NO_RANK SIZE_MAX

/* --- loading ------------------------------------------------------------ */

/* Version 12: the create event's ID is the room ID with another sigil. */
static void find_create(struct mh_state_res *res, const struct mh_event *event)
{
	MH_STRBUF(id);

	if (res->create || !res->rules->room_id_is_create)
		return;
	mh_strbuf_addch(&id, '$');
	mh_strbuf_addstr(&id, mh_str_from(event->room_id, 1));
	res->create = mh_res_node(res, mh_strbuf_str(&id));
}

static void start_state(struct mh_state_res *res)
{
	struct mh_res_slot *slot, *next;

	if (res->rules->state_res == MH_STATE_RES_V2_1)
		return;
	HASH_ITER(hh, res->slots, slot, next)
	{
		slot->value = slot->unconflicted;
	}
}

/* Of what was loaded, drops what the caller does not have. */
static void drop_gone(struct mh_res_nodes *nodes)
{
	size_t kept = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->at[i]->gone)
			nodes->at[i]->in_full = false;
		else
			nodes->at[kept++] = nodes->at[i];
	}
	nodes->n = kept;
}

static enum mh_state_res_step load(struct mh_state_res *res)
{
	start_state(res);
	for (size_t i = 0; i < res->full.n; i++) {
		struct mh_res_node *node = res->full.at[i];

		if (!mh_res_need_event(res, node) || node->gone)
			continue;
		for (size_t j = 0; j < node->n_auth; j++)
			mh_res_need_event(res, node->auth[j]);
		mh_res_need_state_of(res, node);
		find_create(res, node->event);
	}
	if (res->create)
		mh_res_need_event(res, res->create);
	if (mh_res_check(res, false) == MH_STATE_RES_NEED)
		return MH_STATE_RES_NEED;
	drop_gone(&res->full);
	return MH_STATE_RES_DONE;
}

/* --- iterative auth checks ---------------------------------------------- */

static void apply(struct mh_state_res *res, const struct mh_res_nodes *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct mh_res_node *node = list->at[i];

		if (mh_res_allowed(res, node, true))
			mh_res_slot(res, node->event->type,
				    node->event->state_key)
				->value = node;
	}
}

/* --- reverse topological power ordering --------------------------------- */

static bool is_power_event(const struct mh_event *event)
{
	if (mh_event_is(event, "m.room.power_levels", "") ||
	    mh_event_is(event, "m.room.join_rules", ""))
		return true;
	return mh_event_is(event, "m.room.member", NULL) &&
	       (mh_str_is(event->membership, "leave") ||
		mh_str_is(event->membership, "ban")) &&
	       !mh_str_eq(event->sender, event->state_key);
}

/* 1: the power events and what of their auth chains is conflicted, too. */
static void select_power(struct mh_state_res *res)
{
	struct mh_res_nodes stack = { 0 };

	for (size_t i = 0; i < res->full.n; i++)
		if (is_power_event(res->full.at[i]->event))
			mh_res_nodes_add(&stack, res->full.at[i]);
	while (stack.n) {
		struct mh_res_node *node = stack.at[--stack.n];

		if (node->in_power || !node->in_full)
			continue;
		node->in_power = true;
		mh_res_nodes_add(&res->power, node);
		for (size_t i = 0; i < node->n_auth; i++)
			mh_res_nodes_add(&stack, node->auth[i]);
	}
	mh_res_nodes_release(&stack);
}

static const struct mh_event *create_of(const struct mh_state_res *res,
					const struct mh_res_node *node)
{
	const struct mh_res_node *create = res->create;

	if (!res->rules->room_id_is_create)
		create = mh_res_auth_event(node, "m.room.create", MH_STR(""));
	return create ? create->event : NULL;
}

/* The sender's level, by the event's own auth events. */
static int64_t power_of_sender(const struct mh_state_res *res,
			       const struct mh_res_node *node)
{
	const struct mh_event *create = create_of(res, node);
	struct mh_res_node *event =
		mh_res_auth_event(node, "m.room.power_levels", MH_STR(""));
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *none = NULL;
	const struct mh_power_levels *levels;
	MH_ERROR(err);

	if (!create)
		return 0;
	if (event)
		levels = mh_res_levels(event, create);
	else if (mh_power_levels_new(create, NULL, &none, &err) == 0)
		levels = none;
	else
		levels = NULL;
	return levels ? mh_power_of_user(levels, node->event->sender) : 0;
}

static int power_cmp(const void *a, const void *b)
{
	const struct mh_res_node *x = *(struct mh_res_node *const *)a;
	const struct mh_res_node *y = *(struct mh_res_node *const *)b;

	if (x->power != y->power)
		return x->power > y->power ? -1 : 1;
	if (x->event->origin_server_ts != y->event->origin_server_ts)
		return x->event->origin_server_ts < y->event->origin_server_ts
			       ? -1
			       : 1;
	return mh_str_cmp(x->id, y->id);
}

static bool is_before(struct mh_res_node *x, struct mh_res_node *y)
{
	return power_cmp(&x, &y) < 0;
}

/* A binary heap, the smallest on top. */
static void heap_add(struct mh_res_nodes *heap, struct mh_res_node *node)
{
	size_t i = heap->n;

	mh_res_nodes_add(heap, node);
	while (i > 0 && is_before(node, heap->at[(i - 1) / 2])) {
		heap->at[i] = heap->at[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap->at[i] = node;
}

static struct mh_res_node *heap_take(struct mh_res_nodes *heap)
{
	struct mh_res_node *top = heap->at[0];
	struct mh_res_node *last = heap->at[--heap->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < heap->n) {
		if (child + 1 < heap->n &&
		    is_before(heap->at[child + 1], heap->at[child]))
			child++;
		if (!is_before(heap->at[child], last))
			break;
		heap->at[i] = heap->at[child];
		i = child;
	}
	if (heap->n)
		heap->at[i] = last;
	return top;
}

/* Kahn's algorithm over the auth edges among the nodes of res->power. */
static void sort_power(struct mh_state_res *res)
{
	struct mh_res_nodes ready = { 0 }, sorted = { 0 };

	for (size_t i = 0; i < res->power.n; i++) {
		struct mh_res_node *node = res->power.at[i];

		node->power = power_of_sender(res, node);
		for (size_t j = 0; j < node->n_auth; j++)
			node->n_waiting += node->auth[j]->in_power;
		if (node->n_waiting == 0)
			heap_add(&ready, node);
	}
	while (ready.n) {
		struct mh_res_node *node = heap_take(&ready);

		mh_res_nodes_add(&sorted, node);
		for (struct mh_res_edge *edge = node->cited_by; edge;
		     edge = edge->next)
			if (edge->from->in_power &&
			    --edge->from->n_waiting == 0)
				heap_add(&ready, edge->from);
	}
	/*
	 * Events of version 2 have chosen IDs, so that two could name each
	 * other; these can authorise nothing and are left out of the order.
	 */
	mh_res_nodes_release(&ready);
	mh_res_nodes_release(&res->power);
	res->power = sorted;
}

/* --- mainline ordering -------------------------------------------------- */

static bool need_auth_events(struct mh_state_res *res, struct mh_res_node *node)
{
	bool ready = true;

	for (size_t i = 0; i < node->n_auth; i++)
		ready &= mh_res_need_event(res, node->auth[i]);
	return ready;
}

static struct mh_res_node *levels_before(const struct mh_res_node *node)
{
	return mh_res_auth_event(node, "m.room.power_levels", MH_STR(""));
}

static enum mh_state_res_step build_mainline(struct mh_state_res *res)
{
	struct mh_res_slot *slot = mh_res_slot_find(
		res, MH_STR("m.room.power_levels"), MH_STR(""));
	struct mh_res_node *next = slot ? slot->value : NULL;

	if (res->mainline.n)
		next = res->mainline.at[res->mainline.n - 1];
	while (next && next->event) {
		if (!next->ranked) {
			next->ranked = true;
			next->rank = res->mainline.n;
			mh_res_nodes_add(&res->mainline, next);
		}
		if (!need_auth_events(res, next))
			return mh_res_check(res, false);
		next = levels_before(next);
		if (next && next->ranked)
			break; /* a circle of chosen IDs */
	}
	return MH_STATE_RES_DONE;
}

/* Ranks the node by the first power levels of the mainline behind it. */
static void rank(struct mh_state_res *res, struct mh_res_node *node)
{
	size_t steps = 0, limit = HASH_COUNT(res->nodes), found = NO_RANK;
	struct mh_res_node *at = node;

	while (at && !at->ranked) {
		if (!need_auth_events(res, at))
			return;
		at = steps++ < limit ? levels_before(at) : NULL;
	}
	if (at)
		found = at->rank;
	/* All on the way have the same, which spares their walk. */
	for (; node && !node->ranked; node = levels_before(node)) {
		node->ranked = true;
		node->rank = found;
	}
}

static int mainline_cmp(const void *a, const void *b)
{
	const struct mh_res_node *x = *(struct mh_res_node *const *)a;
	const struct mh_res_node *y = *(struct mh_res_node *const *)b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	if (x->event->origin_server_ts != y->event->origin_server_ts)
		return x->event->origin_server_ts < y->event->origin_server_ts
			       ? -1
			       : 1;
	return mh_str_cmp(x->id, y->id);
}

static enum mh_state_res_step rank_rest(struct mh_state_res *res)
{
	for (size_t i = 0; i < res->rest.n; i++)
		rank(res, res->rest.at[i]);
	return mh_res_check(res, false);
}

/* --- the algorithm ------------------------------------------------------ */

static void run_power(struct mh_state_res *res)
{
	select_power(res);
	sort_power(res);
	apply(res, &res->power);
	for (size_t i = 0; i < res->full.n; i++)
		if (!res->full.at[i]->in_power)
			mh_res_nodes_add(&res->rest, res->full.at[i]);
}

enum mh_state_res_step mh_res_run_v2(struct mh_state_res *res)
{
	if (res->step < LOAD) {
		if (mh_res_find_conflicts(res) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		res->step = LOAD;
	}
	if (res->step == LOAD) {
		if (load(res) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		run_power(res);
		res->step = MAINLINE;
	}
	if (res->step == MAINLINE) {
		if (build_mainline(res) == MH_STATE_RES_NEED)
			return MH_STATE_RES_NEED;
		res->step = REST;
	}
	if (rank_rest(res) == MH_STATE_RES_NEED)
		return MH_STATE_RES_NEED;
	if (res->rest.n)
		qsort(res->rest.at, res->rest.n, sizeof(struct mh_res_node *),
		      mainline_cmp);
	apply(res, &res->rest);
	return MH_STATE_RES_DONE;
}
