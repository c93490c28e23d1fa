/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timeline of one room: its newest events in the span of the sync, as many
 * as the client's filter takes, that the user may see and wants to see. First
 * from memory, then from the store.
 */
#include "service/sync_impl.h"

#define LIMIT_USUAL 10
#define LIMIT_MAX 100
/* Events looked at for each that is wanted, before the search is given up. */
#define SCAN_FACTOR 20
#define SCAN_MIN 200
#define PAGE 64

struct scan {
	struct mh_sync_job *job;
	struct mh_sync_room *room;
	struct mh_sync_timeline *timeline;
	const struct mh_event_filter *filter;
	size_t limit, scanned, scan_max;
	bool full;	    /* one more was wanted than the limit allows */
	struct mh_str last_type; /* of the oldest event looked at */
	/* What the store gave, newest first, to be kept in memory. */
	struct mh_recent *page[PAGE];
	size_t n_page;
	int64_t last_pos;
	/* State groups: before the event looked at last; at the span's start. */
	int64_t group, base;
	bool base_known;
};

static void unref_recent(void *recent)
{
	mh_recent_unref(recent);
}

/* Has the arena hold the reference. */
static void hold(struct mh_sync_job *job, struct mh_recent *recent)
{
	mh_arena_defer(&job->arena, unref_recent, recent);
}

static int visible(struct scan *scan, const struct mh_recent *recent,
		   struct mh_error *err)
{
	struct mh_sync_job *job = scan->job;
	struct mh_sync_room *room = scan->room;

	if (recent->shared && room->mine->membership == MH_MEMBERSHIP_JOIN)
		return 1;
	/* People are told what becomes of them. */
	if (recent->row.state_key == job->user &&
	    mh_event_is(recent->row.event, "m.room.member", NULL))
		return 1;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	if (!room->view)
		room->view = mh_visibility_new(job->db, &job->arena,
					       room->entry->room, job->user);
	return mh_visibility_allows(room->view, &recent->row, err);
}

static int wanted(struct scan *scan, const struct mh_recent *recent,
		  struct mh_error *err)
{
	const struct mh_event *event = recent->row.event;

	if (!mh_event_is_state(event) &&
	    mh_sync_is_ignored(scan->job, event->sender))
		return 0;
	if (!mh_event_filter_matches_all(scan->filter) &&
	    !mh_event_filter_match(scan->filter, event))
		return 0;
	return visible(scan, recent, err);
}

/* What the state section need not look for. */
static void note_state(struct scan *scan, const struct mh_recent *recent)
{
	const struct mh_event_row *row = &recent->row;
	const struct mh_event *event = row->event;
	struct mh_sync_timeline *timeline = scan->timeline;

	if (row->state_before != row->state_after ||
	    (scan->group && scan->group != row->state_after))
		timeline->quiet_state = false;
	scan->group = row->state_before;
	if (mh_event_is_state(event) &&
	    (mh_str_is(event->type, "m.room.member") ||
	     mh_str_is(event->type, "m.room.name") ||
	     mh_str_is(event->type, "m.room.canonical_alias")))
		timeline->renamed = true;
}

/* 1: go on to older events; 0: enough; -1. Events come newest first. */
static int look_at(struct scan *scan, struct mh_recent *recent,
		   struct mh_error *err)
{
	struct mh_sync_timeline *timeline = scan->timeline;
	int rc;

	if (scan->scanned++ == scan->scan_max) {
		scan->full = true;
		return 0;
	}
	scan->last_type = recent->row.event->type;
	rc = wanted(scan, recent, err);
	if (rc < 0)
		return -1;
	if (rc > 0 && timeline->n == scan->limit) {
		scan->full = true;
		return 0;
	}
	note_state(scan, recent);
	if (rc == 0 && mh_event_is_state(recent->row.event))
		timeline->all_shown = false;
	if (rc > 0)
		timeline->events[timeline->n++] = recent;
	return 1;
}

/* The part that is in memory. Sets `ret_from`: below it the store goes on. */
static int scan_memory(struct scan *scan, int64_t lower, int64_t *ret_from,
		       struct mh_error *err)
{
	struct mh_sync_job *job = scan->job;
	struct mh_room_entry *entry = scan->room->entry;
	struct mh_recent *found[MH_TAIL_MAX];
	size_t n = 0;

	mh_notifier_lock(job->notifier);
	*ret_from = entry->tail_from;
	mh_tail_used(job->notifier, entry);
	for (size_t i = entry->n_tail; i-- > 0;) {
		struct mh_recent *recent = entry->tail[i];

		if (recent->row.pos <= lower) {
			scan->base = recent->row.state_after;
			scan->base_known = true;
			break;
		}
		if (recent->row.pos <= scan->room->upto)
			found[n++] = mh_recent_ref(recent);
	}
	mh_notifier_unlock(job->notifier);
	for (size_t i = 0; i < n; i++)
		hold(job, found[i]);
	for (size_t i = 0; i < n; i++) {
		int rc = look_at(scan, found[i], err);

		if (rc <= 0)
			return rc;
	}
	return 1;
}

static int load_row(void *context, const struct mh_event_row *row,
		    struct mh_error *err)
{
	struct scan *scan = context;
	struct mh_recent *recent;

	if (mh_recent_new(scan->job->notifier, scan->job->db, row, &recent,
			  err) < 0)
		return -1;
	hold(scan->job, recent);
	scan->page[scan->n_page++] = recent;
	scan->last_pos = row->pos;
	return 1;
}

static void keep_page(struct scan *scan, int64_t from, int64_t until)
{
	struct mh_notifier *notifier = scan->job->notifier;

	mh_notifier_lock(notifier);
	mh_tail_prepend(notifier, scan->room->entry, scan->job->to, from,
			scan->page, scan->n_page, until);
	mh_notifier_unlock(notifier);
}

static size_t page_size(const struct scan *scan)
{
	size_t left = scan->limit - scan->timeline->n + 1;

	return left < PAGE ? left : PAGE;
}

/*
 * The part that the store has: events in (lower, from]. The first page joins on
 * to what memory holds and is kept there.
 */
static int scan_store(struct scan *scan, int64_t lower, int64_t from,
		      struct mh_error *err)
{
	struct mh_sync_job *job = scan->job;
	int64_t upto = scan->room->upto, next = from < upto ? from : upto;
	bool joins = from <= upto || (from == INT64_MAX && upto == job->to);
	bool more = true;

	if (mh_sync_need_db(job, err) < 0)
		return -1;
	while (more) {
		struct mh_timeline_query query = {
			.room = scan->room->entry->room,
			.order = MH_BY_POS,
			.backwards = true,
			.pos = next + 1,
			.until_pos = lower,
			.limit = page_size(scan),
		};

		scan->n_page = 0;
		if (mh_events_timeline(job->db, &query, load_row, scan, err) <
		    0)
			return -1;
		more = scan->n_page == query.limit;
		next = more ? scan->last_pos - 1 : lower;
		if (joins)
			keep_page(scan, from, next);
		from = next;
		for (size_t i = 0; i < scan->n_page; i++) {
			int rc = look_at(scan, scan->page[i], err);

			if (rc <= 0)
				return rc;
		}
	}
	return 1;
}

static void reverse(struct mh_recent **events, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct mh_recent *event = events[i];

		events[i] = events[n - 1 - i];
		events[n - 1 - i] = event;
	}
}

int mh_sync_timeline(struct mh_sync_job *job, struct mh_sync_room *room,
		     struct mh_sync_timeline *ret, struct mh_error *err)
{
	const struct mh_event_filter *filter = &job->filter->room.timeline;
	int64_t lower = room->whole_timeline ? 0 : job->from, from;
	struct scan scan = {
		.job = job,
		.room = room,
		.timeline = ret,
		.filter = filter,
		.limit = mh_event_filter_limit(filter, LIMIT_USUAL, LIMIT_MAX),
	};
	int rc;

	*ret = (struct mh_sync_timeline){
		.quiet_state = true,
		.all_shown = true,
	};
	if (room->latest_pos <= lower)
		return 0;
	scan.scan_max = SCAN_MIN + SCAN_FACTOR * scan.limit;
	ret->events = mh_arena_alloc_array(&job->arena, scan.limit + 1,
					   sizeof(struct mh_recent *));
	rc = scan_memory(&scan, lower, &from, err);
	if (rc > 0 && from > lower)
		rc = scan_store(&scan, lower, from, err);
	if (rc < 0)
		return -1;
	ret->limited = scan.full;
	/* The room's beginning is not here (a join over federation). */
	if (!scan.full && lower == 0 && scan.scanned &&
	    !mh_str_is(scan.last_type, "m.room.create"))
		ret->limited = true;
	/* On a fork the first event may not follow what the client knows. */
	if (scan.scanned && (!scan.base_known || scan.base != scan.group))
		ret->quiet_state = false;
	if (ret->limited) {
		ret->quiet_state = false;
		ret->all_shown = false;
		ret->renamed = true;
	}
	reverse(ret->events, ret->n);
	return 0;
}

/* Where /messages goes on backwards. */
static void add_prev_batch(struct mh_sync_job *job,
			   const struct mh_sync_timeline *timeline)
{
	mh_strbuf_addlit(job->out, "\"prev_batch\":\"");
	if (timeline->n) {
		const struct mh_recent *first = timeline->events[0];
		const struct mh_page_token token = {
			.depth = first->row.event->depth,
			.pos = first->row.pos,
		};

		mh_page_token_add(&token, job->out);
	} else {
		const struct mh_sync_token token = {
			.pos = job->to,
			.to_device = job->to,
			.ephemeral = job->ephemeral_to,
		};

		mh_sync_token_add(job->server, &token, job->out);
	}
	mh_strbuf_addch(job->out, '"');
}

int mh_sync_add_timeline(struct mh_sync_job *job, struct mh_sync_room *room,
			 const struct mh_sync_timeline *timeline,
			 struct mh_error *err)
{
	bool lazy = job->filter->room.state.lazy_load_members;

	mh_json_add_key(job->out, MH_STR("timeline"));
	mh_strbuf_addlit(job->out, "{\"events\":[");
	for (size_t i = 0; i < timeline->n; i++) {
		const struct mh_event_row *row = &timeline->events[i]->row;

		if (lazy && row->state_key &&
		    mh_event_is(row->event, "m.room.member", NULL))
			mh_sync_member_sent(job, row->room, row->state_key);
		if (i)
			mh_strbuf_addch(job->out, ',');
		if (mh_sync_add_event(job, room, timeline->events[i], err) < 0)
			return -1;
	}
	mh_strbuf_addlit(job->out, "],\"limited\":");
	if (timeline->limited)
		mh_strbuf_addlit(job->out, "true,");
	else
		mh_strbuf_addlit(job->out, "false,");
	add_prev_batch(job, timeline);
	mh_strbuf_addch(job->out, '}');
	return 0;
}
