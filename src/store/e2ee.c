/* SPDX-License-Identifier: Apache-2.0 */
#include "store/e2ee.h"

#include "store/sql.h"

/* --- device keys --------------------------------------------------------- */

int mh_device_keys_set(struct mh_tx *tx, mh_nid user, mh_nid device,
		       struct mh_str json, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO device_keys (user, device, json)"
	       " VALUES (?1, ?2, ?3) ON CONFLICT (user, device)"
	       " DO UPDATE SET json = ?3 WHERE json <> ?3");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, json);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx)) > 0;
}

int mh_device_keys_get(struct mh_db *db, mh_nid user, mh_nid device,
		       struct mh_strbuf *out, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT json FROM device_keys WHERE user = ?1 AND device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		mh_strbuf_addstr(out, mh_sql_col_text(st, 0));
	return rc;
}

int mh_device_keys_each(struct mh_db *db, mh_nid user,
			int (*each)(void *context, mh_nid device,
				    struct mh_str json, struct mh_error *err),
			void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db, "SELECT device, json FROM device_keys WHERE user = ?1");
	mh_sql_int(st, 1, user);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0),
			  mh_sql_col_text(st, 1), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

static int exec_user_device(struct mh_stmt *st, mh_nid user, mh_nid device,
			    struct mh_error *err)
{
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	return mh_sql_exec(st, err);
}

int mh_device_keys_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
			  struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(tx);

	MH_SQL(keys, db,
	       "DELETE FROM device_keys WHERE user = ?1 AND device = ?2");
	MH_SQL(one_time, db,
	       "DELETE FROM one_time_keys WHERE user = ?1 AND device = ?2");
	MH_SQL(fallback, db,
	       "DELETE FROM fallback_keys WHERE user = ?1 AND device = ?2");
	MH_SQL(inbox, db,
	       "DELETE FROM to_device WHERE user = ?1 AND device = ?2");
	MH_SQL(requests, db,
	       "DELETE FROM to_device_requests WHERE user = ?1 AND device = ?2");
	MH_SQL(signatures, db,
	       "DELETE FROM key_signatures WHERE target_user = ?1"
	       " AND target = (SELECT text FROM names WHERE nid = ?2)");
	if (exec_user_device(keys, user, device, err) < 0 ||
	    exec_user_device(one_time, user, device, err) < 0 ||
	    exec_user_device(fallback, user, device, err) < 0 ||
	    exec_user_device(inbox, user, device, err) < 0 ||
	    exec_user_device(requests, user, device, err) < 0 ||
	    exec_user_device(signatures, user, device, err) < 0)
		return -1;
	return 0;
}

/* --- one-time and fallback keys ------------------------------------------ */

int mh_one_time_key_add(struct mh_tx *tx, mh_nid user, mh_nid device,
			struct mh_str algorithm, struct mh_str key_id,
			struct mh_str json, struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(tx);
	int rc;

	MH_SQL(old, db,
	       "SELECT json = ?5 FROM one_time_keys WHERE user = ?1"
	       " AND device = ?2 AND algorithm = ?3 AND key_id = ?4");
	mh_sql_int(old, 1, user);
	mh_sql_int(old, 2, device);
	mh_sql_text(old, 3, algorithm);
	mh_sql_text(old, 4, key_id);
	mh_sql_text(old, 5, json);
	rc = mh_sql_step(old, err);
	if (rc < 0)
		return -1;
	if (rc > 0 && mh_sql_col_int(old, 0))
		return 0;
	if (rc > 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "one-time key %.*s:%.*s exists already",
			       MH_STR_ARG(algorithm), MH_STR_ARG(key_id));

	MH_SQL(st, db,
	       "INSERT INTO one_time_keys"
	       " (user, device, algorithm, seq, key_id, json)"
	       " SELECT ?1, ?2, ?3, 1 + coalesce(max(seq), 0), ?4, ?5"
	       " FROM one_time_keys"
	       " WHERE user = ?1 AND device = ?2 AND algorithm = ?3");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, algorithm);
	mh_sql_text(st, 4, key_id);
	mh_sql_text(st, 5, json);
	return mh_sql_exec(st, err) < 0 ? -1 : 1;
}

int64_t mh_one_time_key_total(struct mh_db *db, mh_nid user, mh_nid device,
			      struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT count(*) FROM one_time_keys"
	       " WHERE user = ?1 AND device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	return mh_sql_step(st, err) < 0 ? -1 : mh_sql_col_int(st, 0);
}

int mh_one_time_key_counts(struct mh_db *db, mh_nid user, mh_nid device,
			   int (*each)(void *context, struct mh_str algorithm,
				       int64_t count, struct mh_error *err),
			   void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT algorithm, count(*) FROM one_time_keys"
	       " WHERE user = ?1 AND device = ?2 GROUP BY algorithm");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_text(st, 0),
			  mh_sql_col_int(st, 1), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

static void add_claimed(struct mh_stmt *st, struct mh_str algorithm,
			struct mh_strbuf *ret_key_id,
			struct mh_strbuf *ret_json)
{
	mh_strbuf_addstr(ret_key_id, algorithm);
	mh_strbuf_addch(ret_key_id, ':');
	mh_strbuf_addstr(ret_key_id, mh_sql_col_text(st, 0));
	mh_strbuf_addstr(ret_json, mh_sql_col_text(st, 1));
}

static int claim_fallback(struct mh_tx *tx, mh_nid user, mh_nid device,
			  struct mh_str algorithm, struct mh_strbuf *ret_key_id,
			  struct mh_strbuf *ret_json, struct mh_error *err)
{
	int rc;

	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE fallback_keys SET used = 1 WHERE user = ?1"
	       " AND device = ?2 AND algorithm = ?3 RETURNING key_id, json");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, algorithm);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		add_claimed(st, algorithm, ret_key_id, ret_json);
	return rc;
}

int mh_one_time_key_claim(struct mh_tx *tx, mh_nid user, mh_nid device,
			  struct mh_str algorithm, struct mh_strbuf *ret_key_id,
			  struct mh_strbuf *ret_json, struct mh_error *err)
{
	int rc;

	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM one_time_keys WHERE user = ?1 AND device = ?2"
	       " AND algorithm = ?3 AND seq = (SELECT min(seq)"
	       "  FROM one_time_keys WHERE user = ?1 AND device = ?2"
	       "  AND algorithm = ?3) RETURNING key_id, json");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, algorithm);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		add_claimed(st, algorithm, ret_key_id, ret_json);
	if (rc != 0)
		return rc;
	return claim_fallback(tx, user, device, algorithm, ret_key_id, ret_json,
			      err);
}

int mh_fallback_key_set(struct mh_tx *tx, mh_nid user, mh_nid device,
			struct mh_str algorithm, struct mh_str key_id,
			struct mh_str json, struct mh_error *err)
{
	/* The same key again does not become unused again. */
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO fallback_keys"
	       " (user, device, algorithm, key_id, json, used)"
	       " VALUES (?1, ?2, ?3, ?4, ?5, 0)"
	       " ON CONFLICT (user, device, algorithm) DO UPDATE"
	       " SET used = used AND json = ?5, key_id = ?4, json = ?5");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, algorithm);
	mh_sql_text(st, 4, key_id);
	mh_sql_text(st, 5, json);
	return mh_sql_exec(st, err);
}

int mh_fallback_keys_unused(struct mh_db *db, mh_nid user, mh_nid device,
			    int (*each)(void *context, struct mh_str algorithm,
					struct mh_error *err),
			    void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT algorithm FROM fallback_keys"
	       " WHERE user = ?1 AND device = ?2 AND NOT used");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_text(st, 0), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

/* --- cross-signing ------------------------------------------------------- */

static int forget_signatures(struct mh_tx *tx, mh_nid user, const char *usage,
			     struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM key_signatures WHERE target_user = ?1 AND target ="
	       " (SELECT public_key FROM cross_signing_keys"
	       "  WHERE user = ?1 AND usage = ?2)");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, mh_str(usage));
	return mh_sql_exec(st, err);
}

int mh_cross_signing_set(struct mh_tx *tx, mh_nid user, const char *usage,
			 struct mh_str public_key, struct mh_str json,
			 struct mh_error *err)
{
	if (forget_signatures(tx, user, usage, err) < 0)
		return -1;
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO cross_signing_keys (user, usage, public_key, json)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user, usage)"
	       " DO UPDATE SET public_key = ?3, json = ?4");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, mh_str(usage));
	mh_sql_text(st, 3, public_key);
	mh_sql_text(st, 4, json);
	return mh_sql_exec(st, err);
}

int mh_cross_signing_get(struct mh_db *db, mh_nid user, const char *usage,
			 struct mh_strbuf *ret_public_key,
			 struct mh_strbuf *ret_json, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT public_key, json FROM cross_signing_keys"
	       " WHERE user = ?1 AND usage = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, mh_str(usage));
	rc = mh_sql_step(st, err);
	if (rc > 0 && ret_public_key)
		mh_strbuf_addstr(ret_public_key, mh_sql_col_text(st, 0));
	if (rc > 0 && ret_json)
		mh_strbuf_addstr(ret_json, mh_sql_col_text(st, 1));
	return rc;
}

int mh_key_signature_add(struct mh_tx *tx, mh_nid target_user,
			 struct mh_str target, mh_nid signer,
			 struct mh_str key_id, struct mh_str signature,
			 struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT OR REPLACE INTO key_signatures"
	       " (target_user, target, signer, key_id, signature)"
	       " VALUES (?1, ?2, ?3, ?4, ?5)");
	mh_sql_int(st, 1, target_user);
	mh_sql_text(st, 2, target);
	mh_sql_int(st, 3, signer);
	mh_sql_text(st, 4, key_id);
	mh_sql_text(st, 5, signature);
	return mh_sql_exec(st, err);
}

int mh_key_signatures_each(struct mh_db *db, mh_nid target_user,
			   struct mh_str target,
			   int (*each)(void *context, mh_nid signer,
				       struct mh_str key_id,
				       struct mh_str signature,
				       struct mh_error *err),
			   void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT signer, key_id, signature FROM key_signatures"
	       " WHERE target_user = ?1 AND target = ?2");
	mh_sql_int(st, 1, target_user);
	mh_sql_text(st, 2, target);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0),
			  mh_sql_col_text(st, 1), mh_sql_col_text(st, 2), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

/* --- device lists -------------------------------------------------------- */

int64_t mh_device_list_changed(struct mh_tx *tx, mh_nid user,
			       struct mh_error *err)
{
	int64_t pos = mh_tx_next_pos(tx);

	MH_SQL(st, mh_tx_db(tx),
	       "INSERT OR REPLACE INTO device_list_changes (user, pos)"
	       " VALUES (?1, ?2)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, pos);
	return mh_sql_exec(st, err) < 0 ? -1 : pos;
}

int mh_device_list_each(struct mh_db *db, int64_t from, int64_t to,
			int (*each)(void *context, mh_nid user,
				    struct mh_error *err),
			void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT user FROM device_list_changes"
	       " WHERE pos > ?1 AND pos <= ?2 ORDER BY pos");
	mh_sql_int(st, 1, from);
	mh_sql_int(st, 2, to);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

/* --- to-device messages -------------------------------------------------- */

int mh_to_device_request(struct mh_tx *tx, mh_nid user, mh_nid device,
			 struct mh_str request, struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(tx);

	MH_SQL(st, db,
	       "INSERT INTO to_device_requests (user, device, request, pos)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, request);
	mh_sql_int(st, 4, mh_tx_next_pos(tx));
	if (mh_sql_exec(st, err) < 0)
		return -1;
	if (mh_sql_changes(db) == 0)
		return 0;
	MH_SQL(old, db,
	       "DELETE FROM to_device_requests WHERE user = ?1 AND device = ?2"
	       " AND pos <= (SELECT pos FROM to_device_requests"
	       "  WHERE user = ?1 AND device = ?2"
	       "  ORDER BY pos DESC LIMIT 1 OFFSET ?3)");
	mh_sql_int(old, 1, user);
	mh_sql_int(old, 2, device);
	mh_sql_int(old, 3, MH_TO_DEVICE_REQUESTS_MAX);
	return mh_sql_exec(old, err) < 0 ? -1 : 1;
}

static int drop_beyond_limit(struct mh_tx *tx, mh_nid user, mh_nid device,
			     struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM to_device WHERE pos = (SELECT pos FROM to_device"
	       " WHERE user = ?1 AND device = ?2"
	       " ORDER BY pos DESC LIMIT 1 OFFSET ?3)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, MH_TO_DEVICE_MAX - 1);
	return mh_sql_exec(st, err);
}

int mh_to_device_add(struct mh_tx *tx, mh_nid user, mh_nid device,
		     mh_nid sender, struct mh_str type, struct mh_str content,
		     struct mh_error *err)
{
	if (drop_beyond_limit(tx, user, device, err) < 0)
		return -1;
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO to_device (pos, user, device, sender, type, content)"
	       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
	mh_sql_int(st, 1, mh_tx_next_pos(tx));
	mh_sql_int(st, 2, user);
	mh_sql_int(st, 3, device);
	mh_sql_int(st, 4, sender);
	mh_sql_text(st, 5, type);
	mh_sql_text(st, 6, content);
	return mh_sql_exec(st, err);
}

int mh_to_device_each(struct mh_db *db, mh_nid user, mh_nid device,
		      int64_t from, int64_t to, size_t limit,
		      int (*each)(void *context, int64_t pos, mh_nid sender,
				  struct mh_str type, struct mh_str content,
				  struct mh_error *err),
		      void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT pos, sender, type, content FROM to_device"
	       " WHERE user = ?1 AND device = ?2 AND pos > ?3 AND pos <= ?4"
	       " ORDER BY pos LIMIT ?5");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, from);
	mh_sql_int(st, 4, to);
	mh_sql_int(st, 5, (int64_t)limit);
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_int(st, 0), mh_sql_col_int(st, 1),
			  mh_sql_col_text(st, 2), mh_sql_col_text(st, 3), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_to_device_any(struct mh_db *db, mh_nid user, mh_nid device, int64_t upto,
		     struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT 1 FROM to_device WHERE user = ?1 AND device = ?2"
	       " AND pos <= ?3 LIMIT 1");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, upto);
	return mh_sql_step(st, err);
}

int mh_to_device_ack(struct mh_tx *tx, mh_nid user, mh_nid device, int64_t upto,
		     struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM to_device WHERE user = ?1 AND device = ?2"
	       " AND pos <= ?3");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, upto);
	return mh_sql_exec(st, err);
}
