/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relations: a row for each event that relates to another, by parent and kind
 * for aggregations and by parent and position for pages. Threads have a row of
 * their own, with the count and the latest reply.
 */
#include "store/relations.h"
#include "store/events_impl.h"

/* --- threads ---------------------------------------------------------------- */

static int add_reply(struct mh_tx *tx, mh_nid root,
		     const struct mh_event_row *child, struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO threads (root, room, latest, latest_pos, replies)"
	       " VALUES (?1, ?2, ?3, ?4, 1) ON CONFLICT (root) DO UPDATE SET"
	       " replies = replies + 1,"
	       " latest = iif(?4 > latest_pos, ?3, latest),"
	       " latest_pos = max(?4, latest_pos)");

	mh_sql_int(st, 1, root);
	mh_sql_int(st, 2, child->room);
	mh_sql_int(st, 3, child->nid);
	mh_sql_int(st, 4, child->pos);
	return mh_sql_exec(st, err);
}

/* The reply's relation is gone already. */
static int remove_reply(struct mh_tx *tx, mh_nid root, mh_nid rel_type,
			struct mh_error *err)
{
	MH_SQL(update, tx->db,
	       "UPDATE threads SET (replies, latest, latest_pos) ="
	       " (replies - 1, r.child, r.pos) FROM (SELECT child, pos"
	       " FROM relations INDEXED BY relations_by_pos"
	       " WHERE parent = ?1 AND rel_type = ?2"
	       " ORDER BY pos DESC LIMIT 1) AS r WHERE root = ?1");
	MH_SQL(delete, tx->db,
	       "DELETE FROM threads WHERE root = ?1");

	mh_sql_int(update, 1, root);
	mh_sql_int(update, 2, rel_type);
	if (mh_sql_exec(update, err) < 0)
		return -1;
	if (mh_sql_changes(tx->db))
		return 0;
	mh_sql_int(delete, 1, root);
	return mh_sql_exec(delete, err);
}

static void read_thread(struct mh_stmt *st, struct mh_thread *ret)
{
	ret->root = mh_sql_col_int(st, 0);
	ret->latest = mh_sql_col_int(st, 1);
	ret->latest_pos = mh_sql_col_int(st, 2);
	ret->replies = mh_sql_col_int(st, 3);
}

int mh_thread_get(struct mh_db *db, mh_nid root, struct mh_thread *ret,
		  struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT root, latest, latest_pos, replies FROM threads"
	       " WHERE root = ?1");
	mh_sql_int(st, 1, root);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		read_thread(st, ret);
	return rc;
}

int mh_thread_participated(struct mh_db *db, mh_nid root, mh_nid user,
			   struct mh_error *err)
{
	struct mh_event_row row;
	mh_nid rel_type;
	int rc = mh_events_get_nid(db, root, &row, err);

	if (rc <= 0)
		return rc;
	rc = row.sender == user;
	mh_event_row_release(&row);
	if (rc)
		return 1;
	rel_type = mh_name_find(db, MH_STR("m.thread"), err);
	if (rel_type <= 0)
		return (int)rel_type;

	MH_SQL(st, db,
	       "SELECT 1 FROM relations INDEXED BY relations_by_parent"
	       " WHERE parent = ?1 AND rel_type = ?2 AND sender = ?3 LIMIT 1");
	mh_sql_int(st, 1, root);
	mh_sql_int(st, 2, rel_type);
	mh_sql_int(st, 3, user);
	return mh_sql_step(st, err);
}

int mh_threads_list(struct mh_db *db, mh_nid room, mh_nid user, int64_t before,
		    size_t limit,
		    int (*each)(void *context, const struct mh_thread *thread,
				struct mh_error *err),
		    void *context, struct mh_error *err)
{
	struct mh_thread thread;
	int rc;

	MH_SQL(st, db,
	       "SELECT root, latest, latest_pos, replies FROM threads"
	       " WHERE room = ?1 AND latest_pos < ?2"
	       " ORDER BY latest_pos DESC");
	mh_sql_int(st, 1, room);
	mh_sql_int(st, 2, before);
	while (limit && (rc = mh_sql_step(st, err)) > 0) {
		read_thread(st, &thread);
		rc = user ? mh_thread_participated(db, thread.root, user, err) :
			    1;
		if (rc < 0)
			return -1;
		if (rc == 0)
			continue;
		limit--;
		rc = each(context, &thread, err);
		if (rc <= 0)
			return rc;
	}
	return limit ? rc : 0;
}

/* --- changing --------------------------------------------------------------- */

static int insert(struct mh_tx *tx, const struct mh_event_row *child,
		  mh_nid parent, mh_nid rel_type, struct mh_str key,
		  struct mh_error *err)
{
	MH_SQL(st, tx->db,
	       "INSERT INTO relations (child, parent, rel_type, type, sender,"
	       " pos, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	mh_sql_int(st, 1, child->nid);
	mh_sql_int(st, 2, parent);
	mh_sql_int(st, 3, rel_type);
	mh_sql_int(st, 4, child->type);
	mh_sql_int(st, 5, child->sender);
	mh_sql_int(st, 6, child->pos);
	mh_sql_text(st, 7, key);
	return mh_sql_exec(st, err);
}

int mh_relations_add(struct mh_tx *tx, const struct mh_event_row *child,
		     struct mh_str parent_id, struct mh_str rel_type,
		     struct mh_str key, struct mh_error *err)
{
	mh_nid parent = mh_events_find(tx->db, parent_id, err);
	mh_nid rel;

	if (parent < 0)
		return -1;
	if (!parent)
		return mh_missing_add(tx, parent_id, MH_MISSING_PARENT,
				      child->nid, child->room, err);
	rel = mh_name_intern(tx, rel_type, err);
	if (rel < 0 || insert(tx, child, parent, rel, key, err) < 0)
		return -1;
	if (mh_str_is(rel_type, "m.thread"))
		return add_reply(tx, parent, child, err);
	return 0;
}

int mh_relations_remove(struct mh_tx *tx, mh_nid child, struct mh_error *err)
{
	mh_nid parent, rel_type, thread;
	int rc;

	MH_SQL(st, tx->db,
	       "DELETE FROM relations WHERE child = ?1"
	       " RETURNING parent, rel_type");
	mh_sql_int(st, 1, child);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	parent = mh_sql_col_int(st, 0);
	rel_type = mh_sql_col_int(st, 1);
	if (mh_sql_step(st, err) < 0) /* to the end: it is done by then */
		return -1;
	thread = mh_name_find(tx->db, MH_STR("m.thread"), err);
	if (thread < 0)
		return -1;
	return rel_type == thread ? remove_reply(tx, parent, rel_type, err) : 0;
}

/* --- aggregations --------------------------------------------------------- */

int mh_relations_annotated(struct mh_db *db, struct mh_str parent_id,
			   mh_nid type, mh_nid sender, struct mh_str key,
			   struct mh_error *err)
{
	mh_nid parent = mh_events_find(db, parent_id, err);
	mh_nid rel_type = mh_name_find(db, MH_STR("m.annotation"), err);

	if (parent <= 0 || rel_type <= 0)
		return parent < 0 || rel_type < 0 ? -1 : 0;

	MH_SQL(st, db,
	       "SELECT 1 FROM relations INDEXED BY relations_by_parent"
	       " WHERE parent = ?1 AND rel_type = ?2 AND type = ?3"
	       " AND sender = ?4 AND key = ?5 LIMIT 1");
	mh_sql_int(st, 1, parent);
	mh_sql_int(st, 2, rel_type);
	mh_sql_int(st, 3, type);
	mh_sql_int(st, 4, sender);
	mh_sql_text(st, 5, key);
	return mh_sql_step(st, err);
}

int mh_relations_edit(struct mh_db *db, const struct mh_event_row *parent,
		      struct mh_event_row *ret, struct mh_error *err)
{
	mh_nid rel_type = mh_name_find(db, MH_STR("m.replace"), err);
	int rc;

	if (rel_type <= 0)
		return (int)rel_type;

	MH_SQL(st, db,
	       "SELECT " MH_EVENT_COLUMNS
	       " FROM relations AS r INDEXED BY relations_by_parent"
	       " CROSS JOIN events AS e ON e.nid = r.child"
	       " WHERE r.parent = ?1 AND r.rel_type = ?2 AND r.type = ?3"
	       " AND r.sender = ?4 ORDER BY e.ts DESC, e.event_id DESC LIMIT 1");
	mh_sql_int(st, 1, parent->nid);
	mh_sql_int(st, 2, rel_type);
	mh_sql_int(st, 3, parent->type);
	mh_sql_int(st, 4, parent->sender);
	rc = mh_sql_step(st, err);
	if (rc > 0 && mh_event_row_read(st, ret, err) < 0)
		return -1;
	return rc;
}

int mh_relations_references(struct mh_db *db, mh_nid parent,
			    mh_event_row_fn *each, void *context,
			    struct mh_error *err)
{
	const struct mh_relations_query query = {
		.parent = parent,
		.rel_type = MH_STR("m.reference"),
		.pos = INT64_MIN,
		.limit = SIZE_MAX,
	};

	return mh_relations_page(db, &query, each, context, err);
}

/* --- pages ------------------------------------------------------------------ */

#define PAGE_FROM                                                              \
	"SELECT " MH_EVENT_COLUMNS                                             \
	" FROM relations AS r INDEXED BY relations_by_pos"                     \
	" CROSS JOIN events AS e ON e.nid = r.child"                           \
	" WHERE r.parent = ?1 AND (?2 = 0 OR r.rel_type = ?2)"                 \
	" AND (?3 = 0 OR r.type = ?3)"

/* Every relation is a child's only one, so `tree` has no event twice. */
#define PAGE_TREE                                                              \
	"WITH RECURSIVE tree (nid, level) AS (SELECT child, 1 FROM relations"  \
	" WHERE parent = ?1 UNION SELECT c.child, level + 1"                   \
	" FROM tree CROSS JOIN relations AS c ON c.parent = tree.nid"          \
	" WHERE level < 3)"                                                    \
	" SELECT " MH_EVENT_COLUMNS                                            \
	" FROM tree CROSS JOIN relations AS r ON r.child = tree.nid"           \
	" CROSS JOIN events AS e ON e.nid = tree.nid"                          \
	" WHERE (?2 = 0 OR r.rel_type = ?2) AND (?3 = 0 OR r.type = ?3)"

static int run(struct mh_stmt *st, const struct mh_relations_query *query,
	       mh_nid rel_type, mh_nid type, mh_event_row_fn *each,
	       void *context, struct mh_error *err)
{
	mh_sql_int(st, 1, query->parent);
	mh_sql_int(st, 2, rel_type);
	mh_sql_int(st, 3, type);
	mh_sql_int(st, 4, query->pos);
	mh_sql_int(st, 5, query->limit > INT64_MAX ? INT64_MAX :
						     (int64_t)query->limit);
	return mh_event_rows_each(st, each, context, err);
}

static int run_direct(struct mh_db *db, const struct mh_relations_query *query,
		      mh_nid rel_type, mh_nid type, mh_event_row_fn *each,
		      void *context, struct mh_error *err)
{
	if (query->backwards) {
		MH_SQL(st, db,
		       PAGE_FROM " AND r.pos < ?4 ORDER BY r.pos DESC LIMIT ?5");
		return run(st, query, rel_type, type, each, context, err);
	}

	MH_SQL(st, db, PAGE_FROM " AND r.pos > ?4 ORDER BY r.pos LIMIT ?5");
	return run(st, query, rel_type, type, each, context, err);
}

static int run_tree(struct mh_db *db, const struct mh_relations_query *query,
		    mh_nid rel_type, mh_nid type, mh_event_row_fn *each,
		    void *context, struct mh_error *err)
{
	if (query->backwards) {
		MH_SQL(st, db,
		       PAGE_TREE " AND r.pos < ?4 ORDER BY r.pos DESC LIMIT ?5");
		return run(st, query, rel_type, type, each, context, err);
	}

	MH_SQL(st, db, PAGE_TREE " AND r.pos > ?4 ORDER BY r.pos LIMIT ?5");
	return run(st, query, rel_type, type, each, context, err);
}

int mh_relations_page(struct mh_db *db, const struct mh_relations_query *query,
		      mh_event_row_fn *each, void *context,
		      struct mh_error *err)
{
	mh_nid rel_type = 0, type = 0;

	if (query->rel_type.data) {
		rel_type = mh_name_find(db, query->rel_type, err);
		if (rel_type <= 0) /* a name that nothing has */
			return (int)rel_type;
	}
	if (query->type.data) {
		type = mh_name_find(db, query->type, err);
		if (type <= 0)
			return (int)type;
	}
	if (query->recurse)
		return run_tree(db, query, rel_type, type, each, context, err);
	return run_direct(db, query, rel_type, type, each, context, err);
}
