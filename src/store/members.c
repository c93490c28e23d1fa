/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memberships: a row for everybody who ever had one in a room, and counts in
 * the row of the room.
 */
#include "store/state_impl.h"

#include "core/ids.h"

static const char *const names[] = {
	[MH_MEMBERSHIP_NONE] = "",	   [MH_MEMBERSHIP_INVITE] = "invite",
	[MH_MEMBERSHIP_JOIN] = "join",	   [MH_MEMBERSHIP_KNOCK] = "knock",
	[MH_MEMBERSHIP_LEAVE] = "leave",   [MH_MEMBERSHIP_BAN] = "ban",
};

enum mh_membership mh_membership_from(struct mh_str text)
{
	for (size_t i = 1; i < MH_ARRAY_LEN(names); i++)
		if (mh_str_is(text, names[i]))
			return (enum mh_membership)i;
	return MH_MEMBERSHIP_NONE;
}

const char *mh_membership_name(enum mh_membership membership)
{
	return names[membership];
}

/* --- changing --------------------------------------------------------------- */

static int count(struct mh_tx *tx, mh_nid room, enum mh_membership from,
		 enum mh_membership to, bool local, struct mh_error *err)
{
	int joined = (to == MH_MEMBERSHIP_JOIN) - (from == MH_MEMBERSHIP_JOIN);
	int invited = (to == MH_MEMBERSHIP_INVITE) -
		      (from == MH_MEMBERSHIP_INVITE);

	if (!joined && !invited)
		return 0;

	MH_SQL(st, tx->db,
	       "UPDATE rooms SET joined = joined + ?2, invited = invited + ?3,"
	       " joined_local = joined_local + ?4 WHERE nid = ?1");
	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, joined);
	mh_sql_int(st, 3, invited);
	mh_sql_int(st, 4, local ? joined : 0);
	return mh_sql_exec(st, err);
}

static int upsert(struct mh_tx *tx, const struct mh_member *member,
		  struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO members (user, room, membership, event, pos, local)"
	       " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (user, room)"
	       " DO UPDATE SET membership = ?3, event = ?4, pos = ?5,"
	       " forgotten = 0, stripped = NULL");

	mh_sql_int(st, 1, member->user);
	mh_sql_int(st, 2, member->room);
	mh_sql_int(st, 3, member->membership);
	mh_sql_int(st, 4, member->event);
	mh_sql_int(st, 5, member->pos);
	mh_sql_int(st, 6, member->local);
	return mh_sql_exec(st, err);
}

/*
 * A join that follows a join is a change of the profile: the member came when
 * it came.
 */
int mh_member_set(struct mh_tx *tx, const struct mh_event_row *row,
		  struct mh_error *err)
{
	struct mh_member old = { .membership = MH_MEMBERSHIP_NONE };
	struct mh_member member = {
		.room = row->room,
		.user = row->state_key,
		.membership = mh_membership_from(row->event->membership),
		.event = row->nid,
		.pos = row->pos,
	};

	if (mh_member_get(tx->db, row->room, row->state_key, &old, err) < 0)
		return -1;
	member.local = mh_str_eq(mh_id_domain(row->event->state_key),
				 tx->store->server_name);
	if (old.membership == member.membership &&
	    member.membership == MH_MEMBERSHIP_JOIN)
		member.pos = old.pos;
	if (upsert(tx, &member, err) < 0)
		return -1;
	return count(tx, row->room, old.membership, member.membership,
		     member.local, err);
}

int mh_member_unset(struct mh_tx *tx, mh_nid room, mh_nid user, int64_t pos,
		    struct mh_error *err)
{
	struct mh_member member;
	int rc = mh_member_get(tx->db, room, user, &member, err);
	enum mh_membership old;

	if (rc <= 0)
		return rc;
	old = member.membership;
	member.membership = MH_MEMBERSHIP_LEAVE;
	member.pos = pos;
	if (upsert(tx, &member, err) < 0)
		return -1;
	return count(tx, room, old, MH_MEMBERSHIP_LEAVE, member.local, err);
}

int mh_member_forget(struct mh_tx *tx, mh_nid room, mh_nid user,
		     struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "UPDATE members SET forgotten = 1, stripped = NULL"
	       " WHERE user = ?1 AND room = ?2");

	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	return mh_sql_exec(st, err);
}

int mh_member_set_stripped(struct mh_tx *tx, mh_nid room, mh_nid user,
			   struct mh_str stripped, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "UPDATE members SET stripped = ?3"
	       " WHERE user = ?1 AND room = ?2");

	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	mh_sql_text(st, 3, stripped);
	return mh_sql_exec(st, err);
}

/* --- asking --------------------------------------------------------------- */

#define COLUMNS "room, user, membership, event, pos, local, forgotten"

static void read_member(struct mh_stmt *st, struct mh_member *ret)
{
	ret->room = mh_sql_col_int(st, 0);
	ret->user = mh_sql_col_int(st, 1);
	ret->membership = (enum mh_membership)mh_sql_col_int(st, 2);
	ret->event = mh_sql_col_int(st, 3);
	ret->pos = mh_sql_col_int(st, 4);
	ret->local = mh_sql_col_int(st, 5) != 0;
	ret->forgotten = mh_sql_col_int(st, 6) != 0;
}

static int each_member(struct mh_stmt *st,
		       int (*each)(void *context,
				   const struct mh_member *member),
		       void *context, struct mh_error *err)
{
	struct mh_member member;
	int rc;

	while ((rc = mh_sql_step(st, err)) > 0) {
		read_member(st, &member);
		if (each(context, &member) <= 0)
			return 0;
	}
	return rc;
}

int mh_member_get(struct mh_db *db, mh_nid room, mh_nid user,
		  struct mh_member *ret, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT " COLUMNS " FROM members WHERE user = ?1 AND room = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		read_member(st, ret);
	return rc;
}

int mh_member_get_stripped(struct mh_db *db, mh_nid room, mh_nid user,
			   struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT stripped FROM members WHERE user = ?1 AND room = ?2"
	       " AND stripped IS NOT NULL");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, room);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

int mh_member_rooms(struct mh_db *db, mh_nid user,
		    int (*each)(void *context, const struct mh_member *member),
		    void *context, struct mh_error *err)
{
	MH_SQL(st, db, "SELECT " COLUMNS " FROM members WHERE user = ?1");

	mh_sql_int(st, 1, user);
	return each_member(st, each, context, err);
}

int mh_member_changes(struct mh_db *db, int64_t from, int64_t to,
		      int (*each)(void *context, const struct mh_member *member),
		      void *context, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT " COLUMNS " FROM members"
	       " WHERE pos > ?1 AND pos <= ?2 ORDER BY pos");
	mh_sql_int(st, 1, from);
	mh_sql_int(st, 2, to);
	return each_member(st, each, context, err);
}

int mh_member_list(struct mh_db *db, mh_nid room, enum mh_membership membership,
		   int (*each)(void *context, const struct mh_member *member),
		   void *context, struct mh_error *err)
{
	if (membership == MH_MEMBERSHIP_NONE) {
		MH_SQL(all, db,
		       "SELECT " COLUMNS " FROM members"
		       " WHERE room = ?1 ORDER BY pos");
		mh_sql_int(all, 1, room);
		return each_member(all, each, context, err);
	}

	MH_SQL(one, db,
	       "SELECT " COLUMNS " FROM members"
	       " WHERE room = ?1 AND membership = ?2 ORDER BY pos");
	mh_sql_int(one, 1, room);
	mh_sql_int(one, 2, membership);
	return each_member(one, each, context, err);
}

int mh_member_count(struct mh_db *db, mh_nid room, struct mh_member_counts *ret,
		    struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT joined, invited, joined_local FROM rooms"
	       " WHERE nid = ?1");
	mh_sql_int(st, 1, room);
	rc = mh_sql_step(st, err);
	*ret = (struct mh_member_counts){ 0 };
	if (rc > 0) {
		ret->joined = mh_sql_col_int(st, 0);
		ret->invited = mh_sql_col_int(st, 1);
		ret->joined_local = mh_sql_col_int(st, 2);
	}
	return rc < 0 ? -1 : 0;
}

int mh_member_share_room(struct mh_db *db, mh_nid a, mh_nid b,
			 struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT 1 FROM members AS x JOIN members AS y"
	       " ON y.user = ?2 AND y.room = x.room AND y.membership = 2"
	       " WHERE x.user = ?1 AND x.membership = 2 LIMIT 1");

	mh_sql_int(st, 1, a);
	mh_sql_int(st, 2, b);
	return mh_sql_step(st, err);
}
