/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One room in a sync: joined, left, invited to or knocked on.
 */
#include "service/sync_impl.h"

#include "service/receipts.h"
#include "service/typing.h"
#include "store/txn.h"

/* --- one event --------------------------------------------------------------- */

/*
 * The user's membership at the time of an event (its own effect included). For
 * who has been in the room all the while, this is known without a look.
 */
static int membership_at(struct mh_sync_job *job, struct mh_sync_room *room,
			 const struct mh_recent *recent,
			 enum mh_membership *ret, struct mh_error *err)
{
	const struct mh_event_row *row = &recent->row;

	if (row->state_key == job->user &&
	    mh_event_is(row->event, "m.room.member", NULL)) {
		*ret = mh_membership_from(row->event->membership);
		return 0;
	}
	if (row->pos > room->mine->pos) {
		*ret = room->mine->membership;
		return 0;
	}
	return mh_sync_membership_in(job, row->state_after, ret, err);
}

/*
 * The client's transaction ID: what follows the operation, the room and the
 * other part in the key (client/send_job.c).
 */
static struct mh_str transaction_id(struct mh_str key)
{
	struct mh_str length;
	ptrdiff_t slash;
	int64_t skip;

	for (int i = 0; i < 2; i++) {
		slash = mh_str_find(key, '/');
		if (slash < 0)
			return MH_STR_NONE;
		key = mh_str_from(key, (size_t)slash + 1);
	}
	slash = mh_str_find(key, '/');
	if (slash < 0)
		return MH_STR_NONE;
	length = mh_str_first(key, (size_t)slash);
	key = mh_str_from(key, (size_t)slash + 1);
	if (!mh_str_to_int(length, &skip) || skip < 0)
		return MH_STR_NONE;
	return mh_str_from(key, (size_t)skip + 1);
}

/* "transaction_id", for the device that sent the event. */
static int add_transaction(struct mh_sync_job *job,
			   const struct mh_recent *recent,
			   struct mh_strbuf *out, struct mh_error *err)
{
	const struct mh_requester *who = job->query->who;
	MH_STRBUF(key);
	int rc;

	if (recent->row.sender != job->user || !who->device)
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	rc = mh_txn_of_event(job->db, recent->row.nid, job->user, who->device,
			     &key, err);
	if (rc <= 0)
		return rc;
	mh_json_add_key(out, MH_STR("transaction_id"));
	mh_json_add_str(out, transaction_id(mh_strbuf_str(&key)));
	return 0;
}

static int add_unsigned(struct mh_sync_job *job, struct mh_sync_room *room,
			const struct mh_recent *recent, struct mh_strbuf *out,
			struct mh_error *err)
{
	enum mh_membership membership;

	mh_strbuf_addlit(out, ",\"unsigned\":{");
	mh_strbuf_addstr(out, recent->extra);
	if (room) {
		if (membership_at(job, room, recent, &membership, err) < 0)
			return -1;
		if (membership == MH_MEMBERSHIP_NONE)
			membership = MH_MEMBERSHIP_LEAVE;
		mh_json_add_key(out, MH_STR("membership"));
		mh_strbuf_addch(out, '"');
		mh_strbuf_addstr(out, mh_str(mh_membership_name(membership)));
		mh_strbuf_addch(out, '"');
		if (add_transaction(job, recent, out, err) < 0)
			return -1;
	}
	mh_json_add_key(out, MH_STR("age"));
	mh_strbuf_addint(out, job->now - recent->row.event->origin_server_ts);
	mh_strbuf_addch(out, '}');
	return 0;
}

/* The PDU as other servers have it, for filters that ask for it. */
static void add_pdu(const struct mh_event *event, struct mh_strbuf *out)
{
	mh_strbuf_add(out, event->json.data, event->json.len - 1);
	if (event->rules->event_id_format != MH_EVENT_ID_DOMAIN) {
		mh_strbuf_addlit(out, ",\"event_id\":");
		mh_json_add_str(out, event->event_id);
	}
}

static int add_whole_event(struct mh_sync_job *job, struct mh_sync_room *room,
			   const struct mh_recent *recent,
			   struct mh_strbuf *out, struct mh_error *err)
{
	if (job->filter->federation_format)
		add_pdu(recent->row.event, out);
	else
		mh_strbuf_addstr(out, recent->json);
	if (add_unsigned(job, room, recent, out, err) < 0)
		return -1;
	mh_strbuf_addch(out, '}');
	return 0;
}

int mh_sync_add_event(struct mh_sync_job *job, struct mh_sync_room *room,
		      const struct mh_recent *recent, struct mh_error *err)
{
	MH_STRBUF(whole);

	if (!job->filter->has_fields)
		return add_whole_event(job, room, recent, job->out, err);
	if (add_whole_event(job, room, recent, &whole, err) < 0)
		return -1;
	mh_filter_event_fields(job->filter, mh_strbuf_str(&whole), job->out);
	return 0;
}

/* --- account data and ephemeral events ----------------------------------------- */

static size_t add_account_data(struct mh_sync_job *job,
			       const struct mh_sync_room *room)
{
	const struct mh_event_filter *filter = &job->filter->room.account_data;
	size_t start = job->out->len, added = 0;

	if (!room->n_account_data ||
	    !mh_event_filter_match_room(filter, room->entry->room_id))
		return 0;
	mh_json_add_key(job->out, MH_STR("account_data"));
	mh_strbuf_addlit(job->out, "{\"events\":[");
	for (size_t i = 0; i < room->n_account_data; i++) {
		const struct mh_sync_account_data *data =
			&room->account_data[i];

		if (!mh_event_filter_match_type(filter, data->type,
						MH_STR_NONE))
			continue;
		mh_json_add_comma(job->out);
		mh_strbuf_addlit(job->out, "{\"type\":");
		mh_json_add_str(job->out, data->type);
		mh_strbuf_addlit(job->out, ",\"content\":");
		mh_strbuf_addstr(job->out, data->content);
		mh_strbuf_addch(job->out, '}');
		added++;
	}
	mh_strbuf_addlit(job->out, "]}");
	if (!added)
		mh_strbuf_truncate(job->out, start);
	return added;
}

static bool skip_ignored(void *context, struct mh_str user_id)
{
	return mh_sync_is_ignored(context, user_id);
}

static size_t add_typing(struct mh_sync_job *job, struct mh_sync_room *room)
{
	size_t start = job->out->len, list;

	mh_json_add_comma(job->out);
	mh_strbuf_addlit(job->out,
			 "{\"type\":\"m.typing\",\"content\":{\"user_ids\":");
	list = job->out->len;
	mh_typing_list(job->server, room->entry->room, skip_ignored, job,
		       job->out);
	/* To who had no token nobody has to be taken back. */
	if (job->out->len == list + 2 && !job->query->has_since) {
		mh_strbuf_truncate(job->out, start);
		return 0;
	}
	mh_strbuf_addlit(job->out, "}}");
	return 1;
}

/* 1 when receipts were added, 0, -1. */
static int add_receipts(struct mh_sync_job *job, struct mh_sync_room *room,
			struct mh_error *err)
{
	int64_t from = room->full ? 0 : job->from;

	if (room->other_pos <= from)
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	return mh_receipts_add(job->db, room->entry->room, job->user, from,
			       job->to, skip_ignored, job, job->out, err);
}

/* How many events were added; -1 failed. */
static int add_ephemeral(struct mh_sync_job *job, struct mh_sync_room *room,
			 struct mh_error *err)
{
	const struct mh_event_filter *filter = &job->filter->room.ephemeral;
	size_t start = job->out->len;
	int added = 0;

	if (!mh_event_filter_match_room(filter, room->entry->room_id))
		return 0;
	mh_json_add_key(job->out, MH_STR("ephemeral"));
	mh_strbuf_addlit(job->out, "{\"events\":[");
	if (mh_event_filter_match_type(filter, MH_STR("m.receipt"),
				       MH_STR_NONE)) {
		added = add_receipts(job, room, err);
		if (added < 0)
			return -1;
	}
	if ((room->typing || room->full) &&
	    mh_event_filter_match_type(filter, MH_STR("m.typing"), MH_STR_NONE))
		added += (int)add_typing(job, room);
	mh_strbuf_addlit(job->out, "]}");
	if (!added)
		mh_strbuf_truncate(job->out, start);
	return added;
}

/* --- joined rooms ------------------------------------------------------------------ */

/* Was the user joined when the client looked last? 1, 0, -1. */
static int joined_at_start(struct mh_sync_job *job,
			   const struct mh_sync_room *room,
			   struct mh_error *err)
{
	enum mh_membership before;
	int64_t group =
		mh_sync_group_at(job, room->entry->room, job->from, err);

	if (group < 0 || mh_sync_membership_in(job, group, &before, err) < 0)
		return -1;
	return before == MH_MEMBERSHIP_JOIN;
}

/*
 * Is the room new to the client: was the user not in it at `from`? Then all of
 * it is told, as in an initial sync.
 */
static int find_newly_joined(struct mh_sync_job *job, struct mh_sync_room *room,
			     struct mh_error *err)
{
	int known = job->query->has_since;

	if (known && room->mine->pos > job->from)
		known = joined_at_start(job, room, err);
	if (known < 0)
		return -1;
	room->full = room->whole_timeline = !known;
	if (job->query->full_state)
		room->full = true;
	return 0;
}

static void open_room(struct mh_sync_job *job, const struct mh_sync_room *room)
{
	mh_json_add_comma(job->out);
	mh_json_add_str(job->out, room->entry->room_id);
	mh_strbuf_addlit(job->out, ":{");
}

int mh_sync_join(struct mh_sync_job *job, struct mh_sync_room *room,
		 struct mh_error *err)
{
	struct mh_sync_timeline timeline;
	mh_nid heroes[MH_HEROES];
	size_t start = job->out->len, n_heroes = 0;
	int state, ephemeral;
	bool any;

	if (find_newly_joined(job, room, err) < 0 ||
	    mh_sync_timeline(job, room, &timeline, err) < 0)
		return -1;
	open_room(job, room);
	if ((room->full || timeline.renamed) &&
	    mh_sync_add_summary(job, room, heroes, &n_heroes, err) < 0)
		return -1;
	state = mh_sync_add_state(job, room, &timeline, heroes, n_heroes, err);
	if (state < 0 || mh_sync_add_timeline(job, room, &timeline, err) < 0)
		return -1;
	ephemeral = add_ephemeral(job, room, err);
	if (ephemeral < 0)
		return -1;
	any = add_account_data(job, room) || room->full || timeline.n ||
	      timeline.limited || state || ephemeral;
	if (any)
		mh_strbuf_addch(job->out, '}');
	else
		mh_strbuf_truncate(job->out, start);
	return 0;
}

/* --- left rooms --------------------------------------------------------------------- */

/*
 * The member event that ended the user's last time in the room: the current one,
 * or (who is banned after leaving) an earlier one. 1 found, 0 (never joined), -1.
 */
static int find_end(struct mh_sync_job *job, const struct mh_sync_room *room,
		    struct mh_event_row *ret, struct mh_error *err)
{
	mh_nid type = mh_name_find(job->db, MH_STR("m.room.member"), err);
	mh_nid event = room->mine->event;

	for (int i = 0; event > 0 && i < 50; i++) {
		enum mh_membership before;

		mh_event_row_release(ret);
		if (mh_events_get_nid(job->db, event, ret, err) < 0)
			return -1;
		if (!ret->event || !ret->state_before)
			return 0;
		if (mh_sync_membership_in(job, ret->state_before, &before,
					  err) < 0)
			return -1;
		if (before == MH_MEMBERSHIP_JOIN)
			return 1;
		event = mh_state_group_get(job->db, ret->state_before, type,
					   job->user, err);
	}
	return event < 0 ? -1 : 0;
}

int mh_sync_leave(struct mh_sync_job *job, struct mh_sync_room *room,
		  struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row end = { 0 };
	struct mh_sync_timeline timeline;
	int rc, known = 0;

	if (mh_sync_need_db(job, err) < 0)
		return -1;
	room->upto = room->mine->pos < job->to ? room->mine->pos : job->to;
	rc = find_end(job, room, &end, err);
	/* Does the client know the room, or was all their time since then? */
	if (rc > 0 && job->query->has_since && room->mine->pos > job->from)
		known = end.pos <= job->from ? 1 :
					       joined_at_start(job, room, err);
	else
		known = job->query->has_since && room->mine->pos > job->from;
	if (rc < 0 || known < 0)
		return -1;
	room->whole_timeline = !known;
	room->full = room->whole_timeline || job->query->full_state;
	if (mh_sync_timeline(job, room, &timeline, err) < 0)
		return -1;
	/* Their time ended before what the client has: no state since then. */
	room->left_group = rc > 0 && (room->full || end.pos > job->from) ?
				   end.state_after :
				   0;
	room->left_pos = end.pos;
	open_room(job, room);
	if (mh_sync_add_state(job, room, &timeline, NULL, 0, err) < 0 ||
	    mh_sync_add_timeline(job, room, &timeline, err) < 0)
		return -1;
	add_account_data(job, room);
	mh_strbuf_addch(job->out, '}');
	return 0;
}

/* --- invites and knocks ----------------------------------------------------------------- */

static const char *const stripped_types[] = {
	"m.room.create",	  "m.room.name",
	"m.room.avatar",	  "m.room.topic",
	"m.room.join_rules",	  "m.room.canonical_alias",
	"m.room.encryption",
};

static int add_stripped(struct mh_sync_job *job, mh_nid event,
			struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };

	if (mh_events_get_nid(job->db, event, &row, err) < 0)
		return -1;
	if (!row.event)
		return 0;
	mh_json_add_comma(job->out);
	mh_event_stripped_json(row.event, job->out);
	return 0;
}

/* From the state after the invite or knock, as this server has it. */
static int add_own_stripped(struct mh_sync_job *job, int64_t group,
			    struct mh_str sender, mh_nid member_type,
			    struct mh_error *err)
{
	mh_nid empty = mh_name_find(job->db, MH_STR(""), err);
	mh_nid user = mh_name_find(job->db, sender, err);
	mh_nid event;

	if (empty < 0 || user < 0)
		return -1;
	for (size_t i = 0; i < MH_ARRAY_LEN(stripped_types); i++) {
		mh_nid type =
			mh_name_find(job->db, mh_str(stripped_types[i]), err);

		if (type < 0)
			return -1;
		event = type ? mh_state_group_get(job->db, group, type, empty,
						  err) :
			       0;
		if (event < 0 || (event && add_stripped(job, event, err) < 0))
			return -1;
	}
	/* Who invites, so that the client can show a name. */
	if (!user || user == job->user)
		return 0;
	event = mh_state_group_get(job->db, group, member_type, user, err);
	return event > 0 ? add_stripped(job, event, err) : (int)event;
}

/* The elements of a JSON array, without its brackets. */
static void add_elements(struct mh_strbuf *out, struct mh_str array)
{
	if (array.len <= 2)
		return;
	mh_json_add_comma(out);
	mh_strbuf_add(out, array.data + 1, array.len - 2);
}

int mh_sync_stripped(struct mh_sync_job *job, struct mh_sync_room *room,
		     const char *member, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	MH_STRBUF(stripped);
	mh_nid member_type;
	int rc;

	if (mh_sync_need_db(job, err) < 0 ||
	    mh_events_get_nid(job->db, room->mine->event, &row, err) < 0)
		return -1;
	member_type = mh_name_find(job->db, MH_STR("m.room.member"), err);
	if (member_type < 0)
		return -1;
	if (row.event && mh_sync_is_ignored(job, row.event->sender))
		return 0;
	rc = mh_member_get_stripped(job->db, room->entry->room, job->user,
				    &stripped, err);
	if (rc < 0)
		return -1;
	open_room(job, room);
	mh_json_add_key(job->out, mh_str(member));
	mh_strbuf_addlit(job->out, "{\"events\":[");
	if (rc > 0)
		add_elements(job->out, mh_strbuf_str(&stripped));
	else if (row.event && row.state_after &&
		 add_own_stripped(job, row.state_after, row.event->sender,
				  member_type, err) < 0)
		return -1;
	if (row.event) {
		mh_json_add_comma(job->out);
		mh_event_stripped_json(row.event, job->out);
	}
	mh_strbuf_addlit(job->out, "]}}");
	return 0;
}
