/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History visibility. The rules look at the state *at* an event: the history
 * visibility and the user's membership there. Many events share a state group
 * (every message between two state events does), and few groups differ in these
 * two keys, so what was found is kept: by group, and by the event that sets it.
 *
 * "Joined at any point after the event was sent" needs no walk over the timeline:
 * it is asked once a view, when the user last ceased to be joined. Whoever is
 * joined now was joined after every event.
 */
#include "service/visibility.h"

#include "base/arena.h"
#include "store/account_data.h"

#include <uthash.h>

enum visibility {
	VISIBLE_JOINED,
	VISIBLE_INVITED,
	VISIBLE_SHARED,
	VISIBLE_WORLD,
};

/* The two keys in one state. */
struct at {
	int64_t group;
	mh_nid visibility_event, member_event;
	enum visibility visibility;
	enum mh_membership membership;
	UT_hash_handle hh;
};

struct mh_visibility {
	struct mh_db *db;
	struct mh_arena *arena;
	mh_nid room, user;
	mh_nid visibility_type, member_type, empty_key; /* 0: never stored */
	bool ready, forgotten;
	enum mh_membership membership; /* now */
	/* Timeline positions below this are before the user's last join ended. */
	int64_t joined_until;
	int64_t left_state; /* the group after the event that ended it */
	const struct at *last;
	struct at *groups;
	bool ignored_ready;
	json_t *ignored; /* m.ignored_user_list's object; NULL: nobody */
};

/* Bounds the walk over somebody's past memberships. */
#define MEMBERSHIPS_MAX 200

static void release_groups(void *context)
{
	struct mh_visibility *view = context;

	HASH_CLEAR(hh, view->groups);
	json_decref(view->ignored);
}

struct mh_visibility *mh_visibility_new(struct mh_db *db,
					struct mh_arena *arena, mh_nid room,
					mh_nid user)
{
	struct mh_visibility *view = MH_ARENA_NEW(arena, struct mh_visibility);

	view->db = db;
	view->arena = arena;
	view->room = room;
	view->user = user;
	mh_arena_defer(arena, release_groups, view);
	return view;
}

/* --- what an event says ------------------------------------------------------- */

static enum visibility visibility_of(const struct mh_event *event)
{
	struct mh_str value = mh_json_slice(event->content,
					    "history_visibility");

	if (mh_str_is(value, "\"world_readable\""))
		return VISIBLE_WORLD;
	if (mh_str_is(value, "\"invited\""))
		return VISIBLE_INVITED;
	if (mh_str_is(value, "\"joined\""))
		return VISIBLE_JOINED;
	return VISIBLE_SHARED; /* also when it is not understood */
}

static int read_event(struct mh_visibility *view, mh_nid nid,
		      struct mh_event_row *row, struct mh_error *err)
{
	int rc = mh_events_get_nid(view->db, nid, row, err);

	if (rc == 0)
		return mh_fail_internal(err, "database: event %lld is missing",
					(long long)nid);
	return rc < 0 ? -1 : 0;
}

/* Neighbouring states mostly have the same two events. */
static int read_visibility(struct mh_visibility *view, struct at *at,
			   struct mh_error *err)
{
	struct mh_event_row row = { 0 };

	at->visibility = VISIBLE_SHARED;
	if (!at->visibility_event)
		return 0;
	if (view->last &&
	    view->last->visibility_event == at->visibility_event) {
		at->visibility = view->last->visibility;
		return 0;
	}
	if (read_event(view, at->visibility_event, &row, err) < 0)
		return -1;
	at->visibility = visibility_of(row.event);
	mh_event_row_release(&row);
	return 0;
}

static int read_membership(struct mh_visibility *view, struct at *at,
			   struct mh_error *err)
{
	struct mh_event_row row = { 0 };

	at->membership = MH_MEMBERSHIP_NONE;
	if (!at->member_event)
		return 0;
	if (view->last && view->last->member_event == at->member_event) {
		at->membership = view->last->membership;
		return 0;
	}
	if (read_event(view, at->member_event, &row, err) < 0)
		return -1;
	at->membership = mh_membership_from(row.event->membership);
	mh_event_row_release(&row);
	return 0;
}

/* --- the state at an event ------------------------------------------------------ */

/* 0 in an empty state, or when the key was never used anywhere. */
static int key_of_group(struct mh_visibility *view, int64_t group, mh_nid type,
			mh_nid state_key, mh_nid *ret, struct mh_error *err)
{
	*ret = 0;
	if (!group || !type || !state_key)
		return 0;
	*ret = mh_state_group_get(view->db, group, type, state_key, err);
	return *ret < 0 ? -1 : 0;
}

static int look_up(struct mh_visibility *view, int64_t group,
		   const struct at **ret, struct mh_error *err)
{
	struct at *at;

	if (view->last && view->last->group == group) {
		*ret = view->last;
		return 0;
	}
	HASH_FIND(hh, view->groups, &group, sizeof(group), at);
	if (!at) {
		at = MH_ARENA_NEW(view->arena, struct at);
		at->group = group;
		if (key_of_group(view, group, view->visibility_type,
				 view->empty_key, &at->visibility_event,
				 err) < 0 ||
		    key_of_group(view, group, view->member_type, view->user,
				 &at->member_event, err) < 0 ||
		    read_visibility(view, at, err) < 0 ||
		    read_membership(view, at, err) < 0)
			return -1;
		HASH_ADD(hh, view->groups, group, sizeof(group), at);
	}
	view->last = *ret = at;
	return 0;
}

/* --- the user's past ------------------------------------------------------------- */

/*
 * Follows the member events back to the one that ended the last time in the
 * room: the position of that one, or 0 for somebody who never was in it.
 */
static int last_joined(struct mh_visibility *view, mh_nid member_event,
		       struct mh_error *err)
{
	for (int i = 0; member_event && i < MEMBERSHIPS_MAX; i++) {
		struct mh_event_row row = { 0 };
		const struct at *before;
		int64_t pos, group, after;

		if (read_event(view, member_event, &row, err) < 0)
			return -1;
		pos = row.pos;
		group = row.state_before;
		after = row.state_after;
		mh_event_row_release(&row);
		if (look_up(view, group, &before, err) < 0)
			return -1;
		if (before->membership == MH_MEMBERSHIP_JOIN) {
			view->joined_until = pos;
			view->left_state = after;
			return 0;
		}
		member_event = before->member_event;
	}
	return 0;
}

static int prepare(struct mh_visibility *view, struct mh_error *err)
{
	struct mh_member member = { 0 };
	int rc;

	if (view->ready)
		return 0;
	view->visibility_type = mh_name_find(
		view->db, MH_STR("m.room.history_visibility"), err);
	view->member_type = mh_name_find(view->db, MH_STR("m.room.member"),
					 err);
	view->empty_key = mh_name_find(view->db, MH_STR(""), err);
	if (view->visibility_type < 0 || view->member_type < 0 ||
	    view->empty_key < 0)
		return -1;
	rc = mh_member_get(view->db, view->room, view->user, &member, err);
	if (rc < 0)
		return -1;
	if (rc > 0) {
		view->membership = member.membership;
		view->forgotten = member.forgotten;
	}
	view->joined_until = INT64_MIN;
	if (view->membership == MH_MEMBERSHIP_JOIN)
		view->joined_until = INT64_MAX;
	else if (rc > 0 && !view->forgotten &&
		 last_joined(view, member.event, err) < 0)
		return -1;
	view->ready = true;
	return 0;
}

/* --- the rules ------------------------------------------------------------------- */

/* "Room history visibility", rules 1 to 5; the numbers are the spec's. */
static bool allows(const struct mh_visibility *view,
		   const struct mh_event_row *row, enum visibility visibility,
		   enum mh_membership membership)
{
	if (visibility == VISIBLE_WORLD) /* 1 */
		return true;
	/* Who forgot a room is as if never in it, until joining again. */
	if (view->forgotten)
		return false;
	if (membership == MH_MEMBERSHIP_JOIN) /* 2 */
		return true;
	if (visibility == VISIBLE_SHARED && row->pos < view->joined_until)
		return true; /* 3 */
	return visibility == VISIBLE_INVITED && /* 4 */
	       membership == MH_MEMBERSHIP_INVITE;
}

static bool is_own_membership(const struct mh_visibility *view,
			      const struct mh_event_row *row)
{
	return row->state_key == view->user &&
	       mh_event_is(row->event, "m.room.member", NULL);
}

static int load_ignored(struct mh_visibility *view, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *list = NULL;
	MH_STRBUF(text);
	MH_ERROR(bad);
	int rc = mh_account_data_get(view->db, view->user, 0,
				     MH_STR("m.ignored_user_list"), &text, err);

	if (rc < 0)
		return -1;
	view->ignored_ready = true;
	/* Whatever a client stored that is no list ignores nobody. */
	if (rc > 0 &&
	    mh_json_parse_object(mh_strbuf_str(&text), &list, &bad) == 0)
		view->ignored = json_incref(
			json_object_get(list, "ignored_users"));
	return 0;
}

/* State is shown whoever sent it ("Ignoring Users", server behaviour). */
static int is_ignored(struct mh_visibility *view,
		      const struct mh_event_row *row, struct mh_error *err)
{
	struct mh_str sender = row->event->sender;

	if (mh_event_is_state(row->event) || row->sender == view->user)
		return 0;
	if (!view->ignored_ready && load_ignored(view, err) < 0)
		return -1;
	return json_object_getn(view->ignored, sender.data, sender.len) != NULL;
}

int mh_visibility_allows(struct mh_visibility *view,
			 const struct mh_event_row *row, struct mh_error *err)
{
	const struct at *before;
	enum visibility visibility;
	enum mh_membership membership;
	int rc;

	if (row->room != view->room ||
	    row->flags & (MH_EVENT_OUTLIER | MH_EVENT_REJECTED |
			  MH_EVENT_SOFT_FAILED | MH_EVENT_HIDDEN))
		return 0;
	if (prepare(view, err) < 0 ||
	    look_up(view, row->state_before, &before, err) < 0)
		return -1;
	rc = is_ignored(view, row, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	visibility = before->visibility;
	membership = before->membership;
	if (allows(view, row, visibility, membership))
		return 1;
	/* These two are judged by what they bring as well. */
	if (mh_event_is(row->event, "m.room.history_visibility", ""))
		visibility = visibility_of(row->event);
	else if (is_own_membership(view, row))
		membership = mh_membership_from(row->event->membership);
	else
		return 0;
	return allows(view, row, visibility, membership);
}

int mh_visibility_world_readable(struct mh_visibility *view,
				 struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc = mh_state_current_get(view->db, view->room,
				      "m.room.history_visibility", MH_STR(""),
				      &row, err);

	if (rc > 0)
		rc = visibility_of(row.event) == VISIBLE_WORLD;
	mh_event_row_release(&row);
	return rc;
}

int mh_visibility_room(struct mh_visibility *view, struct mh_error *err)
{
	if (prepare(view, err) < 0)
		return -1;
	if (!view->forgotten && view->joined_until > INT64_MIN)
		return 1;
	return mh_visibility_world_readable(view, err);
}

int mh_visibility_membership(struct mh_visibility *view,
			     const struct mh_event_row *row,
			     enum mh_membership *ret, struct mh_error *err)
{
	const struct at *before;

	if (is_own_membership(view, row)) {
		*ret = mh_membership_from(row->event->membership);
		return 0;
	}
	if (prepare(view, err) < 0 ||
	    look_up(view, row->state_before, &before, err) < 0)
		return -1;
	*ret = before->membership;
	return 0;
}

int mh_visibility_state(struct mh_visibility *view, int64_t *ret_group,
			struct mh_error *err)
{
	int rc;

	*ret_group = 0;
	if (prepare(view, err) < 0)
		return -1;
	if (view->membership == MH_MEMBERSHIP_JOIN)
		return 1;
	rc = mh_visibility_world_readable(view, err);
	if (rc != 0)
		return rc;
	if (view->forgotten || view->joined_until == INT64_MIN)
		return 0;
	*ret_group = view->left_state;
	return 1;
}
