/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persisting an event whose auth was decided, whoever made it. In one write
 * job, so that nobody ever sees half of it:
 *
 *	the event with the state before and after it
 *	the leaves of the DAG
 *	the current state: the state after the event, or what state resolution
 *		makes of several leaves
 *	redactions: this one's effect, and that of one that came before its
 *		target
 *	relations
 *	the notifier, for after COMMIT
 *
 * Push rules, destinations and the like follow the notifier, not this.
 */
#include "service/room_persist.h"

#include "core/relation.h"
#include "service/notifier.h"
#include "service/room_resolve.h"
#include "store/relations.h"

struct persist {
	struct mh_server *server;
	struct mh_tx *tx;
	struct mh_db *db;
	struct mh_room_head *head;
	struct mh_event_row *row;
	const struct mh_room_resolved *resolved;
	struct mh_arena arena;
	bool ours; /* built here, just now: nothing can have referred to it */
};

/* --- the state after it, and the current state ------------------------------- */

static int set_state_after(struct persist *p, struct mh_error *err)
{
	struct mh_event_row *row = p->row;
	struct mh_state_item item;

	row->state_after = row->state_before;
	if (!mh_event_is_state(row->event) || row->flags & MH_EVENT_REJECTED)
		return 0;
	item = (struct mh_state_item){ row->type, row->state_key, row->nid };
	row->state_after = mh_state_group_add(p->tx, row->room,
					      row->state_before, &item, 1, err);
	return row->state_after < 0 ? -1 : 0;
}

/* The states of the leaves that will remain beside the event. */
static size_t other_leaves(struct persist *p, mh_nid *nids, int64_t *groups)
{
	const struct mh_event *event = p->row->event;
	size_t n = 0;

	for (size_t i = 0; i < p->head->n_leaves; i++) {
		const struct mh_leaf *leaf = &p->head->leaves[i];

		if (mh_event_has_prev(event, leaf->event_id))
			continue;
		nids[n] = leaf->event;
		groups[n++] = leaf->state_after;
	}
	return n;
}

static bool still_holds(const struct mh_room_resolved *resolved,
			const mh_nid *leaves, size_t n)
{
	if (!resolved || resolved->n_leaves != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t j = 0; j < n; j++)
			found |= resolved->leaves[j] == leaves[i];
		if (!found)
			return false;
	}
	return true;
}

/* Writes a whole state as a group, as a delta to the current one. */
static int group_of(struct persist *p, const struct mh_state_item *items,
		    size_t n, int64_t *ret, struct mh_error *err)
{
	struct mh_state_item *base, *delta;
	size_t n_base, n_delta = 0, i = 0, j = 0;

	if (mh_state_group_load(p->db, p->head->state, &p->arena, &base,
				&n_base, err) < 0)
		return -1;
	delta = mh_arena_alloc_array(&p->arena, n + n_base + 1, sizeof(*delta));
	while (i < n || j < n_base) {
		int cmp = i == n      ? 1 :
			  j == n_base ? -1 :
					mh_state_item_cmp(&items[i], &base[j]);

		if (cmp > 0) { /* only in the old state: removed */
			delta[n_delta] = base[j++];
			delta[n_delta++].event = 0;
			continue;
		}
		if (cmp < 0 || items[i].event != base[j].event)
			delta[n_delta++] = items[i];
		i++;
		j += cmp == 0;
	}
	*ret = mh_state_group_add(p->tx, p->row->room, p->head->state, delta,
				  n_delta, err);
	return *ret < 0 ? -1 : 0;
}

/* Puts in the numbers of the new event, which a worker could not know. */
static void name_new(struct persist *p, struct mh_state_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].event == MH_EVENT_NEW)
			items[i] = (struct mh_state_item){ p->row->type,
							   p->row->state_key,
							   p->row->nid };
	mh_state_items_sort(items, n);
}

static int make_current(struct persist *p, int64_t group, struct mh_error *err)
{
	if (group == p->head->state)
		return 0;
	if (mh_state_current_replace(p->tx, p->row->room, group, p->row->pos,
				     err) < 0)
		return -1;
	p->head->state = group;
	mh_notify_members(p->tx, p->server, p->row->room);
	return mh_room_head_reload(p->tx, p->head, err);
}

static int resolve_current(struct persist *p, const int64_t *groups, size_t n,
			   struct mh_error *err)
{
	struct mh_state_item *items;
	size_t n_items;
	int64_t group;

	if (p->resolved) {
		n_items = p->resolved->n;
		items = mh_arena_alloc_array(&p->arena, n_items + 1,
					     sizeof(*items));
		if (n_items)
			memcpy(items, p->resolved->items,
			       n_items * sizeof(*items));
	} else if (mh_room_resolve_states(p->db, p->head->rules, groups, n,
					  p->row, &p->arena, &items, &n_items,
					  err) < 0) {
		return -1;
	}
	name_new(p, items, n_items);
	if (group_of(p, items, n_items, &group, err) < 0)
		return -1;
	return make_current(p, group, err);
}

static int update_current(struct persist *p, const int64_t *groups, size_t n,
			  struct mh_error *err)
{
	struct mh_event_row *row = p->row;

	if (n)
		return resolve_current(p, groups, n, err);
	if (row->state_before != p->head->state)
		return make_current(p, row->state_after, err);
	if (!mh_event_is_state(row->event))
		return 0;
	if (mh_state_current_set(p->tx, row, err) < 0)
		return -1;
	p->head->state = row->state_after;
	return mh_room_head_set(p->head, row->event, err);
}

/* Is this more than a write job should resolve? */
static int is_large(struct persist *p, bool *ret, struct mh_error *err)
{
	struct mh_state_item *items;
	size_t n;

	if (mh_state_group_load(p->db, p->head->state, &p->arena, &items, &n,
				err) < 0)
		return -1;
	*ret = n > MH_RESOLVE_INLINE_MAX;
	return 0;
}

/* --- redactions ------------------------------------------------------------- */

/* The power levels in the state before a redaction. */
static int levels_before(struct persist *p, const struct mh_event_row *redaction,
			 struct mh_power_levels **ret, struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	mh_nid type, none, nid = 0;
	int rc = 0;

	type = mh_name_find(p->db, MH_STR("m.room.power_levels"), err);
	none = mh_name_find(p->db, MH_STR(""), err);
	if (type < 0 || none < 0)
		return -1;
	if (type && none)
		nid = mh_state_group_get(p->db, redaction->state_before, type,
					 none, err);
	if (nid > 0)
		rc = mh_events_get_nid(p->db, nid, &row, err);
	if (nid >= 0 && rc >= 0)
		rc = mh_power_levels_new(p->head->create, row.event, ret, err);
	mh_event_row_release(&row);
	return nid < 0 || rc < 0 ? -1 : 0;
}

/* "Handling redactions" (rooms/v3.md). 1, 0, -1. */
static int redaction_applies(struct persist *p,
			     const struct mh_event_row *redaction,
			     const struct mh_event_row *target,
			     struct mh_error *err)
{
	MH_CLEANUP(mh_power_levels_freep) struct mh_power_levels *levels = NULL;
	struct mh_str sender = redaction->event->sender;

	if (target->room != redaction->room ||
	    target->flags & (MH_EVENT_REJECTED | MH_EVENT_OUTLIER))
		return 0;
	if (p->head->rules->redaction_auth) /* the auth rules decided */
		return 1;
	if (mh_str_eq(mh_id_domain(sender),
		      mh_id_domain(target->event->sender)))
		return 1;
	if (levels_before(p, redaction, &levels, err) < 0)
		return -1;
	return mh_power_of_user(levels, sender) >=
	       mh_power_for_action(levels, MH_POWER_REDACT);
}

/* The stored bytes changed: so must what the head holds. */
static int redact_target(struct persist *p, const struct mh_event_row *target,
			 mh_nid redaction, struct mh_error *err)
{
	if (mh_events_redact(p->tx, target, redaction, err) < 0)
		return -1;
	if (!mh_event_is_state(target->event))
		return 0;
	return mh_room_head_reload(p->tx, p->head, err);
}

struct redaction {
	struct mh_event_row target;
	bool is_one, awaits, applies;
};

static int look_at_redaction(struct persist *p, struct redaction *redaction,
			     struct mh_error *err)
{
	struct mh_event_row *row = p->row;
	int rc;

	redaction->is_one = mh_event_is(row->event, "m.room.redaction", NULL) &&
			    row->event->redacts.data;
	if (!redaction->is_one || row->flags & MH_EVENT_REJECTED)
		return 0;
	rc = mh_events_get(p->db, row->event->redacts, &redaction->target, err);
	redaction->awaits = rc == 0;
	if (rc > 0) {
		rc = redaction_applies(p, row, &redaction->target, err);
		redaction->applies = rc > 0;
	}
	if (rc >= 0 && !redaction->applies)
		row->flags |= MH_EVENT_HIDDEN;
	return rc < 0 ? -1 : 0;
}

static int apply_redaction(struct persist *p, struct redaction *redaction,
			   struct mh_error *err)
{
	if (!redaction->is_one || p->row->flags & MH_EVENT_SOFT_FAILED)
		return 0;
	if (redaction->awaits)
		return mh_redactions_await(p->tx, p->row->event->redacts,
					   p->row->nid, err);
	if (!redaction->applies ||
	    redaction->target.flags & MH_EVENT_REDACTED)
		return 0;
	return redact_target(p, &redaction->target, p->row->nid, err);
}

/* --- a redaction that came before its target --------------------------------- */

#define AWAITING_MAX 16

struct awaiting {
	mh_nid redactions[AWAITING_MAX];
	size_t n;
};

static int add_awaiting(void *context, mh_nid redaction)
{
	struct awaiting *awaiting = context;

	awaiting->redactions[awaiting->n++] = redaction;
	return awaiting->n < AWAITING_MAX;
}

/* The redaction is shown from now on, and the event only redacted. */
static int apply_early(struct persist *p, struct mh_event_row *redaction,
		       struct mh_error *err)
{
	struct mh_event_row *row = p->row;
	int rc = redaction_applies(p, redaction, row, err);

	if (rc <= 0)
		return rc;
	redaction->flags &= ~(unsigned)MH_EVENT_HIDDEN;
	redaction->pos = mh_tx_next_pos(p->tx);
	if (mh_events_unhide(p->tx, redaction->nid, redaction->pos, err) < 0)
		return -1;
	if (!(row->flags & MH_EVENT_REDACTED)) {
		struct mh_event *redacted = mh_event_redact(row->event);

		if (redact_target(p, row, redaction->nid, err) < 0) {
			mh_event_unref(redacted);
			return -1;
		}
		mh_event_unref(row->event);
		row->event = redacted;
		row->flags |= MH_EVENT_REDACTED;
		row->redacted_by = redaction->nid;
	}
	mh_notify_event(p->tx, p->server, redaction);
	return 0;
}

static int apply_awaiting(struct persist *p, struct mh_error *err)
{
	struct awaiting awaiting = { .n = 0 };
	struct mh_str event_id = p->row->event->event_id;

	if (p->ours)
		return 0;
	if (mh_redactions_awaiting(p->db, event_id, add_awaiting, &awaiting,
				   err) < 0)
		return -1;
	for (size_t i = 0; i < awaiting.n; i++) {
		struct mh_event_row redaction = { 0 };
		int rc = mh_events_get_nid(p->db, awaiting.redactions[i],
					   &redaction, err);

		if (rc > 0)
			rc = apply_early(p, &redaction, err);
		mh_event_row_release(&redaction);
		if (rc < 0)
			return -1;
	}
	if (!awaiting.n)
		return 0;
	return mh_redactions_arrived(p->tx, p->row->event->event_id, err);
}

/* --- relations -------------------------------------------------------------- */

static int add_relation(struct persist *p, struct mh_error *err)
{
	struct mh_event_row *row = p->row;
	struct mh_relation relation = MH_RELATION_INIT;
	int rc = 0;

	if (row->flags & (MH_EVENT_REDACTED | MH_EVENT_HIDDEN))
		return 0;
	if (mh_relation_read(row->event->content, &relation))
		rc = mh_relations_add(p->tx, row,
				      mh_strbuf_str(&relation.event_id),
				      mh_strbuf_str(&relation.rel_type),
				      relation.has_key ?
					      mh_strbuf_str(&relation.key) :
					      MH_STR_NONE,
				      err);
	mh_relation_release(&relation);
	return rc;
}

/* --- all together ------------------------------------------------------------ */

/* What is not part of the room as clients see it: no leaf, no current state. */
static bool is_aside(const struct mh_event_row *row)
{
	return row->flags & (MH_EVENT_REJECTED | MH_EVENT_SOFT_FAILED);
}

static int insert(struct persist *p, struct redaction *redaction,
		  struct mh_error *err)
{
	struct mh_event_row *row = p->row;

	if (!row->pos)
		row->pos = mh_tx_next_pos(p->tx);
	if (mh_events_reserve(p->tx, row, err) < 0 ||
	    set_state_after(p, err) < 0 ||
	    look_at_redaction(p, redaction, err) < 0)
		return -1;
	return mh_events_insert(p->tx, row, err);
}

static int persist_all(struct persist *p, struct redaction *redaction,
		       struct mh_error *err)
{
	struct mh_event_row *row = p->row;
	bool many = p->head->n_leaves == MH_EVENT_MAX_PREV;
	mh_nid nids[MH_EVENT_MAX_PREV];
	int64_t groups[MH_EVENT_MAX_PREV];
	size_t others = 0;
	bool large;

	if (!is_aside(row))
		others = other_leaves(p, nids, groups);
	if (!others || !still_holds(p->resolved, nids, others))
		p->resolved = NULL;
	if (others && !p->resolved) {
		if (is_large(p, &large, err) < 0)
			return -1;
		if (large)
			return 1;
	}
	mh_room_head_touch(p->server, p->tx, row->room);
	if (insert(p, redaction, err) < 0)
		return -1;
	if (is_aside(row))
		return 0;
	if (mh_extremities_advance(p->tx, row->room, row, err) < 0)
		return -1;
	mh_room_head_advance(p->head, row);
	if (update_current(p, groups, others, err) < 0 ||
	    apply_redaction(p, redaction, err) < 0 ||
	    apply_awaiting(p, err) < 0 || add_relation(p, err) < 0)
		return -1;
	if (!(row->flags & MH_EVENT_HIDDEN))
		mh_notify_event(p->tx, p->server, row);
	/* The store may know more leaves than a head holds. */
	if (many && mh_room_head_reload_leaves(p->tx, p->head, err) < 0)
		return -1;
	return 0;
}

static int persist(struct persist *p, struct mh_error *err)
{
	struct redaction redaction = { 0 };
	mh_nid room = p->row->room;
	int rc;

	mh_arena_init(&p->arena);
	rc = persist_all(p, &redaction, err);
	mh_event_row_release(&redaction.target);
	mh_arena_release(&p->arena);
	if (rc < 0)
		mh_room_head_drop(p->server, room);
	return rc;
}

int mh_room_persist_ours(struct mh_server *server, struct mh_tx *tx,
			 struct mh_room_head *head, struct mh_event_row *row,
			 struct mh_error *err)
{
	struct persist p = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.head = head,
		.row = row,
		.ours = true,
	};
	int rc = persist(&p, err);

	/* Built on all leaves that the head holds: no fork is left. */
	MH_ASSERT(rc <= 0);
	return rc;
}

int mh_room_persist(struct mh_server *server, struct mh_tx *tx,
		    struct mh_event_row *row,
		    const struct mh_room_resolved *resolved,
		    struct mh_error *err)
{
	struct persist p = {
		.server = server,
		.tx = tx,
		.db = mh_tx_db(tx),
		.row = row,
		.resolved = resolved,
	};

	if (row->flags & MH_EVENT_OUTLIER)
		return mh_events_insert(tx, row, err);
	if (mh_room_head_get(server, tx, row->room, &p.head, err) < 0)
		return -1;
	return persist(&p, err);
}
