/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a room: one event, its state, its members. */
#include "client/room_params.h"
#include "service/event_view.h"

/* What one request reads. */
struct reading {
	struct mh_request *req;
	struct mh_db *db;
	mh_nid room;
	int64_t group; /* the state that may be read; 0: the current one */
	struct mh_event_viewer viewer;
	struct mh_strbuf out;
	bool (*wanted)(const struct reading *r, const struct mh_event *event);
	struct mh_str membership, not_membership; /* /members */
};

static void reading_release(struct reading *r)
{
	mh_strbuf_release(&r->out);
}

static int begin(struct reading *r, struct mh_request *req, struct mh_db *db,
		 struct mh_error *err)
{
	*r = (struct reading){
		.req = req,
		.db = db,
		.out = MH_STRBUF_INIT,
		.viewer = {
			.server = req->server,
			.db = db,
			.user = req->who.user,
			.device = req->who.device,
		},
	};
	if (mh_client_room(req, 0, &r->room, err) < 0)
		return -1;
	r->viewer.view = mh_visibility_new(db, &req->arena, r->room,
					   req->who.user);
	return 0;
}

/* Members read the current state, those who left the one that they left. */
static int begin_state(struct reading *r, struct mh_request *req,
		       struct mh_db *db, struct mh_error *err)
{
	int rc = begin(r, req, db, err);

	if (rc == 0)
		rc = mh_visibility_state(r->viewer.view, &r->group, err);
	else
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_FORBIDDEN, "you are not in that room");
	return rc < 0 ? -1 : 0;
}

/* --- one event --------------------------------------------------------------- */

static int read_event(struct reading *r, struct mh_str event_id,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	int rc = mh_events_get(r->db, event_id, &row, err);

	if (rc > 0)
		rc = mh_visibility_allows(r->viewer.view, &row, err);
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "event not found");
	if (rc < 0)
		return -1;
	return mh_event_view_add(&r->viewer, &row, &r->out, err);
}

int client_get_one_room_event(struct mh_request *req, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_CLEANUP(reading_release) struct reading r;

	if (begin(&r, req, db, err) < 0 ||
	    read_event(&r, mh_request_param(req, 1), err) < 0)
		return -1;
	return mh_reply_buf(req, &r.out);
}

/* --- one state event ---------------------------------------------------------- */

/* 1, 0, -1. */
static int state_event(struct reading *r, struct mh_str type,
		       struct mh_str state_key, struct mh_event_row *row,
		       struct mh_error *err)
{
	mh_nid type_nid, key_nid, event;

	if (memchr(type.data, '\0', type.len))
		return 0;
	if (!r->group)
		return mh_state_current_get(r->db, r->room,
					    mh_arena_cstr(&r->req->arena, type),
					    state_key, row, err);
	type_nid = mh_name_find(r->db, type, err);
	key_nid = mh_name_find(r->db, state_key, err);
	if (type_nid <= 0 || key_nid <= 0)
		return type_nid < 0 || key_nid < 0 ? -1 : 0;
	event = mh_state_group_get(r->db, r->group, type_nid, key_nid, err);
	if (event <= 0)
		return (int)event;
	return mh_events_get_nid(r->db, event, row, err);
}

static int add_state_event(struct reading *r, bool whole,
			   const struct mh_event_row *row, struct mh_error *err)
{
	if (whole)
		return mh_event_view_add(&r->viewer, row, &r->out, err);
	mh_strbuf_addstr(&r->out, row->event->content);
	return 0;
}

int client_get_room_state_with_key(struct mh_request *req, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	MH_CLEANUP(reading_release) struct reading r;
	struct mh_str format = MH_STR("content"), state_key = MH_STR("");
	bool whole;
	int rc;

	if (begin_state(&r, req, db, err) < 0)
		return -1;
	mh_request_query(req, "format", &format);
	whole = mh_str_is(format, "event");
	if (!whole && !mh_str_is(format, "content"))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'format' must be 'content' or 'event'");
	if (req->n_params > 2 && mh_request_param(req, 2).len)
		state_key = mh_request_param(req, 2);
	rc = state_event(&r, mh_request_param(req, 1), state_key, &row, err);
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "the room has no such state");
	if (rc < 0 || add_state_event(&r, whole, &row, err) < 0)
		return -1;
	return mh_reply_buf(req, &r.out);
}

/* --- all of the state ------------------------------------------------------------ */

static int add_row(void *context, const struct mh_event_row *row,
		   struct mh_error *err)
{
	struct reading *r = context;

	if (r->wanted && !r->wanted(r, row->event))
		return 1;
	mh_json_add_comma(&r->out);
	return mh_event_view_add(&r->viewer, row, &r->out, err) < 0 ? -1 : 1;
}

static int add_group(struct reading *r, mh_nid type, struct mh_error *err)
{
	struct mh_state_item *items;
	size_t n;

	if (mh_state_group_load(r->db, r->group, &r->req->arena, &items, &n,
				err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		MH_CLEANUP(mh_event_row_release)
		struct mh_event_row row = { 0 };
		int rc = 0;

		if (type && items[i].type != type)
			continue;
		rc = mh_events_get_nid(r->db, items[i].event, &row, err);
		if (rc > 0)
			rc = add_row(r, &row, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* Type 0: all. */
static int add_state(struct reading *r, mh_nid type, struct mh_error *err)
{
	if (r->group)
		return add_group(r, type, err);
	return mh_state_current_each(r->db, r->room, type, add_row, r, err);
}

int client_get_room_state(struct mh_request *req, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_CLEANUP(reading_release) struct reading r;

	if (begin_state(&r, req, db, err) < 0)
		return -1;
	mh_strbuf_addch(&r.out, '[');
	if (add_state(&r, 0, err) < 0)
		return -1;
	mh_strbuf_addch(&r.out, ']');
	return mh_reply_buf(req, &r.out);
}

/* --- members ------------------------------------------------------------------------ */

/* Both filters together widen: "either ... or". */
static bool is_wanted_member(const struct reading *r,
			     const struct mh_event *event)
{
	if (!r->membership.data && !r->not_membership.data)
		return true;
	return (r->membership.data &&
		mh_str_eq(event->membership, r->membership)) ||
	       (r->not_membership.data &&
		!mh_str_eq(event->membership, r->not_membership));
}

static int read_membership(struct mh_request *req, const char *name,
			   struct mh_str *ret, struct mh_error *err)
{
	*ret = MH_STR_NONE;
	if (!mh_request_query(req, name, ret))
		return 0;
	if (mh_membership_from(*ret) == MH_MEMBERSHIP_NONE)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%s' must be a membership", name);
	return 0;
}

int client_get_members_by_room(struct mh_request *req, struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_CLEANUP(reading_release) struct reading r;
	mh_nid type;

	if (begin_state(&r, req, db, err) < 0 ||
	    read_membership(req, "membership", &r.membership, err) < 0 ||
	    read_membership(req, "not_membership", &r.not_membership, err) < 0)
		return -1;
	type = mh_name_find(db, MH_STR("m.room.member"), err);
	if (type < 0)
		return -1;
	r.wanted = is_wanted_member;
	mh_strbuf_addlit(&r.out, "{\"chunk\":[");
	if (add_state(&r, type, err) < 0)
		return -1;
	mh_strbuf_addlit(&r.out, "]}");
	return mh_reply_buf(req, &r.out);
}

static void add_text(struct mh_strbuf *out, const char *key,
		     struct mh_str content, const char *from)
{
	struct mh_str raw = mh_json_slice(content, from);

	if (!raw.len || raw.data[0] != '"')
		return;
	mh_json_add_key(out, mh_str(key));
	mh_strbuf_addstr(out, raw);
}

static int add_joined(void *context, const struct mh_event_row *row,
		      struct mh_error *err)
{
	struct reading *r = context;

	(void)err;
	if (!mh_str_is(row->event->membership, "join"))
		return 1;
	mh_json_add_key(&r->out, row->event->state_key);
	mh_strbuf_addch(&r->out, '{');
	add_text(&r->out, "display_name", row->event->content, "displayname");
	add_text(&r->out, "avatar_url", row->event->content, "avatar_url");
	mh_strbuf_addch(&r->out, '}');
	return 1;
}

int client_get_joined_members_by_room(struct mh_request *req,
				      struct mh_error *err)
{
	MH_SNAPSHOT(db, mh_request_db(req));
	MH_CLEANUP(reading_release) struct reading r;
	mh_nid type;

	if (begin(&r, req, db, err) < 0 ||
	    mh_room_need_joined(db, r.room, req->who.user, err) < 0)
		return -1;
	type = mh_name_find(db, MH_STR("m.room.member"), err);
	if (type < 0)
		return -1;
	mh_strbuf_addlit(&r.out, "{\"joined\":{");
	if (mh_state_current_each(db, r.room, type, add_joined, &r, err) < 0)
		return -1;
	mh_strbuf_addlit(&r.out, "}}");
	return mh_reply_buf(req, &r.out);
}
