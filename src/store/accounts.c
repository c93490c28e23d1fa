/* SPDX-License-Identifier: Apache-2.0 */
#include "store/accounts.h"

#include "store/sql.h"

/* --- accounts ------------------------------------------------------------ */

int mh_account_add(struct mh_tx *tx, mh_nid user, struct mh_str password_hash,
		   bool admin, int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO accounts (user, password_hash, created_ts, admin)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2,
		    password_hash.data ? password_hash : mh_str_n("", 0));
	mh_sql_int(st, 3, now);
	mh_sql_int(st, 4, admin);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	if (mh_sql_changes(mh_tx_db(tx)) == 0)
		return mh_fail(err, MH_M_USER_IN_USE, "the user ID is taken");
	return 0;
}

static void read_account(struct mh_stmt *st, struct mh_account *ret)
{
	*ret = (struct mh_account){
		.user = mh_sql_col_int(st, 0),
		.password_hash = mh_sql_col_text(st, 1),
		.created_ts = mh_sql_col_int(st, 2),
		.deactivated = mh_sql_col_int(st, 3),
		.admin = mh_sql_col_int(st, 4),
		.locked = mh_sql_col_int(st, 5),
		.suspended = mh_sql_col_int(st, 6),
	};
}

int mh_account_get(struct mh_db *db, mh_nid user, struct mh_arena *arena,
		   struct mh_account *ret, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT user, password_hash, created_ts, deactivated, admin,"
	       " locked, suspended FROM accounts WHERE user = ?1");
	mh_sql_int(st, 1, user);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	read_account(st, ret);
	ret->password_hash = mh_arena_str(arena, ret->password_hash);
	return 1;
}

int mh_account_each(struct mh_db *db,
		    int (*each)(void *context, const struct mh_account *account,
				struct mh_error *err),
		    void *context, struct mh_error *err)
{
	struct mh_account account;
	int rc;

	MH_SQL(st, db,
	       "SELECT user, password_hash, created_ts, deactivated, admin,"
	       " locked, suspended FROM accounts ORDER BY created_ts, user");
	while ((rc = mh_sql_step(st, err)) > 0) {
		read_account(st, &account);
		rc = each(context, &account, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_account_set_password(struct mh_tx *tx, mh_nid user,
			    struct mh_str password_hash, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE accounts SET password_hash = ?2 WHERE user = ?1");
	mh_sql_int(st, 1, user);
	mh_sql_text(st, 2, password_hash);
	return mh_sql_exec(st, err);
}

int mh_account_deactivate(struct mh_tx *tx, mh_nid user, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE accounts SET deactivated = 1, password_hash = ''"
	       " WHERE user = ?1");
	mh_sql_int(st, 1, user);
	return mh_sql_exec(st, err);
}

int mh_account_set_admin(struct mh_tx *tx, mh_nid user, bool admin,
			 struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE accounts SET admin = ?2 WHERE user = ?1");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, admin);
	return mh_sql_exec(st, err);
}

/* --- devices ------------------------------------------------------------- */

int mh_device_put(struct mh_tx *tx, mh_nid user, mh_nid device,
		  struct mh_str display_name, int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO devices (user, device, display_name, last_seen_ts)"
	       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user, device)"
	       " DO UPDATE SET display_name = coalesce(?3, display_name)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_text(st, 3, display_name);
	mh_sql_int(st, 4, now);
	return mh_sql_exec(st, err);
}

int mh_device_seen(struct mh_tx *tx, mh_nid user, mh_nid device,
		   struct mh_str ip, int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE devices SET last_seen_ts = ?3, last_seen_ip = ?4"
	       " WHERE user = ?1 AND device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, now);
	mh_sql_text(st, 4, ip);
	return mh_sql_exec(st, err);
}

static void read_device(struct mh_stmt *st, struct mh_device *ret)
{
	*ret = (struct mh_device){
		.user = mh_sql_col_int(st, 0),
		.device = mh_sql_col_int(st, 1),
		.device_id = mh_sql_col_text(st, 2),
		.display_name = mh_sql_col_text(st, 3),
		.last_seen_ts = mh_sql_col_int(st, 4),
		.last_seen_ip = mh_sql_col_text(st, 5),
	};
}

static struct mh_str keep(struct mh_arena *arena, struct mh_str s)
{
	return s.data ? mh_arena_str(arena, s) : s;
}

int mh_device_get(struct mh_db *db, mh_nid user, mh_nid device,
		  struct mh_arena *arena, struct mh_device *ret,
		  struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT d.user, d.device, n.text, d.display_name,"
	       " d.last_seen_ts, d.last_seen_ip FROM devices AS d"
	       " JOIN names AS n ON n.nid = d.device"
	       " WHERE d.user = ?1 AND d.device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	read_device(st, ret);
	ret->device_id = keep(arena, ret->device_id);
	ret->display_name = keep(arena, ret->display_name);
	ret->last_seen_ip = keep(arena, ret->last_seen_ip);
	return 1;
}

int mh_device_each(struct mh_db *db, mh_nid user,
		   int (*each)(void *context, const struct mh_device *device,
			       struct mh_error *err),
		   void *context, struct mh_error *err)
{
	struct mh_device device;
	int rc;

	MH_SQL(st, db,
	       "SELECT d.user, d.device, n.text, d.display_name,"
	       " d.last_seen_ts, d.last_seen_ip FROM devices AS d"
	       " JOIN names AS n ON n.nid = d.device WHERE d.user = ?1"
	       " ORDER BY n.text");
	mh_sql_int(st, 1, user);
	while ((rc = mh_sql_step(st, err)) > 0) {
		read_device(st, &device);
		rc = each(context, &device, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_device_sessions_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
			      struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM sessions WHERE user = ?1 AND device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	return mh_sql_exec(st, err);
}

int mh_device_delete(struct mh_tx *tx, mh_nid user, mh_nid device,
		     struct mh_error *err)
{
	if (mh_device_sessions_delete(tx, user, device, err) < 0)
		return -1;
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM devices WHERE user = ?1 AND device = ?2");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	return mh_sql_exec(st, err);
}

/* --- sessions ------------------------------------------------------------ */

int64_t mh_session_add(struct mh_tx *tx, mh_nid user, mh_nid device,
		       bool refreshes, int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO sessions"
	       " (user, device, current, pending, refreshes, created_ts)"
	       " VALUES (?1, ?2, 1, 0, ?3, ?4)");
	mh_sql_int(st, 1, user);
	mh_sql_int(st, 2, device);
	mh_sql_int(st, 3, refreshes);
	mh_sql_int(st, 4, now);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_last_rowid(mh_tx_db(tx));
}

int mh_session_get(struct mh_db *db, int64_t session,
		   struct mh_session_row *ret, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT user, device, current, pending, refreshes FROM sessions"
	       " WHERE session = ?1");
	mh_sql_int(st, 1, session);
	rc = mh_sql_step(st, err);
	if (rc > 0)
		*ret = (struct mh_session_row){
			.session = session,
			.user = mh_sql_col_int(st, 0),
			.device = mh_sql_col_int(st, 1),
			.current = mh_sql_col_int(st, 2),
			.pending = mh_sql_col_int(st, 3),
			.refreshes = mh_sql_col_int(st, 4),
		};
	return rc;
}

int mh_session_account(struct mh_db *db, mh_nid user,
		       struct mh_session_row *row, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT locked, suspended, admin FROM accounts WHERE user = ?1");
	mh_sql_int(st, 1, user);
	rc = mh_sql_step(st, err);
	if (rc == 0)
		return mh_fail_internal(err, "a session without an account");
	if (rc > 0) {
		row->locked = mh_sql_col_int(st, 0);
		row->suspended = mh_sql_col_int(st, 1);
		row->admin = mh_sql_col_int(st, 2);
	}
	return rc < 0 ? -1 : 0;
}

int mh_session_set(struct mh_tx *tx, int64_t session, int64_t current,
		   bool pending, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE sessions SET current = ?2, pending = ?3"
	       " WHERE session = ?1");
	mh_sql_int(st, 1, session);
	mh_sql_int(st, 2, current);
	mh_sql_int(st, 3, pending);
	return mh_sql_exec(st, err);
}

int mh_session_delete(struct mh_tx *tx, int64_t session, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx), "DELETE FROM sessions WHERE session = ?1");
	mh_sql_int(st, 1, session);
	return mh_sql_exec(st, err);
}

int mh_session_each(struct mh_db *db,
		    int (*each)(void *context, const struct mh_session_row *row,
				struct mh_error *err),
		    void *context, struct mh_error *err)
{
	struct mh_session_row row;
	int rc;

	MH_SQL(st, db,
	       "SELECT s.session, s.user, s.device, s.current, s.pending,"
	       " s.refreshes, u.text, d.text, a.locked, a.suspended, a.admin"
	       " FROM sessions AS s JOIN names AS u ON u.nid = s.user"
	       " JOIN names AS d ON d.nid = s.device"
	       " JOIN accounts AS a ON a.user = s.user");
	while ((rc = mh_sql_step(st, err)) > 0) {
		row = (struct mh_session_row){
			.session = mh_sql_col_int(st, 0),
			.user = mh_sql_col_int(st, 1),
			.device = mh_sql_col_int(st, 2),
			.current = mh_sql_col_int(st, 3),
			.pending = mh_sql_col_int(st, 4),
			.refreshes = mh_sql_col_int(st, 5),
			.user_id = mh_sql_col_text(st, 6),
			.device_id = mh_sql_col_text(st, 7),
			.locked = mh_sql_col_int(st, 8),
			.suspended = mh_sql_col_int(st, 9),
			.admin = mh_sql_col_int(st, 10),
		};
		rc = each(context, &row, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

/* --- the node's keys ------------------------------------------------------ */

int mh_token_key_add(struct mh_tx *tx, struct mh_str kid, struct mh_str secret,
		     int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO token_keys (kid, secret, created_ts)"
	       " VALUES (?1, ?2, ?3)");
	mh_sql_text(st, 1, kid);
	mh_sql_blob(st, 2, secret);
	mh_sql_int(st, 3, now);
	return mh_sql_exec(st, err);
}

int mh_token_key_each(struct mh_db *db,
		      int (*each)(void *context, struct mh_str kid,
				  struct mh_str secret, int64_t created_ts,
				  struct mh_error *err),
		      void *context, struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT kid, secret, created_ts FROM token_keys"
	       " ORDER BY created_ts");
	while ((rc = mh_sql_step(st, err)) > 0) {
		rc = each(context, mh_sql_col_text(st, 0),
			  mh_sql_col_blob(st, 1), mh_sql_col_int(st, 2), err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

int mh_signing_key_add(struct mh_tx *tx, struct mh_str key_id,
		       struct mh_str seed, int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO signing_keys (key_id, seed, created_ts)"
	       " VALUES (?1, ?2, ?3)");
	mh_sql_text(st, 1, key_id);
	mh_sql_blob(st, 2, seed);
	mh_sql_int(st, 3, now);
	return mh_sql_exec(st, err);
}

int mh_signing_key_get(struct mh_db *db, struct mh_arena *arena,
		       struct mh_str *ret_key_id, struct mh_str *ret_seed,
		       struct mh_error *err)
{
	int rc;

	MH_SQL(st, db,
	       "SELECT key_id, seed FROM signing_keys"
	       " ORDER BY created_ts DESC LIMIT 1");
	rc = mh_sql_step(st, err);
	if (rc <= 0)
		return rc;
	*ret_key_id = mh_arena_str(arena, mh_sql_col_text(st, 0));
	*ret_seed = mh_arena_str(arena, mh_sql_col_blob(st, 1));
	return 1;
}

/* --- registration tokens -------------------------------------------------- */

int mh_registration_token_add(struct mh_tx *tx,
			      const struct mh_registration_token *token,
			      int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "INSERT INTO registration_tokens"
	       " (token, uses_allowed, completed, expiry_ts, created_ts)"
	       " VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT DO NOTHING");
	mh_sql_text(st, 1, token->token);
	if (token->uses_allowed < 0)
		mh_sql_null(st, 2);
	else
		mh_sql_int(st, 2, token->uses_allowed);
	if (token->expiry_ts)
		mh_sql_int(st, 3, token->expiry_ts);
	else
		mh_sql_null(st, 3);
	mh_sql_int(st, 4, now);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	if (mh_sql_changes(mh_tx_db(tx)) == 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the registration token exists already");
	return 0;
}

int mh_registration_token_valid(struct mh_db *db, struct mh_str token,
				int64_t now, struct mh_error *err)
{
	MH_SQL(st, db,
	       "SELECT 1 FROM registration_tokens WHERE token = ?1"
	       " AND (uses_allowed IS NULL OR completed < uses_allowed)"
	       " AND (expiry_ts IS NULL OR expiry_ts > ?2)");
	mh_sql_text(st, 1, token);
	mh_sql_int(st, 2, now);
	return mh_sql_step(st, err);
}

int mh_registration_token_use(struct mh_tx *tx, struct mh_str token,
			      int64_t now, struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "UPDATE registration_tokens SET completed = completed + 1"
	       " WHERE token = ?1"
	       " AND (uses_allowed IS NULL OR completed < uses_allowed)"
	       " AND (expiry_ts IS NULL OR expiry_ts > ?2)");
	mh_sql_text(st, 1, token);
	mh_sql_int(st, 2, now);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx)) > 0;
}

int mh_registration_token_delete(struct mh_tx *tx, struct mh_str token,
				 struct mh_error *err)
{
	MH_SQL(st, mh_tx_db(tx),
	       "DELETE FROM registration_tokens WHERE token = ?1");
	mh_sql_text(st, 1, token);
	if (mh_sql_exec(st, err) < 0)
		return -1;
	return mh_sql_changes(mh_tx_db(tx)) > 0;
}

int mh_registration_token_each(
	struct mh_db *db,
	int (*each)(void *context, const struct mh_registration_token *token,
		    struct mh_error *err),
	void *context, struct mh_error *err)
{
	struct mh_registration_token token;
	int rc;

	MH_SQL(st, db,
	       "SELECT token, uses_allowed, completed, expiry_ts"
	       " FROM registration_tokens ORDER BY created_ts");
	while ((rc = mh_sql_step(st, err)) > 0) {
		token = (struct mh_registration_token){
			.token = mh_sql_col_text(st, 0),
			.uses_allowed = mh_sql_col_is_null(st, 1) ?
						-1 :
						mh_sql_col_int(st, 1),
			.completed = mh_sql_col_int(st, 2),
			.expiry_ts = mh_sql_col_int(st, 3),
		};
		rc = each(context, &token, err);
		if (rc <= 0)
			return rc;
	}
	return rc;
}
