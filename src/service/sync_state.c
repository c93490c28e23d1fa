/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one room in a sync.
 *
 * With a `full` room it is a whole state group: the one before the first event
 * of the timeline, or (state_after) the current one. What all clients ask for
 * alike, the state without its members, is kept as one run of JSON, a *view*,
 * and copied at once. Members are added one by one as lazy loading wants them.
 *
 * Otherwise it is what differs between two groups: the one after the last event
 * that the client has had, and the one that is wanted.
 */
#include "service/sync_impl.h"

#include <stdlib.h>

struct member_json {
	size_t len;
	char json[];
};

/* Immutable but for `members`. Kept one a room, by use. */
struct mh_state_view {
	int refs; /* atomic */
	struct mh_room_entry *entry;
	int64_t group;
	int64_t at; /* the position it was read at */
	struct mh_str json; /* the events that are no members, with commas */
	size_t n;
	struct mh_nid_map members; /* struct member_json; sync's mutex */
	size_t bytes;
	struct mh_state_view *newer, *older;
};

/* --- groups --------------------------------------------------------------------- */

static int first_group(void *context, const struct mh_event_row *row,
		       struct mh_error *err)
{
	(void)err;
	*(int64_t *)context = row->state_after;
	return 0;
}

int64_t mh_sync_group_at(struct mh_sync_job *job, mh_nid room, int64_t pos,
			 struct mh_error *err)
{
	const struct mh_timeline_query query = {
		.room = room,
		.order = MH_BY_POS,
		.backwards = true,
		.pos = pos + 1,
		.limit = 1,
	};
	int64_t group = 0;

	if (mh_sync_need_db(job, err) < 0 ||
	    mh_events_timeline(job->db, &query, first_group, &group, err) < 0)
		return -1;
	return group;
}

int64_t mh_sync_current_group(struct mh_sync_job *job,
			      struct mh_sync_room *room, struct mh_error *err)
{
	struct mh_room info = { 0 };

	if (room->current_group)
		return room->current_group;
	if (mh_sync_need_db(job, err) < 0 ||
	    mh_rooms_get(job->db, room->entry->room, &info, err) < 0)
		return -1;
	room->current_group = info.state;
	return info.state;
}

int mh_sync_membership_in(struct mh_sync_job *job, int64_t group,
			  enum mh_membership *ret, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	mh_nid type, event;

	*ret = MH_MEMBERSHIP_NONE;
	if (group == 0)
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	type = mh_name_find(job->db, MH_STR("m.room.member"), err);
	if (type <= 0)
		return (int)type;
	event = mh_state_group_get(job->db, group, type, job->user, err);
	if (event <= 0)
		return (int)event;
	if (mh_events_get_nid(job->db, event, &row, err) < 0)
		return -1;
	if (row.event)
		*ret = mh_membership_from(row.event->membership);
	return 0;
}

/* --- views ----------------------------------------------------------------------- */

static void view_unref(struct mh_state_view *view)
{
	if (!view || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < view->members.cap; i++)
		free(view->members.slots[i].value);
	mh_nid_map_release(&view->members);
	free((void *)(uintptr_t)view->json.data);
	free(view);
}
MH_DEFINE_CLEANUP(struct mh_state_view *, view_unref)

static void unlink_view(struct mh_sync *sync, struct mh_state_view *view)
{
	if (view->newer)
		view->newer->older = view->older;
	else
		sync->newest_view = view->older;
	if (view->older)
		view->older->newer = view->newer;
	else
		sync->oldest_view = view->newer;
	view->newer = NULL;
	view->older = NULL;
}

static void link_view(struct mh_sync *sync, struct mh_state_view *view)
{
	view->older = sync->newest_view;
	if (view->older)
		view->older->newer = view;
	else
		sync->oldest_view = view;
	sync->newest_view = view;
}

void mh_state_view_drop(struct mh_sync *sync, struct mh_state_view *view)
{
	unlink_view(sync, view);
	sync->view_bytes -= view->bytes;
	view->entry->view = NULL;
	view_unref(view);
}

/* The room's view, if it is of this group and nothing was redacted since. */
static struct mh_state_view *find_view(struct mh_sync_job *job,
				       struct mh_room_entry *entry,
				       int64_t group)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_state_view *view;
	int64_t redacted;

	mh_notifier_lock(job->notifier);
	redacted = entry->redacted_pos;
	mh_notifier_unlock(job->notifier);
	pthread_mutex_lock(&sync->mutex);
	view = entry->view;
	if (view && (view->group != group || redacted > view->at))
		view = NULL;
	if (view) {
		__atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
		if (sync->newest_view != view) {
			unlink_view(sync, view);
			link_view(sync, view);
		}
	}
	pthread_mutex_unlock(&sync->mutex);
	return view;
}

/* With sync's mutex held. */
static void keep_budget(struct mh_sync *sync, const struct mh_state_view *view)
{
	while (sync->view_bytes > sync->view_budget && sync->oldest_view != view)
		mh_state_view_drop(sync, sync->oldest_view);
}

static void keep_view(struct mh_sync *sync, struct mh_room_entry *entry,
		      struct mh_state_view *view)
{
	pthread_mutex_lock(&sync->mutex);
	if (entry->view)
		mh_state_view_drop(sync, entry->view);
	__atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
	entry->view = view;
	link_view(sync, view);
	sync->view_bytes += view->bytes;
	keep_budget(sync, view);
	pthread_mutex_unlock(&sync->mutex);
}

/* A state event as clients get it; unsigned has only why it was redacted. */
static int add_state_event(struct mh_sync_job *job,
			   const struct mh_event_row *row,
			   struct mh_strbuf *out, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row redaction = { 0 };

	mh_event_client_json_open(row->event, false, out);
	if (row->redacted_by) {
		if (mh_events_get_nid(job->db, row->redacted_by, &redaction,
				      err) < 0)
			return -1;
		if (redaction.event) {
			mh_strbuf_addlit(out, ",\"unsigned\":"
					      "{\"redacted_because\":");
			mh_event_client_json_open(redaction.event, false, out);
			mh_strbuf_addlit(out, "}}");
		}
	}
	mh_strbuf_addch(out, '}');
	return 0;
}

static int get_event(struct mh_sync_job *job, mh_nid event,
		     struct mh_event_row *ret, struct mh_error *err)
{
	int rc = mh_events_get_nid(job->db, event, ret, err);

	if (rc == 0)
		return mh_fail_internal(err, "state event %lld is missing",
					(long long)event);
	return rc < 0 ? -1 : 0;
}

static int load_view(struct mh_sync_job *job, struct mh_room_entry *entry,
		     int64_t group, mh_nid member_type,
		     struct mh_state_view **ret, struct mh_error *err)
{
	MH_STRBUF(json);
	struct mh_state_item *items;
	struct mh_state_view *view;
	size_t n, added = 0;

	if (mh_state_group_load(job->db, group, &job->arena, &items, &n, err) <
	    0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };

		if (items[i].type == member_type)
			continue;
		if (added++)
			mh_strbuf_addch(&json, ',');
		if (get_event(job, items[i].event, &row, err) < 0 ||
		    add_state_event(job, &row, &json, err) < 0)
			return -1;
	}
	view = MH_NEW(struct mh_state_view);
	view->refs = 1;
	view->entry = entry;
	view->group = group;
	view->at = job->to;
	view->n = added;
	view->bytes = sizeof(*view) + json.len;
	view->json.data = mh_strbuf_detach(&json, &view->json.len);
	if (view->json.len == 0)
		view->json = (struct mh_str){ mh_memdup("", 0), 0 };
	keep_view(job->server->sync, entry, view);
	*ret = view;
	return 0;
}

/* Appends a member's JSON from the view. True when it has it. */
static bool member_from_view(struct mh_sync *sync, struct mh_state_view *view,
			     mh_nid member, struct mh_strbuf *out)
{
	const struct member_json *found;

	pthread_mutex_lock(&sync->mutex);
	found = mh_nid_map_get(&view->members, member);
	if (found)
		mh_strbuf_add(out, found->json, found->len);
	pthread_mutex_unlock(&sync->mutex);
	return found != NULL;
}

static void member_to_view(struct mh_sync *sync, struct mh_state_view *view,
			   mh_nid member, struct mh_str json)
{
	struct member_json *copy = mh_alloc(sizeof(*copy) + json.len);

	copy->len = json.len;
	memcpy(copy->json, json.data, json.len);
	pthread_mutex_lock(&sync->mutex);
	if (mh_nid_map_get(&view->members, member)) {
		free(copy);
	} else {
		mh_nid_map_put(&view->members, member, copy);
		if (view->entry->view == view) {
			view->bytes += sizeof(*copy) + json.len;
			sync->view_bytes += sizeof(*copy) + json.len;
			keep_budget(sync, view);
		}
	}
	pthread_mutex_unlock(&sync->mutex);
}

/* --- writing the section -------------------------------------------------------------- */

struct section {
	struct mh_sync_job *job;
	struct mh_sync_room *room;
	const struct mh_event_filter *filter;
	const struct mh_sync_timeline *timeline;
	mh_nid member_type;
	int64_t group;
	struct mh_state_view *view;
	size_t n;
	bool all; /* the filter takes every event */
	bool lazy;
	bool all_shown; /* the timeline has every event of the span */
};

/* One state event, if the filter takes it. */
static int add_one(struct section *section, const struct mh_event_row *row,
		   struct mh_error *err)
{
	struct mh_sync_job *job = section->job;
	MH_STRBUF(whole);

	if (!section->all &&
	    !mh_event_filter_match(section->filter, row->event))
		return 0;
	if (section->lazy && row->type == section->member_type)
		mh_sync_member_sent(job, row->room, row->state_key);
	section->n++;
	mh_json_add_comma(job->out);
	if (!job->filter->has_fields)
		return add_state_event(job, row, job->out, err);
	if (add_state_event(job, row, &whole, err) < 0)
		return -1;
	mh_filter_event_fields(job->filter, mh_strbuf_str(&whole), job->out);
	return 0;
}

static int add_nid(struct section *section, mh_nid event, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };

	if (get_event(section->job, event, &row, err) < 0)
		return -1;
	return add_one(section, &row, err);
}

/* The member event of a user in the group, if there is one. */
static int add_member(struct section *section, mh_nid member,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	struct mh_sync_job *job = section->job;
	struct mh_sync *sync = job->server->sync;
	bool plain = section->all && !job->filter->has_fields;
	size_t start = job->out->len, json;
	mh_nid event;

	if (mh_sync_need_db(job, err) < 0)
		return -1;
	mh_json_add_comma(job->out);
	json = job->out->len;
	if (plain && section->view &&
	    member_from_view(sync, section->view, member, job->out)) {
		section->n++;
		mh_sync_member_sent(job, section->room->entry->room, member);
		return 0;
	}
	mh_strbuf_truncate(job->out, start);
	event = mh_state_group_get(job->db, section->group,
				   section->member_type, member, err);
	if (event <= 0)
		return (int)event;
	if (get_event(job, event, &row, err) < 0 ||
	    add_one(section, &row, err) < 0)
		return -1;
	if (plain && section->view)
		member_to_view(sync, section->view, member,
			       mh_str_n(job->out->data + json,
					job->out->len - json));
	return 0;
}

/* A user whose member event lazy loading gives, once. */
static int add_lazily(struct section *section, struct mh_nid_map *done,
		      mh_nid member, bool always, struct mh_error *err)
{
	struct mh_sync_job *job = section->job;

	if (!member || mh_nid_map_get(done, member))
		return 0;
	mh_nid_map_put(done, member, section);
	if (!always && !section->filter->include_redundant_members &&
	    mh_sync_member_known(job, section->room->entry->room, member))
		return 0;
	return add_member(section, member, err);
}

static int add_lazy_members(struct section *section, struct mh_nid_map *done,
			    const mh_nid *heroes, size_t n_heroes,
			    struct mh_error *err)
{
	const struct mh_sync_timeline *timeline = section->timeline;

	/* "servers MUST include the syncing user's own membership event when
	 * they join a room, or when the full state of rooms is requested" */
	if (section->room->full &&
	    add_lazily(section, done, section->job->user, true, err) < 0)
		return -1;
	for (size_t i = 0; i < timeline->n; i++)
		if (add_lazily(section, done, timeline->events[i]->row.sender,
			       false, err) < 0)
			return -1;
	for (size_t i = 0; i < n_heroes; i++)
		if (add_lazily(section, done, heroes[i], false, err) < 0)
			return -1;
	return 0;
}

/* Every event of the group, for filters that look at them. */
static int add_group(struct section *section, bool members,
		     struct mh_error *err)
{
	struct mh_sync_job *job = section->job;
	struct mh_state_item *items;
	size_t n;

	if (mh_state_group_load(job->db, section->group, &job->arena, &items,
				&n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		bool is_member = items[i].type == section->member_type;

		if ((members || !is_member) &&
		    (is_member || !section->view) &&
		    add_nid(section, items[i].event, err) < 0)
			return -1;
	}
	return 0;
}

static int add_full(struct section *section, struct mh_nid_map *done,
		    const mh_nid *heroes, size_t n_heroes, struct mh_error *err)
{
	MH_CLEANUP(view_unrefp) struct mh_state_view *view = NULL;
	struct mh_sync_job *job = section->job;
	int rc = 0;

	if (section->group == 0)
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	if (section->all && !job->filter->has_fields) {
		view = find_view(job, section->room->entry, section->group);
		if (!view &&
		    load_view(job, section->room->entry, section->group,
			      section->member_type, &view, err) < 0)
			return -1;
		mh_strbuf_addstr(job->out, view->json);
		section->n += view->n;
		section->view = view;
	}
	if (!section->view || !section->lazy)
		rc = add_group(section, !section->lazy, err);
	if (rc == 0 && section->lazy)
		rc = add_lazy_members(section, done, heroes, n_heroes, err);
	section->view = NULL;
	return rc;
}

static int add_difference(struct section *section, struct mh_nid_map *done,
			  int64_t base, struct mh_error *err)
{
	struct mh_sync_job *job = section->job;
	struct mh_state_item *items;
	size_t n;

	if (base == section->group)
		return 0;
	if (mh_state_group_diff(job->db, base, section->group, &job->arena,
				&items, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!items[i].event)
			continue; /* clients have no word for its absence */
		if (items[i].type == section->member_type &&
		    !mh_nid_map_get(done, items[i].state_key))
			mh_nid_map_put(done, items[i].state_key, section);
		if (add_nid(section, items[i].event, err) < 0)
			return -1;
	}
	return 0;
}

/* --- which state ------------------------------------------------------------------------ */

static int64_t before_timeline(const struct mh_sync_timeline *timeline)
{
	return timeline->n ? timeline->events[0]->row.state_before : 0;
}

/* The group whose state the section leads to. -1 failed. */
static int64_t target_group(struct section *section, struct mh_error *err)
{
	struct mh_sync_room *room = section->room;
	const struct mh_sync_timeline *timeline = section->timeline;

	if (room->mine->membership != MH_MEMBERSHIP_JOIN) {
		if (!room->left_group ||
		    section->job->query->use_state_after || !timeline->n ||
		    timeline->events[0]->row.pos > room->left_pos)
			return room->left_group;
		return before_timeline(timeline);
	}
	if (!section->job->query->use_state_after && timeline->n)
		return before_timeline(timeline);
	return mh_sync_current_group(section->job, room, err);
}

/* Nothing of the state changed but by what the client sees in the timeline. */
static bool nothing_changed(const struct section *section)
{
	const struct mh_sync_timeline *timeline = section->timeline;
	bool after = section->job->query->use_state_after;

	if (section->room->full || timeline->limited)
		return false;
	/* All of the room's news are in the timeline, or were filtered. */
	return timeline->quiet_state || (!after && section->all_shown);
}

static int add_changes(struct section *section, struct mh_nid_map *done,
		       struct mh_error *err)
{
	struct mh_sync_job *job = section->job;
	int64_t base;

	if (nothing_changed(section))
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	section->group = target_group(section, err);
	base = mh_sync_group_at(job, section->room->entry->room, job->from,
				err);
	if (section->group < 0 || base < 0)
		return -1;
	if (section->group == 0)
		return 0;
	return add_difference(section, done, base, err);
}

static int add_events(struct section *section, const mh_nid *heroes,
		      size_t n_heroes, struct mh_error *err)
{
	struct mh_nid_map done = { 0 };
	int rc;

	if (section->room->full) {
		section->group = target_group(section, err);
		rc = section->group < 0 ? -1 :
					  add_full(section, &done, heroes,
						   n_heroes, err);
	} else {
		rc = add_changes(section, &done, err);
		if (rc == 0 && section->lazy) {
			/* Of members who spoke: as they were then. */
			if (!section->group)
				section->group =
					before_timeline(section->timeline);
			if (section->group)
				rc = add_lazy_members(section, &done, heroes,
						      n_heroes, err);
		}
	}
	mh_nid_map_release(&done);
	return rc;
}

int mh_sync_add_state(struct mh_sync_job *job, struct mh_sync_room *room,
		      const struct mh_sync_timeline *timeline,
		      const mh_nid *heroes, size_t n_heroes,
		      struct mh_error *err)
{
	const struct mh_event_filter *filter = &job->filter->room.state;
	struct section section = {
		.job = job,
		.room = room,
		.filter = filter,
		.timeline = timeline,
		.all = mh_event_filter_matches_all(filter),
		.lazy = filter->lazy_load_members,
		.all_shown = timeline->all_shown,
	};

	section.member_type =
		mh_name_find(job->connection, MH_STR("m.room.member"), err);
	if (section.member_type < 0)
		return -1;
	mh_json_add_key(job->out, job->query->use_state_after ?
					  MH_STR("state_after") :
					  MH_STR("state"));
	mh_strbuf_addlit(job->out, "{\"events\":[");
	if (mh_event_filter_match_room(filter, room->entry->room_id) &&
	    add_events(&section, heroes, n_heroes, err) < 0)
		return -1;
	mh_strbuf_addlit(job->out, "]}");
	return section.n > INT32_MAX ? INT32_MAX : (int)section.n;
}
