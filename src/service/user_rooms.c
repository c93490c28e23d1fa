/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rooms a user is in, remembered for users who sync: so that a sync of an
 * account with hundreds of quiet rooms asks the database nothing. The list of a
 * user is dropped when one of their memberships changes.
 */
#include "service/notifier_impl.h"

#include "base/arena.h"

#include <stdlib.h>

void mh_user_rooms_unref(struct mh_user_rooms *rooms)
{
	if (rooms && __atomic_sub_fetch(&rooms->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(rooms);
}

static struct mh_user_rooms *ref(struct mh_user_rooms *rooms)
{
	__atomic_add_fetch(&rooms->refs, 1, __ATOMIC_RELAXED);
	return rooms;
}

static void unlink_user(struct mh_notifier *notifier,
			struct mh_user_entry *user)
{
	if (user->newer)
		user->newer->older = user->older;
	else if (notifier->newest_rooms == user)
		notifier->newest_rooms = user->older;
	if (user->older)
		user->older->newer = user->newer;
	else if (notifier->oldest_rooms == user)
		notifier->oldest_rooms = user->newer;
	user->newer = NULL;
	user->older = NULL;
}

static void link_user(struct mh_notifier *notifier, struct mh_user_entry *user)
{
	user->older = notifier->newest_rooms;
	if (user->older)
		user->older->newer = user;
	else
		notifier->oldest_rooms = user;
	notifier->newest_rooms = user;
}

void mh_user_rooms_forget(struct mh_notifier *notifier,
			  struct mh_user_entry *user)
{
	if (!user->rooms)
		return;
	unlink_user(notifier, user);
	notifier->rooms_cached -= user->rooms->n;
	mh_user_rooms_unref(user->rooms);
	user->rooms = NULL;
}

static void remember(struct mh_notifier *notifier, struct mh_user_entry *user,
		     struct mh_user_rooms *rooms)
{
	mh_user_rooms_forget(notifier, user);
	user->rooms = ref(rooms);
	notifier->rooms_cached += rooms->n;
	link_user(notifier, user);
	while (notifier->rooms_cached > notifier->rooms_budget &&
	       notifier->oldest_rooms != user)
		mh_user_rooms_forget(notifier, notifier->oldest_rooms);
}

struct load {
	struct mh_member *members;
	size_t n, cap;
};

static int collect(void *context, const struct mh_member *member)
{
	struct load *load = context;

	if (load->n == load->cap) {
		load->cap = load->cap ? 2 * load->cap : 16;
		load->members = mh_realloc_array(load->members, load->cap,
						 sizeof(*load->members));
	}
	load->members[load->n++] = *member;
	return 1;
}

/* The entry of a room, whose ID is looked up when the entry is new. */
static struct mh_room_entry *entry_of(struct mh_notifier *notifier,
				      struct mh_db *db, mh_nid room,
				      struct mh_arena *arena,
				      struct mh_error *err)
{
	struct mh_room_entry *entry;
	struct mh_room info;
	struct mh_str room_id;
	int rc;

	mh_notifier_lock(notifier);
	entry = mh_room_entry_find(notifier, room);
	if (entry && !entry->latest_known)
		entry = NULL;
	mh_notifier_unlock(notifier);
	if (entry)
		return entry;
	if (mh_name_get_str(db, room, arena, &room_id, err) < 0)
		return NULL;
	rc = mh_rooms_get(db, room, &info, err);
	if (rc < 0)
		return NULL;
	mh_notifier_lock(notifier);
	entry = mh_room_entry_get(notifier, room, room_id);
	if (rc > 0 && entry->latest_pos < info.latest_pos)
		entry->latest_pos = info.latest_pos;
	entry->latest_known = true;
	mh_notifier_unlock(notifier);
	return entry;
}

static int load_rooms(struct mh_notifier *notifier, struct mh_db *db,
		      mh_nid user, struct mh_user_rooms **ret,
		      struct mh_error *err)
{
	struct load load = { 0 };
	struct mh_arena arena;
	int rc;

	mh_arena_init(&arena);
	rc = mh_member_rooms(db, user, collect, &load, err);
	if (rc == 0) {
		struct mh_user_rooms *rooms =
			mh_alloc0(sizeof(*rooms) +
				  load.n * sizeof(rooms->rooms[0]));

		rooms->refs = 1;
		for (size_t i = 0; i < load.n && rc == 0; i++) {
			const struct mh_member *member = &load.members[i];
			struct mh_room_entry *entry = entry_of(
				notifier, db, member->room, &arena, err);

			if (!entry)
				rc = -1;
			rooms->rooms[i] = (struct mh_user_room){
				.entry = entry,
				.membership = member->membership,
				.forgotten = member->forgotten,
				.event = member->event,
				.pos = member->pos,
			};
		}
		rooms->n = load.n;
		if (rc == 0)
			*ret = rooms;
		else
			mh_user_rooms_unref(rooms);
	}
	free(load.members);
	mh_arena_release(&arena);
	return rc;
}

int mh_user_rooms_get(struct mh_notifier *notifier, struct mh_db *db,
		      int64_t at, mh_nid user, struct mh_user_rooms **ret,
		      struct mh_error *err)
{
	struct mh_user_entry *entry;
	struct mh_user_rooms *rooms = NULL;

	mh_notifier_lock(notifier);
	entry = mh_user_entry_get(notifier, user);
	if (entry->rooms && entry->rooms_pos <= at) {
		rooms = ref(entry->rooms);
		if (notifier->newest_rooms != entry) {
			unlink_user(notifier, entry);
			link_user(notifier, entry);
		}
	}
	mh_notifier_unlock(notifier);
	if (!rooms && !db)
		return 0;
	if (!rooms) {
		if (load_rooms(notifier, db, user, &rooms, err) < 0)
			return -1;
		mh_notifier_lock(notifier);
		if (notifier->membership_pos <= at)
			remember(notifier, entry, rooms);
		mh_notifier_unlock(notifier);
	}
	*ret = rooms;
	return 1;
}
