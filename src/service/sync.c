/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sync, from its frame inwards. The order is:
 *
 *	1. the position, and the user's rooms as of it
 *	2. which of these may have changed: a look at memory each
 *	3. for those, sync_rooms.c
 *	4. what is not of a room
 *
 * A quiet account costs step 2 alone. What this file does not do is wait: see
 * client/sync.c and live/session.c.
 */
#include "service/sync_impl.h"

#include "base/settings.h"
#include "service/keys.h"
#include "service/presence.h"
#include "service/to_device.h"
#include "store/account_data.h"

#include <stdlib.h>

int mh_sync_need_db(struct mh_sync_job *job, struct mh_error *err)
{
	int64_t at;

	if (job->db)
		return 0;
	mh_db_begin(job->connection);
	job->db = job->connection;
	if (mh_db_position(job->db, &at, err) < 0)
		return -1;
	if (at == job->to)
		return 0;
	job->restart = true;
	return -1;
}

/* --- account data ---------------------------------------------------------- */

struct collect {
	struct mh_sync_job *job;
	size_t cap;
};

static int collect_account_data(void *context, mh_nid room, struct mh_str type,
				struct mh_str content, struct mh_error *err)
{
	struct collect *collect = context;
	struct mh_sync_job *job = collect->job;

	(void)err;
	if (job->n_account_data == collect->cap) {
		struct mh_sync_account_data *more;

		collect->cap = collect->cap ? 2 * collect->cap : 16;
		more = mh_arena_alloc_array(&job->arena, collect->cap,
					    sizeof(*more));
		if (job->n_account_data)
			memcpy(more, job->account_data,
			       job->n_account_data * sizeof(*more));
		job->account_data = more;
	}
	job->account_data[job->n_account_data++] =
		(struct mh_sync_account_data){
			.room = room,
			.type = mh_arena_str(&job->arena, type),
			.content = mh_arena_str(&job->arena, content),
		};
	return 1;
}

static int by_room(const void *a, const void *b)
{
	const struct mh_sync_account_data *x = a, *y = b;

	return x->room < y->room ? -1 : x->room > y->room;
}

static int load_account_data(struct mh_sync_job *job, int64_t user_pos,
			     struct mh_error *err)
{
	struct collect collect = { .job = job };

	if (job->query->has_since && user_pos <= job->from)
		return 0;
	if (mh_sync_need_db(job, err) < 0 ||
	    mh_account_data_each(job->db, job->user, job->from, job->to,
				    collect_account_data, &collect, err) < 0)
		return -1;
	if (job->n_account_data > 1)
		qsort(job->account_data, job->n_account_data,
		      sizeof(*job->account_data), by_room);
	return 0;
}

/* The slice of the list that belongs to a room. */
static void find_account_data(const struct mh_sync_job *job, mh_nid room,
			      const struct mh_sync_account_data **ret,
			      size_t *ret_n)
{
	size_t low = 0, high = job->n_account_data, end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (job->account_data[mid].room < room)
			low = mid + 1;
		else
			high = mid;
	}
	for (end = low;
	     end < job->n_account_data && job->account_data[end].room == room;)
		end++;
	*ret = job->account_data + low;
	*ret_n = end - low;
}

static int add_account_data(struct mh_sync_job *job)
{
	const struct mh_event_filter *filter = &job->filter->account_data;
	const struct mh_sync_account_data *list;
	size_t n, start = job->out->len, added = 0;

	find_account_data(job, 0, &list, &n);
	mh_strbuf_addlit(job->out, ",\"account_data\":{\"events\":[");
	for (size_t i = 0; i < n; i++) {
		if (!mh_event_filter_match_type(filter, list[i].type,
						MH_STR_NONE))
			continue;
		mh_json_add_comma(job->out);
		mh_strbuf_addlit(job->out, "{\"type\":");
		mh_json_add_str(job->out, list[i].type);
		mh_strbuf_addlit(job->out, ",\"content\":");
		mh_strbuf_addstr(job->out, list[i].content);
		mh_strbuf_addch(job->out, '}');
		added++;
	}
	mh_strbuf_addlit(job->out, "]}");
	if (added)
		job->any = true;
	else
		mh_strbuf_truncate(job->out, start);
	return 0;
}

/* --- rooms ------------------------------------------------------------------ */

struct rooms {
	struct mh_user_rooms *list;
	struct mh_sync_room *changed;
	size_t n;
	bool lists_changed; /* device lists may have */
};

static bool membership_is_gone(enum mh_membership membership)
{
	return membership == MH_MEMBERSHIP_LEAVE ||
	       membership == MH_MEMBERSHIP_BAN;
}

/* With the notifier's mutex held. */
static bool room_changed(const struct mh_sync_job *job,
			 const struct mh_user_room *mine,
			 struct mh_sync_room *room)
{
	const struct mh_room_entry *entry = mine->entry;
	bool all = !job->query->has_since || job->query->full_state;

	*room = (struct mh_sync_room){
		.mine = mine,
		.entry = mine->entry,
		.latest_pos = entry->latest_pos,
		.other_pos = entry->other_pos,
		.ephemeral_pos = entry->ephemeral_pos,
		.upto = job->to,
	};
	find_account_data(job, entry->room, &room->account_data,
			  &room->n_account_data);
	if (membership_is_gone(mine->membership))
		return mine->pos > job->from ? job->query->has_since ||
						       job->filter->room.include_leave :
					       all && !mine->forgotten &&
						       job->filter->room.include_leave;
	if (mine->membership == MH_MEMBERSHIP_NONE)
		return false;
	if (all || mine->pos > job->from)
		return true;
	if (mine->membership != MH_MEMBERSHIP_JOIN)
		return false;
	room->typing = job->all_ephemeral ||
		       room->ephemeral_pos > job->ephemeral_from;
	return room->latest_pos > job->from || room->other_pos > job->from ||
	       room->typing || room->n_account_data;
}

static int find_rooms(struct mh_sync_job *job, struct rooms *rooms,
		      struct mh_error *err)
{
	struct mh_user_rooms *list;
	int rc = mh_user_rooms_get(job->notifier, job->db, job->to, job->user,
				   &rooms->list, err);

	if (rc == 0 && mh_sync_need_db(job, err) == 0)
		rc = mh_user_rooms_get(job->notifier, job->db, job->to,
				       job->user, &rooms->list, err);
	if (rc <= 0)
		return -1;
	list = rooms->list;
	rooms->changed = mh_arena_alloc_array(&job->arena, list->n + 1,
					      sizeof(*rooms->changed));
	mh_notifier_lock(job->notifier);
	for (size_t i = 0; i < list->n; i++) {
		const struct mh_user_room *mine = &list->rooms[i];

		if (mine->membership == MH_MEMBERSHIP_JOIN &&
		    (mine->entry->other_pos > job->from ||
		     mine->entry->members_pos > job->from))
			rooms->lists_changed = true;
		if (mine->pos > job->from)
			rooms->lists_changed = true;
		if (room_changed(job, mine, &rooms->changed[rooms->n]))
			rooms->n++;
	}
	mh_notifier_unlock(job->notifier);
	return 0;
}

static int add_room(struct mh_sync_job *job, struct mh_sync_room *room,
		    enum mh_membership kind, struct mh_error *err)
{
	switch (kind) {
	case MH_MEMBERSHIP_JOIN:
		return mh_sync_join(job, room, err);
	case MH_MEMBERSHIP_INVITE:
		return mh_sync_stripped(job, room, "invite_state", err);
	case MH_MEMBERSHIP_KNOCK:
		return mh_sync_stripped(job, room, "knock_state", err);
	default:
		return mh_sync_leave(job, room, err);
	}
}

/* `"join":{...}` and its like, left out when there is nothing in it. */
static int add_rooms_of(struct mh_sync_job *job, const struct rooms *rooms,
			enum mh_membership kind, struct mh_str name,
			struct mh_error *err)
{
	size_t start = job->out->len, inner;

	mh_json_add_key(job->out, name);
	mh_strbuf_addch(job->out, '{');
	inner = job->out->len;
	for (size_t i = 0; i < rooms->n; i++) {
		struct mh_sync_room *room = &rooms->changed[i];
		enum mh_membership membership = room->mine->membership;

		if (membership == MH_MEMBERSHIP_BAN)
			membership = MH_MEMBERSHIP_LEAVE;
		if (membership == kind &&
		    mh_filter_room(job->filter, room->entry->room_id) &&
		    add_room(job, room, kind, err) < 0)
			return -1;
	}
	if (job->out->len == inner) {
		mh_strbuf_truncate(job->out, start);
		return 0;
	}
	job->any = true;
	mh_strbuf_addch(job->out, '}');
	return 0;
}

static int add_rooms(struct mh_sync_job *job, const struct rooms *rooms,
		     struct mh_error *err)
{
	size_t start = job->out->len, inner;

	mh_strbuf_addlit(job->out, ",\"rooms\":{");
	inner = job->out->len;
	if (add_rooms_of(job, rooms, MH_MEMBERSHIP_JOIN, MH_STR("join"), err) <
		    0 ||
	    add_rooms_of(job, rooms, MH_MEMBERSHIP_INVITE, MH_STR("invite"),
			 err) < 0 ||
	    add_rooms_of(job, rooms, MH_MEMBERSHIP_KNOCK, MH_STR("knock"),
			 err) < 0 ||
	    add_rooms_of(job, rooms, MH_MEMBERSHIP_LEAVE, MH_STR("leave"),
			 err) < 0)
		return -1;
	if (job->out->len == inner)
		mh_strbuf_truncate(job->out, start);
	else
		mh_strbuf_addch(job->out, '}');
	return 0;
}

/* --- presence ---------------------------------------------------------------- */

/* 1 when both are joined to some room, 0, -1. */
static int shares_room(struct mh_sync_job *job, const struct rooms *rooms,
		       mh_nid other, struct mh_error *err)
{
	bool found = other == job->user, all_known = true;

	mh_notifier_lock(job->notifier);
	for (size_t i = 0; i < rooms->list->n && !found; i++) {
		const struct mh_user_room *mine = &rooms->list->rooms[i];

		if (mine->membership != MH_MEMBERSHIP_JOIN)
			continue;
		if (!mine->entry->members_known)
			all_known = false;
		else
			found = mh_room_entry_has(mine->entry, other);
	}
	mh_notifier_unlock(job->notifier);
	if (found || all_known)
		return found;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	return mh_member_share_room(job->db, job->user, other, err);
}

static int add_presence_of(struct mh_sync_job *job, const struct rooms *rooms,
			   mh_nid user, struct mh_error *err)
{
	struct mh_str user_id;
	int rc = shares_room(job, rooms, user, err);

	if (rc <= 0)
		return rc;
	if (mh_name_get_str(job->connection, user, &job->arena, &user_id, err) <
	    0)
		return -1;
	if (!mh_event_filter_match_type(&job->filter->presence,
					MH_STR("m.presence"), user_id) ||
	    mh_sync_is_ignored(job, user_id))
		return 0;
	mh_json_add_comma(job->out);
	mh_strbuf_addlit(job->out, "{\"type\":\"m.presence\",\"sender\":");
	mh_json_add_str(job->out, user_id);
	mh_strbuf_addlit(job->out, ",\"content\":");
	mh_presence_content(job->server, user, job->out);
	mh_strbuf_addch(job->out, '}');
	return 1;
}

static int add_presence(struct mh_sync_job *job, const struct rooms *rooms,
			struct mh_error *err)
{
	const struct mh_event_filter *filter = &job->filter->presence;
	size_t start = job->out->len, n, added = 0, limit;
	mh_nid *users;

	if (!job->server->settings->presence.enabled)
		return 0;
	mh_presence_changed(job->server,
			    job->all_ephemeral ? 0 : job->ephemeral_from,
			    &job->arena, &users, &n);
	limit = mh_event_filter_limit(filter, SIZE_MAX, SIZE_MAX);
	mh_strbuf_addlit(job->out, ",\"presence\":{\"events\":[");
	for (size_t i = 0; i < n && added < limit; i++) {
		int rc = add_presence_of(job, rooms, users[i], err);

		if (rc < 0)
			return -1;
		added += rc > 0;
	}
	mh_strbuf_addlit(job->out, "]}");
	if (added)
		job->any = true;
	else
		mh_strbuf_truncate(job->out, start);
	return 0;
}

/* --- encryption ---------------------------------------------------------------- */

/*
 * What the device has not acknowledged. Sets how far the messages went, for the
 * token: less than `to` when there were too many for one response.
 */
static int add_to_device(struct mh_sync_job *job, int64_t user_pos,
			 int64_t *ret_upto, struct mh_error *err)
{
	const struct mh_sync_query *query = job->query;
	int64_t from = query->has_since ? query->since.to_device : 0;
	size_t start = job->out->len;
	int n;

	*ret_upto = job->to;
	if (!query->who->device_id.len || (from && user_pos <= from))
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	mh_strbuf_addlit(job->out, ",\"to_device\":{\"events\":");
	n = mh_to_device_sync(job->db, query->who, from, job->to, job->out,
			      ret_upto, err);
	if (n < 0)
		return -1;
	mh_strbuf_addch(job->out, '}');
	if (n > 0)
		job->any = true;
	else
		mh_strbuf_truncate(job->out, start);
	return 0;
}

static int add_device_lists(struct mh_sync_job *job, bool changed,
			    struct mh_error *err)
{
	size_t start = job->out->len;
	int rc;

	if (!job->query->has_since || !changed)
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	mh_strbuf_addlit(job->out, ",\"device_lists\":");
	rc = mh_keys_sync_lists(job->db, job->query->who, job->from, job->to,
				job->out, err);
	if (rc > 0)
		job->any = true;
	else
		mh_strbuf_truncate(job->out, start);
	return rc;
}

/* --- the whole ------------------------------------------------------------------- */

static int64_t user_position(struct mh_sync_job *job)
{
	int64_t pos;

	mh_notifier_lock(job->notifier);
	pos = mh_user_entry_get(job->notifier, job->user)->pos;
	mh_notifier_unlock(job->notifier);
	return pos;
}

static int build(struct mh_sync_job *job, struct rooms *rooms,
		 struct mh_sync_token *token, struct mh_error *err)
{
	int64_t user_pos = user_position(job);

	mh_strbuf_addch(job->out, '{');
	if (load_account_data(job, user_pos, err) < 0 ||
	    mh_sync_load_ignored(job, user_pos, err) < 0 ||
	    find_rooms(job, rooms, err) < 0 ||
	    mh_sync_add_key_counts(job, user_pos, err) < 0 ||
	    add_account_data(job) < 0 || add_rooms(job, rooms, err) < 0 ||
	    add_presence(job, rooms, err) < 0 ||
	    add_to_device(job, user_pos, &token->to_device, err) < 0 ||
	    add_device_lists(job, rooms->lists_changed || user_pos > job->from,
			     err) < 0)
		return -1;
	token->pos = job->to;
	token->ephemeral = job->ephemeral_to;
	token->same_boot = true;
	mh_strbuf_addlit(job->out, ",\"next_batch\":\"");
	mh_sync_token_add(job->server, token, job->out);
	mh_strbuf_addlit(job->out, "\"}");
	mh_sync_members_done(job);
	return 0;
}

static void begin(struct mh_sync_job *job)
{
	const struct mh_sync_query *query = job->query;

	job->ephemeral_to = mh_ephemeral_position(job->server);
	mh_notifier_lock(job->notifier);
	job->to = job->notifier->position;
	mh_notifier_unlock(job->notifier);
	job->from = query->has_since ? query->since.pos : 0;
	if (job->from > job->to)
		job->from = job->to;
	job->all_ephemeral = !query->has_since || !query->since.same_boot;
	job->ephemeral_from = job->all_ephemeral ? 0 : query->since.ephemeral;
}

/* The snapshot first, and the position from it. */
static int begin_in_snapshot(struct mh_sync_job *job, struct mh_error *err)
{
	begin(job);
	mh_db_begin(job->connection);
	job->db = job->connection;
	if (mh_db_position(job->db, &job->to, err) < 0)
		return -1;
	mh_notifier_catch_up(job->notifier, job->to);
	return 0;
}

static int attempt(struct mh_sync_job *job, bool in_snapshot,
		   struct mh_sync_token *token, struct mh_error *err)
{
	struct rooms rooms = { 0 };
	int rc = 0;

	if (in_snapshot)
		rc = begin_in_snapshot(job, err);
	else
		begin(job);
	if (rc == 0)
		rc = build(job, &rooms, token, err);
	mh_user_rooms_unref(rooms.list);
	if (job->db)
		mh_db_end(job->db);
	return rc;
}

int mh_sync_build(struct mh_server *server, struct mh_db *db,
		  const struct mh_sync_query *query, struct mh_strbuf *out,
		  bool *ret_empty, struct mh_sync_token *ret_token,
		  struct mh_error *err)
{
	struct mh_sync_token token = { 0 };
	size_t start = out->len;
	bool in_snapshot = !query->has_since || query->full_state;
	bool again;
	int rc;

	do {
		struct mh_sync_job job = {
			.server = server,
			.notifier = server->notifier,
			.query = query,
			.filter = query->filter,
			.user = query->who->user,
			.connection = db,
			.now = mh_clock_wall(server->clock),
			.out = out,
		};

		mh_strbuf_truncate(out, start);
		mh_arena_init(&job.arena);
		if (!query->has_since)
			mh_sync_members_forget(&job);
		rc = attempt(&job, in_snapshot, &token, err);
		again = rc < 0 && job.restart && !in_snapshot;
		in_snapshot = true;
		*ret_empty = query->has_since && !query->full_state && !job.any;
		mh_arena_release(&job.arena);
	} while (again);
	if (rc < 0)
		mh_strbuf_truncate(out, start);
	else if (ret_token)
		*ret_token = token;
	return rc;
}

/* --- what is remembered -------------------------------------------------------------- */

struct mh_sync *mh_sync_new(struct mh_server *server)
{
	struct mh_sync *sync = MH_NEW(struct mh_sync);

	sync->server = server;
	pthread_mutex_init(&sync->mutex, NULL);
	sync->view_budget = (size_t)server->settings->memory.budget /
			    MH_VIEW_BUDGET_PART;
	return sync;
}

void mh_sync_free(struct mh_sync *sync)
{
	if (!sync)
		return;
	while (sync->newest_view)
		mh_state_view_drop(sync, sync->newest_view);
	mh_sync_devices_free(sync);
	mh_sync_users_free(sync);
	pthread_mutex_destroy(&sync->mutex);
	free(sync);
}
