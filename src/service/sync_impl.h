/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the sync builder share.
 *
 * A build goes from position `from` (exclusive; 0: the beginning) to `to`
 * (inclusive). It begins without the database: where little happened, memory
 * (notifier_impl.h) has the answer. Whoever needs the database calls
 * mh_sync_need_db(), which opens a snapshot. Should that show a later position
 * than `to`, the build begins again with the snapshot's, so that all of one
 * response is of the same moment.
 */
#pragma once

#include "base/arena.h"
#include "core/filter.h"
#include "service/notifier_impl.h"
#include "service/sync.h"
#include "service/visibility.h"

/* --- what is remembered between requests ---------------------------------- */

#define MH_VIEW_BUDGET_PART 8 /* of [memory] budget: struct mh_state_view */

struct mh_sync {
	struct mh_server *server;
	pthread_mutex_t mutex; /* all below, and `view`, `summary` of rooms */
	struct mh_state_view *newest_view, *oldest_view;
	size_t view_bytes, view_budget;
	struct mh_sync_device *devices; /* uthash, by use */
	size_t device_members;
	struct mh_sync_user *users; /* uthash, by use */
};

/* --- one build -------------------------------------------------------------- */

struct mh_sync_ignored; /* sync_ignored.c */

struct mh_sync_job {
	struct mh_server *server;
	struct mh_notifier *notifier;
	const struct mh_sync_query *query;
	const struct mh_filter *filter;
	mh_nid user;
	struct mh_arena arena; /* of this build */
	struct mh_db *connection;
	struct mh_db *db; /* NULL until there is a snapshot */
	bool restart;
	int64_t from, to;
	int64_t ephemeral_from, ephemeral_to;
	bool all_ephemeral; /* another boot's token, or none */
	int64_t now;	    /* wall ms, for `age` */
	struct mh_strbuf *out;
	bool any; /* there was something to tell */
	struct mh_sync_sent *sent; /* members; remembered when all is done */
	size_t n_sent, cap_sent;
	const struct mh_str *ignored; /* user IDs, sorted */
	size_t n_ignored;
	struct mh_sync_account_data *account_data; /* in order of rooms */
	size_t n_account_data;
};

/* 0 with job->db set; -1: failed, or to be begun again (job->restart). */
int mh_sync_need_db(struct mh_sync_job *job, struct mh_error *err);

bool mh_sync_is_ignored(const struct mh_sync_job *job, struct mh_str user_id);

struct mh_sync_sent {
	mh_nid room, member;
};

/* One change of account data. */
struct mh_sync_account_data {
	mh_nid room; /* 0: global */
	struct mh_str type, content;
};

/* --- one room (sync_rooms.c) ------------------------------------------------- */

/* One room in the user's list that may have changed. */
struct mh_sync_room {
	const struct mh_user_room *mine;
	struct mh_room_entry *entry;
	int64_t latest_pos, other_pos, ephemeral_pos; /* copied from it */
	bool typing;  /* who types is to be told */
	bool full;    /* all of it: initial, newly joined, full_state */
	bool whole_timeline; /* not from `from` on, but the newest events */
	int64_t upto; /* the timeline ends here */
	/* Left rooms: the state when the user left, 0: none to tell; and when. */
	int64_t left_group, left_pos;
	int64_t current_group; /* 0: not asked yet */
	struct mh_visibility *view;
	const struct mh_sync_account_data *account_data;
	size_t n_account_data;
};

/* Appends `"!id":{...}` if there is anything to tell. */
int mh_sync_join(struct mh_sync_job *job, struct mh_sync_room *room,
		 struct mh_error *err);
int mh_sync_leave(struct mh_sync_job *job, struct mh_sync_room *room,
		  struct mh_error *err);
/* Invites and knocks: `member` is "invite_state" or "knock_state". */
int mh_sync_stripped(struct mh_sync_job *job, struct mh_sync_room *room,
		     const char *member, struct mh_error *err);
/*
 * Appends one event as the client wants it, with `unsigned`. `room` NULL: in
 * the state, where unsigned is the same for all.
 */
int mh_sync_add_event(struct mh_sync_job *job, struct mh_sync_room *room,
		      const struct mh_recent *recent, struct mh_error *err);

/* --- timeline (sync_timeline.c) ------------------------------------------------ */

struct mh_sync_timeline {
	struct mh_recent **events; /* oldest first; held by the arena */
	size_t n;
	bool limited;
	/* Of all events in the span, the filtered ones too. */
	bool quiet_state; /* none of them changed the state; false: not known */
	bool all_shown;	  /* every state event of the span is in `events` */
	bool renamed;	  /* a member, name or alias changed; true: not known */
};

int mh_sync_timeline(struct mh_sync_job *job, struct mh_sync_room *room,
		     struct mh_sync_timeline *ret, struct mh_error *err);
int mh_sync_add_timeline(struct mh_sync_job *job, struct mh_sync_room *room,
			 const struct mh_sync_timeline *timeline,
			 struct mh_error *err);

/* --- state (sync_state.c) ------------------------------------------------------ */

/*
 * Appends `"state":{"events":[...]}` or `"state_after":...`. Returns how many
 * events it has, -1 failed. `heroes` are members whom lazy loading must give.
 */
int mh_sync_add_state(struct mh_sync_job *job, struct mh_sync_room *room,
		      const struct mh_sync_timeline *timeline,
		      const mh_nid *heroes, size_t n_heroes,
		      struct mh_error *err);
/* The group that is the room's state at `to`. -1 failed. */
int64_t mh_sync_current_group(struct mh_sync_job *job,
			      struct mh_sync_room *room, struct mh_error *err);
/* The group after the last event at or before `pos`; 0 none, -1 failed. */
int64_t mh_sync_group_at(struct mh_sync_job *job, mh_nid room, int64_t pos,
			 struct mh_error *err);
/* The user's membership in a group: a name, "leave" without an event. */
int mh_sync_membership_in(struct mh_sync_job *job, int64_t group,
			  enum mh_membership *ret, struct mh_error *err);
/* With sync's mutex held, or at the end. */
void mh_state_view_drop(struct mh_sync *sync, struct mh_state_view *view);

/* --- members (sync_members.c) ---------------------------------------------------- */

#define MH_HEROES 5

/* "summary": counts and heroes; fills in up to MH_HEROES heroes. */
int mh_sync_add_summary(struct mh_sync_job *job, struct mh_sync_room *room,
			mh_nid *heroes, size_t *n_heroes, struct mh_error *err);

/*
 * Does the device know the member's event already: was it in a response that
 * the device has since acknowledged by `since`?
 */
bool mh_sync_member_known(struct mh_sync_job *job, mh_nid room, mh_nid member);
/* It will, once it has this response. */
void mh_sync_member_sent(struct mh_sync_job *job, mh_nid room, mh_nid member);
/* The response is complete: remembers whom it has. */
void mh_sync_members_done(struct mh_sync_job *job);
/* An initial sync: the device knows nothing. */
void mh_sync_members_forget(struct mh_sync_job *job);
/* Key counts of the device, from memory where nothing of the user changed. */
int mh_sync_add_key_counts(struct mh_sync_job *job, int64_t user_pos,
			   struct mh_error *err);
void mh_sync_devices_free(struct mh_sync *sync);

/* --- ignored users (sync_ignored.c) ------------------------------------------------ */

int mh_sync_load_ignored(struct mh_sync_job *job, int64_t user_pos,
			 struct mh_error *err);
void mh_sync_users_free(struct mh_sync *sync);
