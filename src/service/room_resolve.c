/* SPDX-License-Identifier: Apache-2.0 */
#include "service/room_resolve.h"

#include "core/state_res.h"
#include "service/room_head.h"

#include <stdlib.h>
#include <uthash.h>

/* --- the states side by side ------------------------------------------------ */

struct state {
	struct mh_state_item *items; /* by (type, state key) */
	size_t n, at;
};

struct work {
	struct mh_db *db;
	struct mh_arena *arena;
	const struct mh_event_row *plus;
	struct state *states;
	size_t n_states;
	struct mh_state_item *out;
	size_t n_out;
	struct candidate *candidates; /* by event ID */
};

/* An event that a state has, and the item that it makes. */
struct candidate {
	struct mh_str event_id;
	struct mh_state_item item;
	UT_hash_handle hh;
};

int mh_state_item_cmp(const struct mh_state_item *a,
		      const struct mh_state_item *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->state_key != b->state_key)
		return a->state_key < b->state_key ? -1 : 1;
	return 0;
}

static int item_qsort(const void *a, const void *b)
{
	return mh_state_item_cmp(a, b);
}

void mh_state_items_sort(struct mh_state_item *items, size_t n)
{
	if (n)
		qsort(items, n, sizeof(*items), item_qsort);
}

/* Keys of the new event that no state has yet sort behind all others. */
#define NID_NEW INT64_MAX

static int add_plus(struct work *w, struct state *state, struct mh_error *err)
{
	const struct mh_event *event = w->plus->event;
	struct mh_state_item item = { .event = MH_EVENT_NEW };
	struct mh_state_item *items;

	if (!mh_event_is_state(event))
		return 0;
	item.type = mh_name_find(w->db, event->type, err);
	item.state_key = mh_name_find(w->db, event->state_key, err);
	if (item.type < 0 || item.state_key < 0)
		return -1;
	item.type = item.type ? item.type : NID_NEW;
	item.state_key = item.state_key ? item.state_key : NID_NEW;
	for (size_t i = 0; i < state->n; i++)
		if (mh_state_item_cmp(&state->items[i], &item) == 0) {
			state->items[i] = item;
			return 0;
		}
	items = mh_arena_alloc_array(w->arena, state->n + 1, sizeof(*items));
	if (state->n)
		memcpy(items, state->items, state->n * sizeof(*items));
	items[state->n++] = item;
	mh_state_items_sort(items, state->n);
	state->items = items;
	return 0;
}

static int load_states(struct work *w, const int64_t *groups, size_t n_groups,
		       struct mh_error *err)
{
	w->states = mh_arena_alloc_array(w->arena, n_groups + 1,
					 sizeof(*w->states));
	for (size_t i = 0; i < n_groups; i++) {
		struct state *state = &w->states[w->n_states];
		bool again = false;

		for (size_t j = 0; j < i; j++)
			again |= groups[j] == groups[i];
		if (again)
			continue;
		if (mh_state_group_load(w->db, groups[i], w->arena,
					&state->items, &state->n, err) < 0)
			return -1;
		w->n_states++;
	}
	if (w->plus) {
		struct state *state = &w->states[w->n_states++];

		if (mh_state_group_load(w->db, w->plus->state_before, w->arena,
					&state->items, &state->n, err) < 0)
			return -1;
		return add_plus(w, state, err);
	}
	return 0;
}

/* --- feeding core ------------------------------------------------------------ */

static int load_event(struct work *w, mh_nid nid, struct mh_event **ret,
		      struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc;

	if (nid == MH_EVENT_NEW) {
		*ret = mh_event_ref(w->plus->event);
		return 0;
	}
	rc = mh_events_get_nid(w->db, nid, &row, err);
	if (rc == 0)
		rc = mh_fail_internal(err, "database: event %lld is missing",
				      (long long)nid);
	if (rc > 0)
		*ret = MH_TAKE(row.event);
	mh_event_row_release(&row);
	return rc < 0 ? -1 : 0;
}

static int entry_of(struct work *w, const struct mh_state_item *item,
		    struct mh_state_entry *entry, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct candidate *candidate;

	if (load_event(w, item->event, &event, err) < 0)
		return -1;
	entry->type = mh_arena_str(w->arena, event->type);
	entry->state_key = mh_arena_str(w->arena, event->state_key);
	entry->event_id = mh_arena_str(w->arena, event->event_id);
	HASH_FIND(hh, w->candidates, entry->event_id.data, entry->event_id.len,
		  candidate);
	if (candidate)
		return 0;
	candidate = MH_ARENA_NEW(w->arena, struct candidate);
	candidate->event_id = entry->event_id;
	candidate->item = *item;
	HASH_ADD_KEYPTR(hh, w->candidates, candidate->event_id.data,
			candidate->event_id.len, candidate);
	return 0;
}

/* One set a state. */
struct sets {
	struct mh_state_entry **entries;
	size_t *n;
};

static int add_to_sets(struct work *w, struct sets *sets,
		       const struct mh_state_item *const *found,
		       struct mh_error *err)
{
	struct mh_state_entry entry;
	mh_nid last = 0;

	for (size_t i = 0; i < w->n_states; i++) {
		if (!found[i])
			continue;
		if (found[i]->event != last &&
		    entry_of(w, found[i], &entry, err) < 0)
			return -1;
		last = found[i]->event;
		sets->entries[i][sets->n[i]++] = entry;
	}
	return 0;
}

/* The next key in order: each state's item at it, or NULL. False at the end. */
static bool next_key(struct work *w, const struct mh_state_item **found,
		     bool *conflicted)
{
	const struct mh_state_item *least = NULL;

	for (size_t i = 0; i < w->n_states; i++) {
		struct state *state = &w->states[i];

		if (state->at < state->n &&
		    (!least || mh_state_item_cmp(&state->items[state->at], least) < 0))
			least = &state->items[state->at];
	}
	if (!least)
		return false;
	*conflicted = false;
	for (size_t i = 0; i < w->n_states; i++) {
		struct state *state = &w->states[i];

		found[i] = state->at < state->n &&
					   !mh_state_item_cmp(&state->items[state->at],
						     least) ?
				   &state->items[state->at++] :
				   NULL;
		*conflicted |= !found[i] || found[i]->event != least->event;
	}
	return true;
}

/*
 * All of every state: even what agrees matters, for its auth chain is no
 * difference then.
 */
static int make_sets(struct work *w, struct sets *sets, struct mh_error *err)
{
	const struct mh_state_item **found =
		mh_arena_alloc_array(w->arena, w->n_states, sizeof(*found));
	bool conflicted;

	for (size_t i = 0; i < w->n_states; i++)
		w->states[i].at = 0;
	while (next_key(w, found, &conflicted))
		if (add_to_sets(w, sets, found, err) < 0)
			return -1;
	return 0;
}

static bool all_agree(struct work *w)
{
	const struct mh_state_item **found =
		mh_arena_alloc_array(w->arena, w->n_states, sizeof(*found));
	bool conflicted = false;

	while (!conflicted && next_key(w, found, &conflicted))
		continue;
	return !conflicted;
}

static int give(struct work *w, struct mh_state_res *res, struct mh_str id,
		struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc;

	if (w->plus && mh_str_eq(id, w->plus->event->event_id)) {
		mh_state_res_give(res, id, w->plus->event, false);
		return 0;
	}
	rc = mh_events_get(w->db, id, &row, err);
	if (rc >= 0)
		mh_state_res_give(res, id, row.event,
				  row.flags & MH_EVENT_REJECTED);
	mh_event_row_release(&row);
	return rc < 0 ? -1 : 0;
}

static int run(struct work *w, struct mh_state_res *res, struct mh_error *err)
{
	while (mh_state_res_run(res) == MH_STATE_RES_NEED) {
		size_t n;
		const struct mh_str *needed = mh_state_res_needed(res, &n);
		struct mh_str *ids =
			mh_arena_alloc_array(w->arena, n, sizeof(*ids));

		/* What is given may move what was needed. */
		for (size_t i = 0; i < n; i++)
			ids[i] = mh_arena_str(w->arena, needed[i]);
		for (size_t i = 0; i < n; i++)
			if (give(w, res, ids[i], err) < 0)
				return -1;
	}
	return 0;
}

/*
 * What was chosen is mostly one of the candidates; but versions 2 and 2.1 may
 * also choose an event of the auth difference that no state holds.
 */
static int take_entry(struct work *w, const struct mh_state_entry *entry,
		      struct mh_error *err)
{
	struct candidate *candidate;
	struct mh_event_row row;
	int rc;

	HASH_FIND(hh, w->candidates, entry->event_id.data, entry->event_id.len,
		  candidate);
	if (candidate) {
		w->out[w->n_out++] = candidate->item;
		return 0;
	}
	rc = mh_events_get(w->db, entry->event_id, &row, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail_internal(err,
					"resolution chose '%.*s', which is not "
					"stored",
					MH_STR_ARG(entry->event_id));
	w->out[w->n_out++] = (struct mh_state_item){
		.type = row.type, .state_key = row.state_key, .event = row.nid
	};
	mh_event_row_release(&row);
	return 0;
}

static int take_result(struct work *w, struct mh_state_res *res,
		       struct mh_error *err)
{
	size_t n;
	const struct mh_state_entry *entries = mh_state_res_result(res, &n);

	w->out = mh_arena_alloc_array(w->arena, n + 1, sizeof(*w->out));
	for (size_t i = 0; i < n; i++)
		if (take_entry(w, &entries[i], err) < 0)
			return -1;
	return 0;
}

static int resolve(struct work *w, const struct mh_room_rules *rules,
		   struct mh_error *err)
{
	MH_CLEANUP(mh_state_res_freep) struct mh_state_res *res = NULL;
	struct sets sets;

	sets.n = mh_arena_alloc_array(w->arena, w->n_states, sizeof(*sets.n));
	sets.entries = mh_arena_alloc_array(w->arena, w->n_states,
					    sizeof(*sets.entries));
	for (size_t i = 0; i < w->n_states; i++) {
		sets.entries[i] =
			mh_arena_alloc_array(w->arena, w->states[i].n + 1,
					     sizeof(**sets.entries));
	}
	if (make_sets(w, &sets, err) < 0)
		return -1;
	res = mh_state_res_new(rules);
	for (size_t i = 0; i < w->n_states; i++)
		mh_state_res_add_set(res, sets.entries[i], sets.n[i]);
	if (run(w, res, err) < 0)
		return -1;
	if (take_result(w, res, err) < 0)
		return -1;
	mh_state_items_sort(w->out, w->n_out);
	return 0;
}

int mh_room_resolve_states(struct mh_db *db, const struct mh_room_rules *rules,
			   const int64_t *groups, size_t n_groups,
			   const struct mh_event_row *plus,
			   struct mh_arena *arena, struct mh_state_item **ret,
			   size_t *ret_n, struct mh_error *err)
{
	struct work w = { .db = db, .arena = arena, .plus = plus };
	int rc;

	MH_ASSERT(n_groups || plus);
	rc = load_states(&w, groups, n_groups, err);
	if (rc == 0 && all_agree(&w)) {
		w.out = w.states[0].items;
		w.n_out = w.states[0].n;
	} else if (rc == 0) {
		rc = resolve(&w, rules, err);
	}
	HASH_CLEAR(hh, w.candidates);
	*ret = w.out;
	*ret_n = w.n_out;
	return rc;
}

/* --- for workers -------------------------------------------------------------- */

int mh_room_resolve_after(struct mh_db *db, const struct mh_event_row *row,
			  struct mh_arena *arena, struct mh_room_resolved *ret,
			  struct mh_error *err)
{
	MH_SNAPSHOT(snapshot, db);
	struct mh_extremity *leaves;
	struct mh_state_item *items;
	size_t n, kept = 0;
	mh_nid *nids;
	int64_t *groups;

	if (mh_extremities_get(snapshot, row->room, arena, &leaves, &n, err) <
	    0)
		return -1;
	nids = mh_arena_alloc_array(arena, n + 1, sizeof(*nids));
	groups = mh_arena_alloc_array(arena, n + 1, sizeof(*groups));
	for (size_t i = 0; i < n; i++) {
		if (mh_event_has_prev(row->event, leaves[i].event_id))
			continue;
		nids[kept] = leaves[i].event;
		groups[kept++] = leaves[i].state_after;
	}
	if (mh_room_resolve_states(snapshot, row->event->rules, groups, kept,
				   row, arena, &items, &ret->n, err) < 0)
		return -1;
	ret->items = items;
	ret->leaves = nids;
	ret->n_leaves = kept;
	return 0;
}
