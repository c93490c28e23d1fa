/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room cache: heads of rooms, the latest used first. A head is loaded from
 * the writer's connection, which sees the batch, and follows every event that
 * is persisted; whatever fails drops it, and the next job loads it anew. So the
 * cache never holds what the database does not.
 */
#include "service/room_head.h"

#include "base/arena.h"

#include <stdlib.h>
#include <uthash.h>

#define ROOMS_MAX 2048

struct entry {
	struct mh_room_head head; /* first: a head is its entry */
	UT_hash_handle hh;
};

/* uthash keeps insertion order, which is used as the order of last use. */
struct mh_room_cache {
	struct entry *entries;
	mh_nid latest;
};

struct mh_room_cache *mh_room_cache_new(struct mh_server *server)
{
	(void)server;
	return MH_NEW(struct mh_room_cache);
}

static void leaf_release(struct mh_leaf *leaf)
{
	free((void *)leaf->event_id.data);
}

static void forget_state(struct mh_room_head *head)
{
	mh_event_unref(MH_TAKE(head->create));
	mh_event_unref(MH_TAKE(head->power_levels));
	mh_event_unref(MH_TAKE(head->join_rules));
	mh_power_levels_free(MH_TAKE(head->levels));
	for (size_t i = 0; i < MH_HEAD_MEMBERS; i++)
		mh_event_unref(MH_TAKE(head->members[i]));
}

static void forget_leaves(struct mh_room_head *head)
{
	for (size_t i = 0; i < head->n_leaves; i++)
		leaf_release(&head->leaves[i]);
	head->n_leaves = 0;
	head->depth = 0;
}

static void entry_free(struct entry *entry)
{
	struct mh_room_head *head = &entry->head;

	forget_state(head);
	forget_leaves(head);
	free((void *)head->room_id.data);
	free(entry);
}

static void entry_drop(struct mh_room_cache *cache, struct entry *entry)
{
	HASH_DEL(cache->entries, entry);
	entry_free(entry);
}

void mh_room_cache_free(struct mh_room_cache *cache)
{
	struct entry *entry, *next;

	if (!cache)
		return;
	HASH_ITER (hh, cache->entries, entry, next)
		entry_drop(cache, entry);
	free(cache);
}

/* --- loading -------------------------------------------------------------- */

static struct mh_str copy(struct mh_str s)
{
	return mh_str_n(mh_str_dup(s), s.len);
}

/* A job may hold heads of a few rooms: the oldest of many is none of them. */
static void make_room(struct mh_room_cache *cache)
{
	if (HASH_COUNT(cache->entries) >= ROOMS_MAX)
		entry_drop(cache, cache->entries);
}

static struct entry *entry_add(struct mh_room_cache *cache, struct entry *entry)
{
	make_room(cache);
	HASH_ADD(hh, cache->entries, head.room, sizeof(mh_nid), entry);
	cache->latest = entry->head.room;
	return entry;
}

static int load_leaves(struct mh_db *db, struct mh_room_head *head,
		       struct mh_error *err)
{
	struct mh_arena arena;
	struct mh_extremity *found;
	size_t n;
	int rc;

	mh_arena_init(&arena);
	rc = mh_extremities_get(db, head->room, &arena, &found, &n, err);
	for (size_t i = 0; rc == 0 && i < n && i < MH_EVENT_MAX_PREV; i++) {
		head->leaves[head->n_leaves++] = (struct mh_leaf){
			.event = found[i].event,
			.depth = found[i].depth,
			.state_after = found[i].state_after,
			.event_id = copy(found[i].event_id),
		};
		if (found[i].depth > head->depth)
			head->depth = found[i].depth;
	}
	mh_arena_release(&arena);
	return rc < 0 ? -1 : 0;
}

/* Gives the event itself and not its row. 1, 0, -1. */
static int current_event(struct mh_db *db, mh_nid room, const char *type,
			 struct mh_str state_key, struct mh_event **ret,
			 struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc = mh_state_current_get(db, room, type, state_key, &row, err);

	if (rc > 0)
		*ret = MH_TAKE(row.event);
	mh_event_row_release(&row);
	return rc;
}

static int load_state(struct mh_db *db, struct mh_room_head *head,
		      struct mh_error *err)
{
	struct mh_str none = MH_STR("");
	int rc = current_event(db, head->room, "m.room.create", none,
			       &head->create, err);

	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "this server is not in that room");
	if (rc < 0)
		return -1;
	if (current_event(db, head->room, "m.room.power_levels", none,
			  &head->power_levels, err) < 0 ||
	    current_event(db, head->room, "m.room.join_rules", none,
			  &head->join_rules, err) < 0)
		return -1;
	return mh_power_levels_new(head->create, head->power_levels,
				   &head->levels, err);
}

int mh_room_head_reload(struct mh_tx *tx, struct mh_room_head *head,
			struct mh_error *err)
{
	forget_state(head);
	return load_state(mh_tx_db(tx), head, err);
}

int mh_room_head_reload_leaves(struct mh_tx *tx, struct mh_room_head *head,
			       struct mh_error *err)
{
	forget_leaves(head);
	return load_leaves(mh_tx_db(tx), head, err);
}

static int entry_load(struct mh_db *db, mh_nid room, struct entry *entry,
		      struct mh_error *err)
{
	struct mh_room_head *head = &entry->head;
	struct mh_room info;
	MH_STRBUF(room_id);
	int rc = mh_rooms_get(db, room, &info, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || !info.create_event)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "this server is not in that room");
	head->room = room;
	head->rules = info.rules;
	head->state = info.state;
	if (mh_name_get(db, room, &room_id, err) < 0)
		return -1;
	head->room_id = copy(mh_strbuf_str(&room_id));
	if (load_state(db, head, err) < 0)
		return -1;
	return load_leaves(db, head, err);
}

static void entry_use(struct mh_room_cache *cache, struct entry *entry)
{
	if (cache->latest == entry->head.room)
		return;
	HASH_DEL(cache->entries, entry);
	HASH_ADD(hh, cache->entries, head.room, sizeof(mh_nid), entry);
	cache->latest = entry->head.room;
}

int mh_room_head_get(struct mh_server *server, struct mh_tx *tx, mh_nid room,
		     struct mh_room_head **ret, struct mh_error *err)
{
	struct mh_room_cache *cache = server->rooms;
	struct entry *entry;

	HASH_FIND(hh, cache->entries, &room, sizeof(room), entry);
	if (entry) {
		entry_use(cache, entry);
		*ret = &entry->head;
		return 0;
	}
	entry = MH_NEW(struct entry);
	if (entry_load(mh_tx_db(tx), room, entry, err) < 0) {
		entry_free(entry);
		return -1;
	}
	*ret = &entry_add(cache, entry)->head;
	return 0;
}

struct mh_room_head *mh_room_head_new(struct mh_server *server,
				      struct mh_tx *tx, mh_nid room,
				      struct mh_str room_id,
				      const struct mh_room_rules *rules)
{
	struct entry *entry;

	HASH_FIND(hh, server->rooms->entries, &room, sizeof(room), entry);
	MH_ASSERT(!entry);
	entry = MH_NEW(struct entry);
	entry->head.room = room;
	entry->head.rules = rules;
	entry->head.room_id = copy(room_id);
	entry_add(server->rooms, entry);
	mh_room_head_touch(server, tx, room);
	return &entry->head;
}

/* --- the current state ------------------------------------------------------ */

static size_t member_slot(struct mh_str user_id)
{
	return mh_str_hash(user_id) % MH_HEAD_MEMBERS;
}

static struct mh_event **held(struct mh_room_head *head, struct mh_str type,
			      struct mh_str state_key)
{
	if (state_key.len)
		return NULL;
	if (mh_str_is(type, "m.room.create"))
		return &head->create;
	if (mh_str_is(type, "m.room.power_levels"))
		return &head->power_levels;
	if (mh_str_is(type, "m.room.join_rules"))
		return &head->join_rules;
	return NULL;
}

static int member_event(struct mh_tx *tx, struct mh_room_head *head,
			struct mh_str user_id, struct mh_event **ret,
			struct mh_error *err)
{
	struct mh_event **slot = &head->members[member_slot(user_id)];
	struct mh_event *event = NULL;
	int rc;

	if (*slot && mh_str_eq((*slot)->state_key, user_id)) {
		*ret = mh_event_ref(*slot);
		return 1;
	}
	rc = current_event(mh_tx_db(tx), head->room, "m.room.member", user_id,
			   &event, err);
	if (rc <= 0)
		return rc;
	mh_event_unref(*slot);
	*slot = mh_event_ref(event);
	*ret = event;
	return 1;
}

int mh_room_head_event(struct mh_server *server, struct mh_tx *tx,
		       struct mh_room_head *head, struct mh_str type,
		       struct mh_str state_key, struct mh_event **ret,
		       struct mh_error *err)
{
	struct mh_event **slot = held(head, type, state_key);
	MH_CLEANUP(mh_freep) char *type_z = NULL;

	(void)server;
	if (slot) {
		*ret = *slot ? mh_event_ref(*slot) : NULL;
		return *slot != NULL;
	}
	if (mh_str_is(type, "m.room.member"))
		return member_event(tx, head, state_key, ret, err);
	if (memchr(type.data, '\0', type.len))
		return 0; /* such a type never gets into a room's state */
	type_z = mh_str_dup(type);
	return current_event(mh_tx_db(tx), head->room, type_z, state_key, ret,
			     err);
}

int mh_room_head_membership(struct mh_server *server, struct mh_tx *tx,
			    struct mh_room_head *head, struct mh_str user_id,
			    enum mh_membership *ret, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	int rc = mh_room_head_event(server, tx, head, MH_STR("m.room.member"),
				    user_id, &event, err);

	if (rc < 0)
		return -1;
	*ret = rc ? mh_membership_from(event->membership) :
		    MH_MEMBERSHIP_NONE;
	return 0;
}

static int new_levels(struct mh_room_head *head, struct mh_error *err)
{
	struct mh_power_levels *levels;

	if (mh_power_levels_new(head->create, head->power_levels, &levels,
				err) < 0)
		return -1;
	mh_power_levels_free(head->levels);
	head->levels = levels;
	return 0;
}

int mh_room_head_set(struct mh_room_head *head, struct mh_event *event,
		     struct mh_error *err)
{
	struct mh_event **slot = held(head, event->type, event->state_key);

	if (mh_str_is(event->type, "m.room.member"))
		slot = &head->members[member_slot(event->state_key)];
	if (!slot)
		return 0;
	mh_event_unref(*slot);
	*slot = mh_event_ref(event);
	if (slot == &head->create || slot == &head->power_levels)
		return new_levels(head, err);
	return 0;
}

/* --- the DAG ---------------------------------------------------------------- */

void mh_room_head_advance(struct mh_room_head *head,
			  const struct mh_event_row *row)
{
	const struct mh_event *event = row->event;
	size_t kept = 0;

	for (size_t i = 0; i < head->n_leaves; i++) {
		if (mh_event_has_prev(event, head->leaves[i].event_id))
			leaf_release(&head->leaves[i]);
		else
			head->leaves[kept++] = head->leaves[i];
	}
	head->n_leaves = kept;
	if (kept < MH_EVENT_MAX_PREV)
		head->leaves[head->n_leaves++] = (struct mh_leaf){
			.event = row->nid,
			.depth = event->depth,
			.state_after = row->state_after,
			.event_id = copy(event->event_id),
		};
	if (event->depth > head->depth)
		head->depth = event->depth;
}

/* --- failures --------------------------------------------------------------- */

void mh_room_head_drop(struct mh_server *server, mh_nid room)
{
	struct entry *entry;

	HASH_FIND(hh, server->rooms->entries, &room, sizeof(room), entry);
	if (entry)
		entry_drop(server->rooms, entry);
}

struct touched {
	struct mh_server *server;
	mh_nid room;
};

static void undo_touched(void *context)
{
	struct touched *touched = context;

	mh_room_head_drop(touched->server, touched->room);
}

void mh_room_head_touch(struct mh_server *server, struct mh_tx *tx, mh_nid room)
{
	struct touched *touched = mh_tx_alloc(tx, sizeof(*touched));

	touched->server = server;
	touched->room = room;
	mh_tx_after(tx, NULL, undo_touched, touched);
}
