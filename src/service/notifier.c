/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier. A change takes this way:
 *
 *	write job	mh_notify_event() registers what will have changed
 *	COMMIT
 *	hooks		the memory follows (apply_event() and its like), and
 *			notes whom to wake
 *	published	mh_store_position() has moved on: one task is submitted
 *	worker		run_wakes() finds the rooms' members, counts their
 *			tickets up and calls their waiters
 *
 * So the writer does little, and who is woken sees what they were woken for.
 */
#include "service/notifier_impl.h"

#include "base/log.h"

#include <stdlib.h>

/* Rooms that the lists of all users may hold: 40 bytes each. */
#define ROOMS_BUDGET 400000

#define NOT_SHOWN                                                              \
	(MH_EVENT_OUTLIER | MH_EVENT_REJECTED | MH_EVENT_SOFT_FAILED |         \
	 MH_EVENT_HIDDEN)

/* --- entries ------------------------------------------------------------- */

struct mh_user_entry *mh_user_entry_get(struct mh_notifier *notifier,
					mh_nid user)
{
	struct mh_user_entry *entry = mh_nid_map_get(&notifier->users, user);

	if (entry)
		return entry;
	entry = MH_NEW(struct mh_user_entry);
	entry->user = user;
	/* What was before is not known. */
	entry->pos = notifier->hook_pos;
	entry->rooms_pos = notifier->hook_pos;
	mh_nid_map_put(&notifier->users, user, entry);
	return entry;
}

struct mh_room_entry *mh_room_entry_get(struct mh_notifier *notifier,
					mh_nid room, struct mh_str room_id)
{
	struct mh_room_entry *entry = mh_room_entry_find(notifier, room);

	if (entry)
		return entry;
	entry = MH_NEW(struct mh_room_entry);
	entry->room = room;
	entry->room_id = mh_str_n(mh_str_dup(room_id), room_id.len);
	entry->other_pos = notifier->hook_pos;
	entry->members_pos = notifier->hook_pos;
	entry->redacted_pos = notifier->hook_pos;
	entry->tail_from = INT64_MAX;
	mh_nid_map_put(&notifier->rooms, room, entry);
	return entry;
}

/* --- members of a room ---------------------------------------------------- */

static size_t member_slot(const struct mh_room_entry *entry, mh_nid user)
{
	size_t low = 0, high = entry->n_members;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (entry->members[mid] < user)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool mh_room_entry_has(const struct mh_room_entry *entry, mh_nid user)
{
	size_t slot = member_slot(entry, user);

	return slot < entry->n_members && entry->members[slot] == user;
}

static void set_member(struct mh_room_entry *entry, mh_nid user, bool joined)
{
	size_t slot = member_slot(entry, user);
	bool there = slot < entry->n_members && entry->members[slot] == user;

	if (there == joined)
		return;
	if (!joined) {
		entry->n_members--;
		memmove(entry->members + slot, entry->members + slot + 1,
			(entry->n_members - slot) * sizeof(mh_nid));
		return;
	}
	if (entry->n_members == entry->cap_members) {
		entry->cap_members =
			entry->cap_members ? 2 * entry->cap_members : 8;
		entry->members = mh_realloc_array(entry->members,
						  entry->cap_members,
						  sizeof(mh_nid));
	}
	memmove(entry->members + slot + 1, entry->members + slot,
		(entry->n_members - slot) * sizeof(mh_nid));
	entry->members[slot] = user;
	entry->n_members++;
}

static int add_local(void *context, const struct mh_member *member)
{
	if (member->local)
		set_member(context, member->user, true);
	return 1;
}

/* --- whom to wake ---------------------------------------------------------- */

static void wake_user(struct mh_notifier *notifier, mh_nid user)
{
	struct mh_user_entry *entry = mh_nid_map_get(&notifier->users, user);

	/* Whoever waits or holds a ticket has an entry. */
	if (!entry || entry->pending)
		return;
	entry->pending = true;
	if (notifier->n_pending_users == notifier->cap_pending_users) {
		notifier->cap_pending_users =
			notifier->cap_pending_users * 2 + 64;
		notifier->pending_users = mh_realloc_array(
			notifier->pending_users, notifier->cap_pending_users,
			sizeof(*notifier->pending_users));
	}
	notifier->pending_users[notifier->n_pending_users++] = entry;
}

static void wake_room(struct mh_notifier *notifier, struct mh_room_entry *entry)
{
	if (entry->pending)
		return;
	entry->pending = true;
	if (notifier->n_pending_rooms == notifier->cap_pending_rooms) {
		notifier->cap_pending_rooms =
			notifier->cap_pending_rooms * 2 + 16;
		notifier->pending_rooms = mh_realloc_array(
			notifier->pending_rooms, notifier->cap_pending_rooms,
			sizeof(*notifier->pending_rooms));
	}
	notifier->pending_rooms[notifier->n_pending_rooms++] = entry;
}

/*
 * Between the hooks of a batch and its publication nobody may be woken: they
 * would look at the old position, find nothing and wait on. With the mutex held.
 */
static bool unpublished(const struct mh_notifier *notifier)
{
	return notifier->hook_pos > notifier->position;
}

/* With the mutex held. */
static void submit_wakes(struct mh_notifier *notifier)
{
	if (notifier->submitted || unpublished(notifier) ||
	    notifier->n_pending_users + notifier->n_pending_rooms == 0)
		return;
	notifier->submitted = true;
	mh_queue_submit(notifier->server->workers, &notifier->task);
}

static void load_members(struct mh_notifier *notifier,
			 struct mh_room_entry *entry)
{
	struct mh_room_entry load = { 0 };
	MH_ERROR(err);
	MH_SNAPSHOT(db, mh_store_reader(notifier->server->store));
	int64_t at = 0;

	if (mh_db_position(db, &at, &err) < 0 ||
	    mh_member_list(db, entry->room, MH_MEMBERSHIP_JOIN, add_local,
			   &load, &err) < 0) {
		mh_log_error("sync", "the members of '%.*s' cannot be read: %s",
			     MH_STR_ARG(entry->room_id), err.message);
		free(load.members);
		return;
	}
	mh_notifier_catch_up(notifier, at);
	mh_notifier_lock(notifier);
	free(entry->members);
	free(entry->summary);
	entry->members = load.members;
	entry->n_members = load.n_members;
	entry->cap_members = load.cap_members;
	/* Else somebody joined meanwhile: these will do for once. */
	entry->members_known = entry->members_pos <= at;
	mh_notifier_unlock(notifier);
}

/* The rooms' members become pending users. */
static void expand_rooms(struct mh_notifier *notifier)
{
	mh_notifier_lock(notifier);
	while (notifier->n_pending_rooms) {
		struct mh_room_entry *entry =
			notifier->pending_rooms[--notifier->n_pending_rooms];

		entry->pending = false;
		if (!entry->members_known) {
			mh_notifier_unlock(notifier);
			load_members(notifier, entry);
			mh_notifier_lock(notifier);
		}
		for (size_t i = 0; i < entry->n_members; i++)
			wake_user(notifier, entry->members[i]);
	}
	mh_notifier_unlock(notifier);
}

/* Takes a user's waiters out; they are linked by `next` to `list`. */
static struct mh_waiter *take_waiters(struct mh_notifier *notifier,
				      struct mh_user_entry *entry,
				      struct mh_waiter *list)
{
	struct mh_waiter *waiter, *next;

	for (waiter = entry->waiters; waiter; waiter = next) {
		next = waiter->next;
		waiter->waiting = false;
		waiter->prev = NULL;
		waiter->next = list;
		list = waiter;
		notifier->waiting--;
	}
	entry->waiters = NULL;
	return list;
}

static void call_waiters(struct mh_waiter *list, bool stopping)
{
	struct mh_waiter *next;

	for (struct mh_waiter *waiter = list; waiter; waiter = next) {
		next = waiter->next;
		waiter->next = NULL;
		waiter->wake(waiter, stopping);
	}
}

static void run_wakes(struct mh_task *task)
{
	struct mh_notifier *notifier =
		MH_CONTAINER_OF(task, struct mh_notifier, task);
	struct mh_waiter *list = NULL;

	expand_rooms(notifier);
	mh_notifier_lock(notifier);
	notifier->submitted = false;
	for (size_t i = 0;
	     i < notifier->n_pending_users && !unpublished(notifier); i++) {
		struct mh_user_entry *entry = notifier->pending_users[i];

		entry->pending = false;
		entry->version++;
		list = take_waiters(notifier, entry, list);
	}
	if (!unpublished(notifier))
		notifier->n_pending_users = 0;
	submit_wakes(notifier); /* a room may have come in the meantime */
	mh_notifier_unlock(notifier);
	call_waiters(list, false);
}

/* --- what write jobs say ---------------------------------------------------- */

struct change {
	struct mh_notifier *notifier;
	int64_t pos;
	mh_nid room, user;
	struct mh_str room_id;	  /* events only; the batch's memory */
	struct mh_recent *recent; /* NULL: could not be made */
	bool timeline, membership, joined, redaction;
	struct mh_str relates_to; /* the event that this one refers to */
};

static void raise_to(int64_t *pos, int64_t to)
{
	if (*pos < to)
		*pos = to;
}

static void apply_membership(const struct change *change,
			     struct mh_room_entry *entry)
{
	struct mh_notifier *notifier = change->notifier;
	struct mh_user_entry *user;

	raise_to(&entry->members_pos, change->pos);
	if (!change->user)
		return; /* of another server */
	raise_to(&notifier->membership_pos, change->pos);
	if (entry->members_known)
		set_member(entry, change->user, change->joined);
	user = mh_nid_map_get(&notifier->users, change->user);
	if (!user)
		return;
	raise_to(&user->rooms_pos, change->pos);
	mh_user_rooms_forget(notifier, user);
	wake_user(notifier, change->user);
}

static void mark_related(struct mh_room_entry *entry, struct mh_str event_id)
{
	for (size_t i = entry->n_tail; event_id.len && i-- > 0;)
		if (mh_str_eq(entry->tail[i]->row.event->event_id, event_id))
			__atomic_store_n(&entry->tail[i]->related, true,
					 __ATOMIC_RELAXED);
}

static void event_committed(void *context)
{
	struct change *change = context;
	struct mh_notifier *notifier = change->notifier;
	struct mh_room_entry *entry;

	mh_notifier_lock(notifier);
	raise_to(&notifier->hook_pos, change->pos);
	entry = mh_room_entry_get(notifier, change->room, change->room_id);
	entry->latest_known = true;
	raise_to(&entry->latest_pos, change->pos);
	if (change->redaction) {
		/* Bytes that are kept may be those of its target. */
		mh_tail_drop(notifier, entry);
		entry->tail_from = change->pos - 1;
		raise_to(&entry->redacted_pos, change->pos);
	}
	mark_related(entry, change->relates_to);
	mh_tail_append(notifier, entry, change->pos, MH_TAKE(change->recent));
	if (change->membership)
		apply_membership(change, entry);
	wake_room(notifier, entry);
	mh_notifier_unlock(notifier);
}

static void event_undone(void *context)
{
	struct change *change = context;

	mh_recent_unref(change->recent);
}

/* What its content says in m.relates_to, wherever the type is. */
static struct mh_str relation_target(struct mh_tx *tx,
				     const struct mh_event *event)
{
	struct mh_str relates =
		mh_json_slice(event->content, "m.relates_to");
	struct mh_str id = relates.len && relates.data[0] == '{' ?
				   mh_json_slice(relates, "event_id") :
				   MH_STR_NONE;
	char *copy;

	if (id.len < 3 || id.data[0] != '"')
		return MH_STR_NONE;
	id = mh_str_n(id.data + 1, id.len - 2);
	copy = mh_tx_alloc(tx, id.len);
	memcpy(copy, id.data, id.len);
	return mh_str_n(copy, id.len);
}

static int fill_change(struct mh_tx *tx, struct mh_server *server,
		       const struct mh_event_row *row, struct change *change,
		       struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(tx);
	struct mh_member member;
	int rc;

	change->membership = mh_event_is(row->event, "m.room.member", NULL) &&
			     mh_event_is_state(row->event);
	if (change->membership && mh_server_owns(server, row->event->state_key)) {
		rc = mh_member_get(db, row->room, row->state_key, &member, err);
		if (rc < 0)
			return -1;
		change->user = row->state_key;
		change->joined = rc && member.membership == MH_MEMBERSHIP_JOIN;
	}
	if (mh_recent_new(server->notifier, db, row, &change->recent, err) < 0)
		return -1;
	change->recent->fresh = true;
	return 0;
}

void mh_notify_event(struct mh_tx *tx, struct mh_server *server,
		     const struct mh_event_row *row)
{
	struct change *change;
	char *room_id;
	MH_ERROR(err);

	if (row->pos <= 0 || (row->flags & NOT_SHOWN))
		return;
	change = mh_tx_alloc(tx, sizeof(*change));
	*change = (struct change){
		.notifier = server->notifier,
		.pos = row->pos,
		.room = row->room,
		.timeline = true,
		.redaction = mh_event_is(row->event, "m.room.redaction", NULL),
		.relates_to = relation_target(tx, row->event),
	};
	room_id = mh_tx_alloc(tx, row->event->room_id.len);
	memcpy(room_id, row->event->room_id.data, row->event->room_id.len);
	change->room_id = mh_str_n(room_id, row->event->room_id.len);
	if (fill_change(tx, server, row, change, &err) < 0) {
		/* Readers will read it from the store. */
		mh_log_debug("sync", "an event is not kept in memory: %s",
			     err.message);
		if (change->membership)
			mh_notify_members(tx, server, row->room);
	}
	mh_tx_after(tx, event_committed, event_undone, change);
}

static void members_committed(void *context)
{
	const struct change *change = context;
	struct mh_notifier *notifier = change->notifier;
	struct mh_room_entry *entry;

	mh_notifier_lock(notifier);
	raise_to(&notifier->hook_pos, change->pos);
	raise_to(&notifier->membership_pos, change->pos);
	entry = mh_room_entry_find(notifier, change->room);
	if (entry) {
		/* Those who were members are told as well. */
		for (size_t i = 0; i < entry->n_members; i++)
			wake_user(notifier, entry->members[i]);
		raise_to(&entry->members_pos, change->pos);
		entry->members_known = false;
		wake_room(notifier, entry);
	}
	while (notifier->newest_rooms)
		mh_user_rooms_forget(notifier, notifier->newest_rooms);
	for (size_t i = 0; i < notifier->users.cap; i++) {
		struct mh_user_entry *user = notifier->users.slots[i].value;

		if (user)
			raise_to(&user->rooms_pos, change->pos);
	}
	mh_notifier_unlock(notifier);
}

static void room_committed(void *context)
{
	const struct change *change = context;
	struct mh_notifier *notifier = change->notifier;
	struct mh_room_entry *entry;

	mh_notifier_lock(notifier);
	raise_to(&notifier->hook_pos, change->pos);
	entry = mh_room_entry_find(notifier, change->room);
	if (entry) {
		raise_to(&entry->other_pos, change->pos);
		wake_room(notifier, entry);
	}
	mh_notifier_unlock(notifier);
}

static void user_committed(void *context)
{
	const struct change *change = context;
	struct mh_notifier *notifier = change->notifier;
	struct mh_user_entry *user;

	mh_notifier_lock(notifier);
	raise_to(&notifier->hook_pos, change->pos);
	user = mh_nid_map_get(&notifier->users, change->user);
	if (user) {
		raise_to(&user->pos, change->pos);
		wake_user(notifier, change->user);
	}
	mh_notifier_unlock(notifier);
}

static void membership_committed(void *context)
{
	const struct change *change = context;
	struct mh_notifier *notifier = change->notifier;
	struct mh_room_entry *entry;

	mh_notifier_lock(notifier);
	raise_to(&notifier->hook_pos, change->pos);
	entry = mh_room_entry_find(notifier, change->room);
	if (entry)
		apply_membership(change, entry);
	mh_notifier_unlock(notifier);
	user_committed(context);
}

static void register_change(struct mh_tx *tx, struct mh_server *server,
			    mh_nid room, mh_nid user, bool joined,
			    void (*fn)(void *))
{
	struct change *change = mh_tx_alloc(tx, sizeof(*change));

	*change = (struct change){
		.notifier = server->notifier,
		.pos = mh_tx_pos(tx),
		.room = room,
		.user = user,
		.joined = joined,
	};
	mh_tx_after(tx, fn, NULL, change);
}

void mh_notify_room(struct mh_tx *tx, struct mh_server *server, mh_nid room)
{
	register_change(tx, server, room, 0, false, room_committed);
}

void mh_notify_user(struct mh_tx *tx, struct mh_server *server, mh_nid user)
{
	/* Not every change has a position of its own: a claimed key has none. */
	mh_tx_next_pos(tx);
	register_change(tx, server, 0, user, false, user_committed);
}

void mh_notify_members(struct mh_tx *tx, struct mh_server *server, mh_nid room)
{
	register_change(tx, server, room, 0, false, members_committed);
}

int mh_notify_membership(struct mh_tx *tx, struct mh_server *server,
			 mh_nid room, mh_nid user, struct mh_error *err)
{
	struct mh_member member;
	int rc = mh_member_get(mh_tx_db(tx), room, user, &member, err);

	if (rc < 0)
		return -1;
	register_change(tx, server, room, user,
			rc && member.membership == MH_MEMBERSHIP_JOIN,
			membership_committed);
	return 0;
}

/* The store: mh_store_position() is `pos` now. */
static void position_published(void *context, int64_t pos)
{
	struct mh_notifier *notifier = context;

	mh_notifier_lock(notifier);
	notifier->position = pos;
	raise_to(&notifier->hook_pos, pos);
	pthread_cond_broadcast(&notifier->published);
	submit_wakes(notifier);
	mh_notifier_unlock(notifier);
}

void mh_notifier_catch_up(struct mh_notifier *notifier, int64_t pos)
{
	mh_notifier_lock(notifier);
	while (notifier->position < pos)
		pthread_cond_wait(&notifier->published, &notifier->mutex);
	mh_notifier_unlock(notifier);
}

/* --- ephemeral facts --------------------------------------------------------- */

int64_t mh_ephemeral_next(struct mh_server *server)
{
	return __atomic_add_fetch(&server->notifier->ephemeral, 1,
				  __ATOMIC_SEQ_CST);
}

int64_t mh_ephemeral_position(struct mh_server *server)
{
	return __atomic_load_n(&server->notifier->ephemeral, __ATOMIC_SEQ_CST);
}

void mh_notify_room_now(struct mh_server *server, mh_nid room)
{
	struct mh_notifier *notifier = server->notifier;
	struct mh_room_entry *entry;

	mh_notifier_lock(notifier);
	entry = mh_room_entry_find(notifier, room);
	if (entry) {
		raise_to(&entry->ephemeral_pos, mh_ephemeral_position(server));
		wake_room(notifier, entry);
		submit_wakes(notifier);
	}
	mh_notifier_unlock(notifier);
}

void mh_notify_user_now(struct mh_server *server, mh_nid user)
{
	struct mh_notifier *notifier = server->notifier;

	mh_notifier_lock(notifier);
	wake_user(notifier, user);
	submit_wakes(notifier);
	mh_notifier_unlock(notifier);
}

static int rooms_now(struct mh_notifier *notifier, mh_nid user,
		     struct mh_user_rooms **ret, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_store_reader(notifier->server->store));
	int64_t at;

	if (mh_db_position(db, &at, err) < 0)
		return -1;
	mh_notifier_catch_up(notifier, at);
	return mh_user_rooms_get(notifier, db, at, user, ret, err);
}

void mh_notify_sharers_now(struct mh_server *server, mh_nid user)
{
	MH_CLEANUP(mh_user_rooms_unrefp) struct mh_user_rooms *rooms = NULL;
	struct mh_notifier *notifier = server->notifier;
	MH_ERROR(err);

	if (mh_user_rooms_get(notifier, NULL, INT64_MAX, user, &rooms, &err) <=
		    0 &&
	    rooms_now(notifier, user, &rooms, &err) < 0) {
		mh_log_error("sync", "the rooms of a user cannot be read: %s",
			     err.message);
		return;
	}
	mh_notifier_lock(notifier);
	wake_user(notifier, user);
	for (size_t i = 0; i < rooms->n; i++)
		if (rooms->rooms[i].membership == MH_MEMBERSHIP_JOIN)
			wake_room(notifier, rooms->rooms[i].entry);
	submit_wakes(notifier);
	mh_notifier_unlock(notifier);
}

/* --- waiters ------------------------------------------------------------------ */

uint64_t mh_notifier_ticket(struct mh_server *server, mh_nid user)
{
	struct mh_notifier *notifier = server->notifier;
	uint64_t version;

	mh_notifier_lock(notifier);
	version = mh_user_entry_get(notifier, user)->version;
	mh_notifier_unlock(notifier);
	return version;
}

void mh_waiter_add(struct mh_server *server, struct mh_waiter *waiter,
		   uint64_t ticket)
{
	struct mh_notifier *notifier = server->notifier;
	struct mh_user_entry *entry;
	bool stopping, late;

	mh_notifier_lock(notifier);
	entry = mh_user_entry_get(notifier, waiter->user);
	stopping = notifier->stopping;
	late = stopping || entry->version != ticket;
	waiter->waiting = !late;
	waiter->prev = NULL;
	waiter->next = NULL;
	if (!late) {
		waiter->next = entry->waiters;
		if (waiter->next)
			waiter->next->prev = waiter;
		entry->waiters = waiter;
		notifier->waiting++;
	}
	mh_notifier_unlock(notifier);
	if (late)
		waiter->wake(waiter, stopping);
}

bool mh_waiter_remove(struct mh_server *server, struct mh_waiter *waiter)
{
	struct mh_notifier *notifier = server->notifier;
	struct mh_user_entry *entry;
	bool waiting;

	mh_notifier_lock(notifier);
	waiting = waiter->waiting;
	if (waiting) {
		entry = mh_nid_map_get(&notifier->users, waiter->user);
		if (waiter->prev)
			waiter->prev->next = waiter->next;
		else
			entry->waiters = waiter->next;
		if (waiter->next)
			waiter->next->prev = waiter->prev;
		waiter->prev = NULL;
		waiter->next = NULL;
		waiter->waiting = false;
		notifier->waiting--;
	}
	mh_notifier_unlock(notifier);
	return waiting;
}

/* --- the whole ------------------------------------------------------------------ */

struct mh_notifier *mh_notifier_new(struct mh_server *server)
{
	struct mh_notifier *notifier = MH_NEW(struct mh_notifier);

	notifier->server = server;
	pthread_mutex_init(&notifier->mutex, NULL);
	pthread_cond_init(&notifier->published, NULL);
	notifier->position = mh_store_position(server->store);
	notifier->hook_pos = notifier->position;
	notifier->membership_pos = notifier->position;
	notifier->task.run = run_wakes;
	notifier->tail_budget = mh_recent_budget(server);
	notifier->rooms_budget = ROOMS_BUDGET;
	mh_store_on_commit(server->store, position_published, notifier);
	return notifier;
}

void mh_notifier_stop(struct mh_notifier *notifier)
{
	struct mh_waiter *list = NULL;

	mh_notifier_lock(notifier);
	notifier->stopping = true;
	for (size_t i = 0; i < notifier->users.cap; i++) {
		struct mh_user_entry *entry = notifier->users.slots[i].value;

		if (entry)
			list = take_waiters(notifier, entry, list);
	}
	mh_notifier_unlock(notifier);
	call_waiters(list, true);
}

static void free_room(struct mh_notifier *notifier, struct mh_room_entry *entry)
{
	mh_tail_drop(notifier, entry);
	free(entry->members);
	free(entry->summary);
	free((void *)(uintptr_t)entry->room_id.data);
	free(entry);
}

void mh_notifier_free(struct mh_notifier *notifier)
{
	if (!notifier)
		return;
	mh_store_on_commit(notifier->server->store, NULL, NULL);
	for (size_t i = 0; i < notifier->users.cap; i++) {
		struct mh_user_entry *entry = notifier->users.slots[i].value;

		if (entry)
			mh_user_rooms_forget(notifier, entry);
		free(entry);
	}
	for (size_t i = 0; i < notifier->rooms.cap; i++)
		if (notifier->rooms.slots[i].value)
			free_room(notifier, notifier->rooms.slots[i].value);
	mh_nid_map_release(&notifier->users);
	mh_nid_map_release(&notifier->rooms);
	free(notifier->pending_users);
	free(notifier->pending_rooms);
	pthread_cond_destroy(&notifier->published);
	pthread_mutex_destroy(&notifier->mutex);
	free(notifier);
}
