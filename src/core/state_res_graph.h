/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the versions of state resolution share, for state_res*.c alone: the
 * events as nodes of the auth graph, the keys of the state maps as slots, and
 * the list of what is missing.
 *
 * A step that needs events asks for all of them with mh_res_need_*() and
 * returns MH_STATE_RES_NEED when one was missing. It runs again from its
 * beginning once the caller gave them: steps are cheap and idempotent up to
 * the point where everything is there.
 */
#pragma once

#include "core/state_res.h"

#include "base/arena.h"

#include <uthash.h>

struct mh_res_edge;

enum mh_res_walk {
	MH_RES_WALK_CLOSURE = 1, /* from the conflicted events */
	MH_RES_WALK_COMMON = 2,	 /* from the unconflicted ones */
};

/* An event, or as much of it as is known. */
struct mh_res_node {
	struct mh_str id;
	struct mh_event *event; /* NULL: not given yet, or gone */
	bool gone;		/* the caller does not have it */
	bool rejected;
	bool asked; /* is in the list of needed IDs */

	bool has_edges;
	struct mh_res_node **auth;
	size_t n_auth;
	struct mh_res_edge *cited_by;

	struct mh_power_levels *levels; /* of a power levels event */
	bool levels_failed;

	/* Version 2; state_res_conflicts.c and state_res_v2.c. */
	bool unconflicted, conflicted;
	unsigned walked;  /* enum mh_res_walk */
	size_t counted;	  /* the last set that reached it, from 1 */
	size_t n_reached; /* how many sets did */
	bool differs;	  /* in the auth difference */
	bool on_path;	  /* in the conflicted state subgraph */
	bool in_full;	  /* in the full conflicted set */
	bool in_power;	  /* sorted among the power events */
	size_t n_waiting; /* auth events that have to be sorted before it */
	int64_t power;	  /* the sender's */
	bool ranked;
	size_t rank; /* mainline position */

	UT_hash_handle hh;
};

/* `from` has this node among its auth events. */
struct mh_res_edge {
	struct mh_res_node *from;
	struct mh_res_edge *next;
};

struct mh_res_nodes {
	struct mh_res_node **at;
	size_t n, cap;
};

void mh_res_nodes_add(struct mh_res_nodes *nodes, struct mh_res_node *node);
void mh_res_nodes_release(struct mh_res_nodes *nodes);

/* A (type, state_key), and who holds it. */
struct mh_res_slot {
	struct mh_str type, state_key;
	struct mh_res_nodes candidates; /* distinct, from the sets */
	size_t n_sets;			/* sets that have the key */
	size_t last_set;		/* the last of them, from 1 */
	bool conflicted;
	struct mh_res_node *unconflicted;
	struct mh_res_node *value; /* in the state that is being built */
	UT_hash_handle hh;
};

/* The conflicted events of one set; the unconflicted are in all. */
struct mh_res_set {
	struct mh_res_slot **slots;
	struct mh_res_node **nodes;
	size_t n;
};

struct mh_state_res {
	const struct mh_room_rules *rules;
	struct mh_arena arena;
	struct mh_res_node *nodes; /* by ID */
	struct mh_res_slot *slots; /* by key */
	struct mh_strbuf key;	   /* scratch: a slot's key */
	struct mh_res_set *sets;
	size_t n_sets;

	struct mh_res_nodes missing;
	struct mh_str *needed; /* their IDs */
	bool edges_only;

	unsigned step; /* of the version's own steps */
	struct mh_res_node *create;
	struct mh_res_nodes pending; /* of the walk that goes on */
	size_t n_differs;
	struct mh_res_nodes full, power, rest, mainline;

	struct mh_state_entry *result;
	size_t n_result;
	bool done;
};

struct mh_res_node *mh_res_node(struct mh_state_res *res, struct mh_str id);
/* NULL when no set and no event brought that key. */
struct mh_res_slot *mh_res_slot_find(struct mh_state_res *res,
				     struct mh_str type,
				     struct mh_str state_key);
struct mh_res_slot *mh_res_slot(struct mh_state_res *res, struct mh_str type,
				struct mh_str state_key);

/* True when the event (or the fact that it is gone) is there. */
bool mh_res_need_event(struct mh_state_res *res, struct mh_res_node *node);
/* True when its auth events are known by ID. */
bool mh_res_need_edges(struct mh_state_res *res, struct mh_res_node *node);
void mh_res_forget_missing(struct mh_state_res *res);
/* NEED when anything was asked for, else DONE. */
enum mh_state_res_step mh_res_check(struct mh_state_res *res, bool edges_only);

/*
 * Asks for everything that authorises `node`, whose event is there: the
 * events that the state being built has for its auth types.
 */
void mh_res_need_state_of(struct mh_state_res *res, struct mh_res_node *node);

/*
 * The authorisation rules for `node` in the state being built; where that
 * lacks a key, and `use_auth_events`, its own auth events fill in.
 */
bool mh_res_allowed(struct mh_state_res *res, struct mh_res_node *node,
		    bool use_auth_events);

/* The parsed levels of a power levels event; NULL when it is malformed. */
const struct mh_power_levels *mh_res_levels(struct mh_res_node *node,
					    const struct mh_event *create);

/* The node's auth event of this key with its event at hand, or NULL. */
struct mh_res_node *mh_res_auth_event(const struct mh_res_node *node,
				      const char *type,
				      struct mh_str state_key);

enum mh_state_res_step mh_res_run_v1(struct mh_state_res *res);
enum mh_state_res_step mh_res_run_v2(struct mh_state_res *res);
/* Fills res->full: the full conflicted set of version 2 or 2.1. */
enum mh_state_res_step mh_res_find_conflicts(struct mh_state_res *res);
