/* SPDX-License-Identifier: Apache-2.0 */
#include "service/messages.h"

#include "service/event_view.h"
#include "service/sync.h"

#include <stdlib.h>
#include <uthash.h>

struct sender {
	mh_nid user; /* the key */
	UT_hash_handle hh;
};

struct page {
	const struct mh_messages_query *query;
	struct mh_event_viewer viewer;
	struct mh_arena *arena;
	struct mh_page_token from, to, last;
	bool has_to, more;
	size_t scanned, n;
	struct mh_strbuf *out;
	struct mh_strbuf state; /* member events of the senders */
	struct sender *senders;
	mh_nid member_type; /* 0: not looked up yet */
};

/* --- places ------------------------------------------------------------------- */

static int newest_depth(void *context, const struct mh_event_row *row,
			struct mh_error *err MH_UNUSED)
{
	struct mh_page_token *place = context;

	place->depth = row->event->depth;
	place->pos = row->pos;
	return 0;
}

/* The place behind the newest event of the room at or before a position. */
static int place_of_pos(struct page *page, int64_t pos,
			struct mh_page_token *ret, struct mh_error *err)
{
	struct mh_timeline_query query = {
		.room = page->query->room,
		.order = MH_BY_POS,
		.backwards = true,
		.pos = pos + 1,
		.until_pos = INT64_MIN,
		.limit = 1,
	};

	*ret = (struct mh_page_token){ .depth = -1, .pos = INT64_MIN };
	if (mh_events_timeline(page->viewer.db, &query, newest_depth, ret,
			       err) < 0)
		return -1;
	/* Backwards from here that event itself comes first. */
	if (page->query->backwards && ret->pos != INT64_MIN)
		ret->pos++;
	return 0;
}

static int place_of(struct page *page, struct mh_str token,
		    struct mh_page_token *ret, struct mh_error *err)
{
	struct mh_sync_token sync;

	if (token.data[0] == 't')
		return mh_page_token_parse(token, ret, err);
	if (mh_sync_token_parse(page->viewer.server, token, &sync, err) < 0)
		return -1;
	return place_of_pos(page, sync.pos, ret, err);
}

static int find_places(struct page *page, struct mh_error *err)
{
	const struct mh_messages_query *query = page->query;

	if (query->from.len) {
		if (place_of(page, query->from, &page->from, err) < 0)
			return -1;
	} else if (query->backwards) {
		page->from = (struct mh_page_token){ INT64_MAX, INT64_MAX };
	} else {
		page->from = (struct mh_page_token){ -1, INT64_MIN };
	}
	page->has_to = query->to.len > 0;
	if (page->has_to && place_of(page, query->to, &page->to, err) < 0)
		return -1;
	page->last = page->from;
	return 0;
}

static int compare(const struct mh_page_token *a, const struct mh_page_token *b)
{
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return (a->pos > b->pos) - (a->pos < b->pos);
}

/* --- the chunk ------------------------------------------------------------------ */

/* The sender's member event at the event, once a page. */
static int add_sender(struct page *page, const struct mh_event_row *row,
		      struct mh_error *err)
{
	struct mh_db *db = page->viewer.db;
	struct mh_event_row member = { 0 };
	struct sender *sender;
	mh_nid nid;
	int rc;

	HASH_FIND(hh, page->senders, &row->sender, sizeof(row->sender), sender);
	if (sender)
		return 0;
	sender = MH_ARENA_NEW(page->arena, struct sender);
	sender->user = row->sender;
	HASH_ADD(hh, page->senders, user, sizeof(sender->user), sender);
	if (!page->member_type)
		page->member_type =
			mh_name_find(db, MH_STR("m.room.member"), err);
	if (page->member_type < 0)
		return -1;
	nid = mh_state_group_get(db, row->state_before, page->member_type,
				 row->sender, err);
	if (nid <= 0)
		return (int)nid;
	rc = mh_events_get_nid(db, nid, &member, err);
	if (rc > 0) {
		mh_json_add_comma(&page->state);
		rc = mh_event_view_add(&page->viewer, &member, &page->state,
				       err);
	}
	mh_event_row_release(&member);
	return rc < 0 ? -1 : 0;
}

static int add_event(struct page *page, const struct mh_event_row *row,
		     struct mh_error *err)
{
	int rc;

	if (!mh_event_filter_match(page->query->filter, row->event))
		return 0;
	rc = mh_visibility_allows(page->viewer.view, row, err);
	if (rc <= 0)
		return rc;
	mh_json_add_comma(page->out);
	if (mh_event_view_add(&page->viewer, row, page->out, err) < 0)
		return -1;
	page->n++;
	return page->query->filter->lazy_load_members ?
		       add_sender(page, row, err) :
		       0;
}

static int take_row(void *context, const struct mh_event_row *row,
		    struct mh_error *err)
{
	struct page *page = context;
	struct mh_page_token place = { row->event->depth, row->pos };

	if (page->has_to &&
	    (page->query->backwards ? compare(&place, &page->to) <= 0 :
				      compare(&place, &page->to) > 0))
		return 0;
	if (page->n == page->query->limit ||
	    page->scanned == MH_MESSAGES_SCAN) {
		page->more = true;
		return 0;
	}
	page->scanned++;
	page->last = place;
	return add_event(page, row, err) < 0 ? -1 : 1;
}

/* --- the whole --------------------------------------------------------------------- */

static void add_token(struct mh_strbuf *out, const char *key,
		      const struct mh_page_token *token, struct mh_str given)
{
	MH_STRBUF(text);

	mh_json_add_key(out, mh_str(key));
	if (given.len)
		mh_strbuf_addstr(&text, given);
	else
		mh_page_token_add(token, &text);
	mh_json_add_str(out, mh_strbuf_str(&text));
}

static int fill(struct page *page, struct mh_error *err)
{
	struct mh_timeline_query query = {
		.room = page->query->room,
		.order = MH_BY_DEPTH,
		.backwards = page->query->backwards,
		.depth = page->from.depth,
		.pos = page->from.pos,
		.limit = MH_MESSAGES_SCAN + 1,
	};

	mh_strbuf_addlit(page->out, "{\"chunk\":[");
	if (mh_events_timeline(page->viewer.db, &query, take_row, page, err) <
	    0)
		return -1;
	mh_strbuf_addch(page->out, ']');
	if (page->more)
		add_token(page->out, "end", &page->last, MH_STR_NONE);
	add_token(page->out, "start", &page->from, page->query->from);
	if (page->state.len) {
		mh_json_add_key(page->out, MH_STR("state"));
		mh_strbuf_addch(page->out, '[');
		mh_strbuf_addstr(page->out, mh_strbuf_str(&page->state));
		mh_strbuf_addch(page->out, ']');
	}
	mh_strbuf_addch(page->out, '}');
	return 0;
}

int mh_messages_page(struct mh_server *server, struct mh_db *db,
		     const struct mh_messages_query *query,
		     struct mh_arena *arena, struct mh_strbuf *out,
		     struct mh_error *err)
{
	struct page page = {
		.query = query,
		.arena = arena,
		.out = out,
		.state = MH_STRBUF_INIT,
		.viewer = { .server = server,
			    .db = db,
			    .user = query->who->user,
			    .device = query->who->device,
			    .view = mh_visibility_new(db, arena, query->room,
						      query->who->user) },
	};
	int rc = mh_visibility_room(page.viewer.view, err);

	if (rc == 0)
		rc = mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	if (rc > 0)
		rc = find_places(&page, err);
	if (rc == 0)
		rc = fill(&page, err);
	HASH_CLEAR(hh, page.senders);
	mh_strbuf_release(&page.state);
	return rc;
}
