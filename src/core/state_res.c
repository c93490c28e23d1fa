/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution: what its versions share. The sets come in as (type,
 * state_key, event ID); events come in when they are asked for. From
 * here the way goes
 *
 *	state_res_v1.c		version 1
 *	state_res_conflicts.c	the full conflicted set of versions 2 and 2.1
 *	state_res_v2.c		their ordering and iterative auth checks
 *
 * Nothing here depends on the order in which sets, entries or events are given:
 * the result is the same on every server that knows the same events.
 */
#include "core/state_res_graph.h"

#include <stdlib.h>

/* --- nodes and slots ---------------------------------------------------- */

void mh_res_nodes_add(struct mh_res_nodes *nodes, struct mh_res_node *node)
{
	if (nodes->n == nodes->cap) {
		nodes->cap = nodes->cap ? nodes->cap * 2 : 8;
		nodes->at = mh_realloc_array(nodes->at, nodes->cap,
					     sizeof(struct mh_res_node *));
	}
	nodes->at[nodes->n++] = node;
}

void mh_res_nodes_release(struct mh_res_nodes *nodes)
{
	free(nodes->at);
	*nodes = (struct mh_res_nodes){ 0 };
}

struct mh_res_node *mh_res_node(struct mh_state_res *res, struct mh_str id)
{
	struct mh_res_node *node;

	HASH_FIND(hh, res->nodes, id.data, id.len, node);
	if (node)
		return node;
	node = MH_ARENA_NEW(&res->arena, struct mh_res_node);
	node->id = mh_arena_str(&res->arena, id);
	HASH_ADD_KEYPTR(hh, res->nodes, node->id.data, node->id.len, node);
	return node;
}

/* Type and state key in one run of bytes, unambiguously. */
static struct mh_str slot_key(struct mh_state_res *res, struct mh_str type,
			      struct mh_str state_key)
{
	mh_strbuf_clear(&res->key);
	mh_strbuf_add(&res->key, &type.len, sizeof(type.len));
	mh_strbuf_addstr(&res->key, type);
	mh_strbuf_addstr(&res->key, state_key);
	return mh_strbuf_str(&res->key);
}

struct mh_res_slot *mh_res_slot_find(struct mh_state_res *res,
				     struct mh_str type,
				     struct mh_str state_key)
{
	struct mh_str key = slot_key(res, type, state_key);
	struct mh_res_slot *slot;

	HASH_FIND(hh, res->slots, key.data, key.len, slot);
	return slot;
}

struct mh_res_slot *mh_res_slot(struct mh_state_res *res, struct mh_str type,
				struct mh_str state_key)
{
	struct mh_res_slot *slot = mh_res_slot_find(res, type, state_key);
	struct mh_str key;

	if (slot)
		return slot;
	key = mh_arena_str(&res->arena, mh_strbuf_str(&res->key));
	slot = MH_ARENA_NEW(&res->arena, struct mh_res_slot);
	slot->type = mh_str_n(key.data + sizeof(type.len), type.len);
	slot->state_key = mh_str_n(slot->type.data + type.len, state_key.len);
	HASH_ADD_KEYPTR(hh, res->slots, key.data, key.len, slot);
	return slot;
}

/* --- asking and giving -------------------------------------------------- */

static void ask(struct mh_state_res *res, struct mh_res_node *node)
{
	if (!node->asked)
		mh_res_nodes_add(&res->missing, node);
	node->asked = true;
}

bool mh_res_need_event(struct mh_state_res *res, struct mh_res_node *node)
{
	if (node->event || node->gone)
		return true;
	ask(res, node);
	return false;
}

bool mh_res_need_edges(struct mh_state_res *res, struct mh_res_node *node)
{
	if (node->has_edges || node->gone)
		return true;
	ask(res, node);
	return false;
}

void mh_res_forget_missing(struct mh_state_res *res)
{
	for (size_t i = 0; i < res->missing.n; i++)
		res->missing.at[i]->asked = false;
	res->missing.n = 0;
}

enum mh_state_res_step mh_res_check(struct mh_state_res *res, bool edges_only)
{
	res->edges_only = edges_only;
	return res->missing.n ? MH_STATE_RES_NEED : MH_STATE_RES_DONE;
}

static void set_edges(struct mh_state_res *res, struct mh_res_node *node,
		      const struct mh_str *ids, size_t n)
{
	if (node->has_edges)
		return;
	node->has_edges = true;
	node->auth = mh_arena_alloc_array(&res->arena, n,
					  sizeof(struct mh_res_node *));
	for (size_t i = 0; i < n; i++) {
		struct mh_res_node *auth = mh_res_node(res, ids[i]);
		struct mh_res_edge *edge =
			MH_ARENA_NEW(&res->arena, struct mh_res_edge);

		node->auth[node->n_auth++] = auth;
		edge->from = node;
		edge->next = auth->cited_by;
		auth->cited_by = edge;
	}
}

void mh_state_res_give(struct mh_state_res *res, struct mh_str event_id,
		       struct mh_event *event, bool rejected)
{
	struct mh_res_node *node = mh_res_node(res, event_id);

	if (node->event || node->gone)
		return;
	/* Only state events can be in a state or authorise. */
	if (!event || !mh_event_is_state(event)) {
		node->gone = true;
		return;
	}
	node->event = mh_event_ref(event);
	node->rejected = rejected;
	set_edges(res, node, event->auth_events, event->n_auth_events);
}

void mh_state_res_give_edges(struct mh_state_res *res, struct mh_str event_id,
			     const struct mh_str *auth_events, size_t n)
{
	struct mh_res_node *node = mh_res_node(res, event_id);

	if (!node->gone)
		set_edges(res, node, auth_events, n);
}

const struct mh_str *mh_state_res_needed(struct mh_state_res *res,
					 size_t *ret_n)
{
	*ret_n = res->missing.n;
	res->needed = mh_realloc_array(res->needed, res->missing.n,
				       sizeof(*res->needed));
	for (size_t i = 0; i < res->missing.n; i++)
		res->needed[i] = res->missing.at[i]->id;
	return res->needed;
}

bool mh_state_res_needs_edges_only(const struct mh_state_res *res)
{
	return res->edges_only;
}

/* --- auth checks -------------------------------------------------------- */

struct mh_res_node *mh_res_auth_event(const struct mh_res_node *node,
				      const char *type, struct mh_str state_key)
{
	for (size_t i = 0; i < node->n_auth; i++)
		if (node->auth[i]->event &&
		    mh_str_eq(node->auth[i]->event->state_key, state_key) &&
		    mh_str_is(node->auth[i]->event->type, type))
			return node->auth[i];
	return NULL;
}

const struct mh_power_levels *mh_res_levels(struct mh_res_node *node,
					    const struct mh_event *create)
{
	MH_ERROR(err);

	if (!node->levels && !node->levels_failed &&
	    mh_power_levels_new(create, node->event, &node->levels, &err) < 0)
		node->levels_failed = true;
	return node->levels;
}

static size_t auth_types_of(const struct mh_event *event,
			    struct mh_state_key *out, struct mh_strbuf *scratch)
{
	return mh_event_auth_types(event->rules, event->type, event->state_key,
				   event->sender, event->content, out, scratch);
}

void mh_res_need_state_of(struct mh_state_res *res, struct mh_res_node *node)
{
	MH_STRBUF(scratch);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n = auth_types_of(node->event, types, &scratch);

	for (size_t i = 0; i < n; i++) {
		struct mh_res_slot *slot = mh_res_slot_find(res, types[i].type,
							    types[i].state_key);

		if (slot && slot->value)
			mh_res_need_event(res, slot->value);
	}
}

bool mh_res_allowed(struct mh_state_res *res, struct mh_res_node *node,
		    bool use_auth_events)
{
	MH_STRBUF(scratch);
	struct mh_state_key types[MH_AUTH_TYPES_MAX];
	size_t n = auth_types_of(node->event, types, &scratch);
	struct mh_auth_state state = { .n = 0 };
	struct mh_res_node *levels = NULL;
	const struct mh_event *create;

	for (size_t i = 0; i < n; i++) {
		struct mh_res_slot *slot = mh_res_slot_find(res, types[i].type,
							    types[i].state_key);
		struct mh_res_node *found = slot ? slot->value : NULL;

		if ((!found || found->gone) && use_auth_events) {
			found = mh_res_auth_event(node, types[i].type.data,
						  types[i].state_key);
			if (found && found->rejected)
				found = NULL;
		}
		/* Version 12: the room ID takes the place of an auth event. */
		if (!found && mh_str_is(types[i].type, "m.room.create") &&
		    node->event->rules->room_id_is_create)
			found = res->create;
		if (!found || !found->event)
			continue;
		mh_auth_state_add(&state, found->event);
		if (mh_str_is(types[i].type, "m.room.power_levels"))
			levels = found;
	}
	create = mh_auth_state_get(&state, "m.room.create", MH_STR(""));
	if (create && levels)
		state.levels = mh_res_levels(levels, create);
	/* Servers' signatures were checked when the event came in. */
	return mh_event_auth_check(node->event, &state, true).accepted;
}

/* --- the object --------------------------------------------------------- */

struct mh_state_res *mh_state_res_new(const struct mh_room_rules *rules)
{
	struct mh_state_res *res = MH_NEW(struct mh_state_res);

	res->rules = rules;
	mh_arena_init(&res->arena);
	mh_strbuf_init(&res->key);
	return res;
}

void mh_state_res_free(struct mh_state_res *res)
{
	struct mh_res_node *node, *next_node;
	struct mh_res_slot *slot, *next_slot;

	if (!res)
		return;
	HASH_ITER(hh, res->nodes, node, next_node)
	{
		mh_event_unref(node->event);
		mh_power_levels_free(node->levels);
	}
	HASH_ITER(hh, res->slots, slot, next_slot)
	{
		mh_res_nodes_release(&slot->candidates);
	}
	HASH_CLEAR(hh, res->nodes);
	HASH_CLEAR(hh, res->slots);
	mh_res_nodes_release(&res->missing);
	mh_res_nodes_release(&res->pending);
	mh_res_nodes_release(&res->full);
	mh_res_nodes_release(&res->power);
	mh_res_nodes_release(&res->rest);
	mh_res_nodes_release(&res->mainline);
	mh_strbuf_release(&res->key);
	free(res->needed);
	free(res->sets);
	mh_arena_release(&res->arena);
	free(res);
}

static void add_candidate(struct mh_res_slot *slot, struct mh_res_node *node)
{
	for (size_t i = 0; i < slot->candidates.n; i++)
		if (slot->candidates.at[i] == node)
			return;
	mh_res_nodes_add(&slot->candidates, node);
}

void mh_state_res_add_set(struct mh_state_res *res,
			  const struct mh_state_entry *entries, size_t n)
{
	struct mh_res_set *set;

	MH_ASSERT(res->step == 0 && !res->done);
	res->sets = mh_realloc_array(res->sets, res->n_sets + 1,
				     sizeof(*res->sets));
	set = &res->sets[res->n_sets++];
	*set = (struct mh_res_set){
		.slots = mh_arena_alloc_array(&res->arena, n,
					      sizeof(struct mh_res_slot *)),
		.nodes = mh_arena_alloc_array(&res->arena, n,
					      sizeof(struct mh_res_node *)),
	};
	for (size_t i = 0; i < n; i++) {
		struct mh_res_slot *slot =
			mh_res_slot(res, entries[i].type, entries[i].state_key);
		struct mh_res_node *node =
			mh_res_node(res, entries[i].event_id);

		/* A state is a map: a key stands in it once. */
		MH_ASSERT(slot->last_set != res->n_sets);
		slot->last_set = res->n_sets;
		slot->n_sets++;
		add_candidate(slot, node);
		set->slots[set->n] = slot;
		set->nodes[set->n++] = node;
	}
}

/*
 * Splits the sets into what is agreed and what is not. In version 1 a key that
 * only some sets have is no conflict. Returns whether there is any.
 */
static bool split(struct mh_state_res *res)
{
	bool partial_is_conflict = res->rules->state_res != MH_STATE_RES_V1;
	struct mh_res_slot *slot, *next;
	bool any = false;

	HASH_ITER(hh, res->slots, slot, next)
	{
		slot->conflicted =
			slot->candidates.n > 1 ||
			(partial_is_conflict && slot->n_sets < res->n_sets);
		any |= slot->conflicted;
		for (size_t i = 0; i < slot->candidates.n; i++) {
			struct mh_res_node *node = slot->candidates.at[i];

			node->conflicted |= slot->conflicted;
			node->unconflicted |= !slot->conflicted;
		}
		if (!slot->conflicted)
			slot->unconflicted = slot->candidates.at[0];
	}
	for (size_t i = 0; i < res->n_sets; i++) {
		struct mh_res_set *set = &res->sets[i];
		size_t kept = 0;

		for (size_t j = 0; j < set->n; j++)
			if (set->slots[j]->conflicted)
				set->nodes[kept++] = set->nodes[j];
		set->n = kept;
	}
	return any;
}

static int entry_cmp(const void *a, const void *b)
{
	const struct mh_state_entry *x = a, *y = b;
	int order = mh_str_cmp(x->type, y->type);

	return order ? order : mh_str_cmp(x->state_key, y->state_key);
}

static void make_result(struct mh_state_res *res)
{
	struct mh_res_slot *slot, *next;

	res->result = mh_arena_alloc_array(&res->arena, HASH_COUNT(res->slots),
					   sizeof(*res->result));
	HASH_ITER(hh, res->slots, slot, next)
	{
		/* What was agreed stands, whatever the checks made of it. */
		if (slot->unconflicted)
			slot->value = slot->unconflicted;
		if (slot->value)
			res->result[res->n_result++] = (struct mh_state_entry){
				slot->type, slot->state_key, slot->value->id
			};
	}
	if (res->n_result)
		qsort(res->result, res->n_result, sizeof(*res->result),
		      entry_cmp);
	res->done = true;
}

enum mh_state_res_step mh_state_res_run(struct mh_state_res *res)
{
	enum mh_state_res_step step;

	if (res->done)
		return MH_STATE_RES_DONE;
	if (res->step == 0) {
		if (!split(res)) {
			make_result(res);
			return MH_STATE_RES_DONE;
		}
		res->step = 1;
	}
	mh_res_forget_missing(res);
	step = res->rules->state_res == MH_STATE_RES_V1 ? mh_res_run_v1(res)
							: mh_res_run_v2(res);
	if (step == MH_STATE_RES_DONE)
		make_result(res);
	return step;
}

const struct mh_state_entry *mh_state_res_result(struct mh_state_res *res,
						 size_t *ret_n)
{
	MH_ASSERT(res->done);
	*ret_n = res->n_result;
	return res->result;
}
