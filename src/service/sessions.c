/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sessions and what changes it. The tokens themselves, their
 * format and keys, are tokens.c.
 */
#include "service/sessions.h"

#include "base/log.h"
#include "service/keys.h"
#include "service/notifier.h"
#include "service/tokens.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <uthash.h>

struct session {
	int64_t session; /* the key */
	mh_nid user, device;
	int64_t current;
	bool pending, refreshes;
	bool locked, suspended, admin;
	char *user_id, *device_id;
	UT_hash_handle hh;
};

struct mh_sessions {
	struct mh_server *server;
	struct mh_token_keys *keys;
	pthread_rwlock_t lock; /* of the table */
	struct session *table;
};

struct mh_sessions *mh_sessions_new(struct mh_server *server)
{
	struct mh_sessions *sessions = MH_NEW(struct mh_sessions);

	sessions->server = server;
	sessions->keys = mh_token_keys_new(server);
	pthread_rwlock_init(&sessions->lock, NULL);
	return sessions;
}

static void session_free(struct session *session)
{
	free(session->user_id);
	free(session->device_id);
	free(session);
}

void mh_sessions_free(struct mh_sessions *sessions)
{
	struct session *session, *next;

	if (!sessions)
		return;
	HASH_ITER (hh, sessions->table, session, next) {
		HASH_DEL(sessions->table, session);
		session_free(session);
	}
	mh_token_keys_free(sessions->keys);
	pthread_rwlock_destroy(&sessions->lock);
	free(sessions);
}

static void put(struct mh_sessions *sessions, const struct mh_session_row *row)
{
	struct session *session = MH_NEW(struct session);

	session->session = row->session;
	session->user = row->user;
	session->device = row->device;
	session->current = row->current;
	session->pending = row->pending;
	session->refreshes = row->refreshes;
	session->locked = row->locked;
	session->suspended = row->suspended;
	session->admin = row->admin;
	session->user_id = mh_str_dup(row->user_id);
	session->device_id = mh_str_dup(row->device_id);
	pthread_rwlock_wrlock(&sessions->lock);
	HASH_ADD(hh, sessions->table, session, sizeof(session->session),
		 session);
	pthread_rwlock_unlock(&sessions->lock);
}

static struct session *find(struct mh_sessions *sessions, int64_t number)
{
	struct session *session;

	HASH_FIND(hh, sessions->table, &number, sizeof(number), session);
	return session;
}

static int load_row(void *context, const struct mh_session_row *row,
		    struct mh_error *err MH_UNUSED)
{
	put(context, row);
	return 1;
}

int mh_sessions_load(struct mh_sessions *sessions, struct mh_db *db,
		     struct mh_error *err)
{
	if (mh_token_keys_load(sessions->keys, db, err) < 0 ||
	    mh_session_each(db, load_row, sessions, err) < 0)
		return -1;
	return 0;
}

int mh_sessions_rotate(struct mh_server *server, struct mh_tx *tx,
		       struct mh_error *err)
{
	return mh_token_keys_rotate(server->sessions->keys, tx, err);
}

/* --- changes that follow a commit ------------------------------------------ */

struct change {
	struct mh_sessions *sessions;
	struct mh_session_row row; /* its strings are the batch's */
	mh_nid except;
};

static struct change *change_new(struct mh_server *server, struct mh_tx *tx)
{
	struct change *change = mh_tx_alloc(tx, sizeof(*change));

	*change = (struct change){ .sessions = server->sessions };
	return change;
}

static struct mh_str keep(struct mh_tx *tx, struct mh_str s)
{
	char *copy = mh_tx_alloc(tx, s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return mh_str_n(copy, s.len);
}

static void after_open(void *context)
{
	struct change *change = context;

	put(change->sessions, &change->row);
}

static void after_serial(void *context)
{
	struct change *change = context;
	struct session *session;

	pthread_rwlock_wrlock(&change->sessions->lock);
	session = find(change->sessions, change->row.session);
	if (session && session->current <= change->row.current) {
		session->current = change->row.current;
		session->pending = change->row.pending;
	}
	pthread_rwlock_unlock(&change->sessions->lock);
}

/* Ends one session, or those of a device, or those of a user. */
static void after_end(void *context)
{
	struct change *change = context;
	const struct mh_session_row *row = &change->row;
	struct session *session, *next;

	pthread_rwlock_wrlock(&change->sessions->lock);
	HASH_ITER (hh, change->sessions->table, session, next) {
		if (row->session ? session->session != row->session :
				   session->user != row->user ||
					   (row->device &&
					    session->device != row->device))
			continue;
		if (change->except && session->device == change->except)
			continue;
		HASH_DEL(change->sessions->table, session);
		session_free(session);
	}
	pthread_rwlock_unlock(&change->sessions->lock);
}

/* --- authenticating ---------------------------------------------------------- */

static int unknown_token(struct mh_error *err, bool soft_logout,
			 const char *why)
{
	mh_fail(err, MH_M_UNKNOWN_TOKEN, "%s", why);
	if (soft_logout)
		mh_strbuf_addlit(&err->extra, "\"soft_logout\":true");
	return -1;
}

/* Makes a serial durable that was confirmed by its first use. */
struct confirm_job {
	struct mh_write_job job;
	int64_t session, serial;
};

static int confirm_run(struct mh_write_job *job, struct mh_tx *tx,
		       struct mh_error *err)
{
	struct confirm_job *confirm =
		MH_CONTAINER_OF(job, struct confirm_job, job);

	return mh_session_set(tx, confirm->session, confirm->serial, false,
			      err);
}

static void confirm_done(struct mh_write_job *job, struct mh_error *err)
{
	if (err)
		mh_log_warn("sessions", "a refresh was not recorded: %s",
			    err->message);
	free(MH_CONTAINER_OF(job, struct confirm_job, job));
}

static void confirm(struct mh_server *server, int64_t number, int64_t serial)
{
	struct confirm_job *job = MH_NEW(struct confirm_job);
	struct session *session;

	pthread_rwlock_wrlock(&server->sessions->lock);
	session = find(server->sessions, number);
	if (session && session->pending && session->current + 1 == serial) {
		session->current = serial;
		session->pending = false;
	}
	pthread_rwlock_unlock(&server->sessions->lock);
	job->session = number;
	job->serial = serial;
	job->job.run = confirm_run;
	job->job.done = confirm_done;
	mh_store_write(server->store, &job->job);
}

static void describe(const struct session *session, struct mh_arena *arena,
		     struct mh_requester *ret)
{
	*ret = (struct mh_requester){
		.user_id = mh_arena_str(arena, mh_str(session->user_id)),
		.device_id = mh_arena_str(arena, mh_str(session->device_id)),
		.user = session->user,
		.device = session->device,
		.session = session->session,
		.is_admin = session->admin,
	};
}

int mh_sessions_authenticate(struct mh_server *server, struct mh_str token,
			     bool soft, struct mh_arena *arena,
			     struct mh_requester *ret, struct mh_error *err)
{
	struct mh_sessions *sessions = server->sessions;
	bool locked = false, alive = false, fresh = false, dead = false;
	struct mh_token_claims claims;
	struct session *session;
	MH_STRBUF(storage);

	if (!mh_token_verify(sessions->keys, "access", token, &storage,
			     &claims))
		return unknown_token(err, false, "the access token is unknown");

	pthread_rwlock_rdlock(&sessions->lock);
	session = find(sessions, claims.session);
	if (session) {
		alive = claims.serial == session->current;
		fresh = session->pending &&
			claims.serial == session->current + 1;
		dead = claims.serial < session->current;
		locked = session->locked;
		describe(session, arena, ret);
	}
	pthread_rwlock_unlock(&sessions->lock);

	if (!session || !(alive || fresh || dead))
		return unknown_token(err, false, "the session has ended");
	if (dead || (claims.expired && !soft))
		return unknown_token(err, true, "the access token has expired");
	if (locked && !soft) {
		mh_fail(err, MH_M_USER_LOCKED, "the account is locked");
		mh_strbuf_addlit(&err->extra, "\"soft_logout\":true");
		return -1;
	}
	if (fresh)
		confirm(server, claims.session, claims.serial);
	return 0;
}

/* --- opening ------------------------------------------------------------------ */

void mh_tokens_release(struct mh_tokens *tokens)
{
	sodium_memzero(tokens->access.data, tokens->access.len);
	sodium_memzero(tokens->refresh.data, tokens->refresh.len);
	mh_strbuf_release(&tokens->access);
	mh_strbuf_release(&tokens->refresh);
}

void mh_tokens_json(const struct mh_tokens *tokens, struct mh_strbuf *out)
{
	mh_json_add_key(out, MH_STR("access_token"));
	mh_json_add_str(out, mh_strbuf_str(&tokens->access));
	if (tokens->refresh.len) {
		mh_json_add_key(out, MH_STR("refresh_token"));
		mh_json_add_str(out, mh_strbuf_str(&tokens->refresh));
	}
	if (tokens->expires_in) {
		mh_json_add_key(out, MH_STR("expires_in_ms"));
		mh_strbuf_addint(out, tokens->expires_in);
	}
}

/* The pair of one serial of a session. */
static void make_tokens(struct mh_server *server, struct mh_str user_id,
			int64_t session, int64_t serial, bool refreshes,
			struct mh_tokens *ret)
{
	const struct mh_settings *settings = server->settings;
	struct mh_token_claims claims = {
		.subject = user_id,
		.session = session,
		.serial = serial,
	};

	ret->expires_in = refreshes ? settings->auth.access_token_lifetime :
				      settings->auth.long_token_lifetime;
	mh_token_sign(server->sessions->keys, "access", &claims,
		      ret->expires_in, &ret->access);
	if (refreshes)
		mh_token_sign(server->sessions->keys, "refresh", &claims,
			      settings->auth.refresh_token_lifetime,
			      &ret->refresh);
}

static int end_older(struct mh_server *server, struct mh_tx *tx,
		     struct mh_session_row *row, struct mh_error *err)
{
	struct change *change = change_new(server, tx);

	change->row.user = row->user;
	change->row.device = row->device;
	mh_tx_after(tx, after_end, NULL, change);
	return mh_device_sessions_delete(tx, row->user, row->device, err);
}

int mh_sessions_open(struct mh_server *server, struct mh_tx *tx,
		     struct mh_str user_id, struct mh_str device_id,
		     struct mh_str display_name, bool refreshes,
		     struct mh_tokens *ret_tokens,
		     struct mh_strbuf *ret_device_id, struct mh_error *err)
{
	struct change *change = change_new(server, tx);
	struct mh_session_row *row = &change->row;
	int64_t now = mh_clock_wall(server->clock);
	char chosen[11];

	if (!device_id.len) {
		mh_random_letters(server->random, chosen, 10);
		for (char *c = chosen; *c; c++)
			*c = (char)(*c & ~0x20);
		device_id = mh_str(chosen);
	}
	row->user_id = keep(tx, user_id);
	row->device_id = keep(tx, device_id);
	row->current = 1;
	row->refreshes = refreshes;
	row->user = mh_name_intern(tx, user_id, err);
	row->device = row->user < 0 ? -1 : mh_name_intern(tx, device_id, err);
	if (row->device < 0 || end_older(server, tx, row, err) < 0 ||
	    mh_device_put(tx, row->user, row->device, display_name, now, err) <
		    0)
		return -1;
	row->session = mh_session_add(tx, row->user, row->device, refreshes,
				      now, err);
	if (row->session < 0 ||
	    mh_session_account(mh_tx_db(tx), row->user, row, err) < 0)
		return -1;
	mh_tx_after(tx, after_open, NULL, change);
	make_tokens(server, user_id, row->session, 1, refreshes, ret_tokens);
	mh_strbuf_addstr(ret_device_id, device_id);
	return 0;
}

/* --- refreshing and ending ------------------------------------------------------ */

static int set_serial(struct mh_server *server, struct mh_tx *tx,
		      int64_t session, int64_t current, struct mh_error *err)
{
	struct change *change = change_new(server, tx);

	change->row.session = session;
	change->row.current = current;
	change->row.pending = true;
	mh_tx_after(tx, after_serial, NULL, change);
	return mh_session_set(tx, session, current, true, err);
}

static int end_session(struct mh_server *server, struct mh_tx *tx,
		       int64_t session, struct mh_error *err)
{
	struct change *change = change_new(server, tx);

	change->row.session = session;
	mh_tx_after(tx, after_end, NULL, change);
	return mh_session_delete(tx, session, err);
}

int mh_sessions_refresh(struct mh_server *server, struct mh_tx *tx,
			struct mh_str refresh_token,
			struct mh_tokens *ret_tokens, bool *ret_ended,
			struct mh_error *err)
{
	struct mh_sessions *sessions = server->sessions;
	struct mh_token_claims claims;
	struct mh_session_row row;
	MH_STRBUF(storage);
	int rc;

	*ret_ended = false;
	if (!mh_token_verify(sessions->keys, "refresh", refresh_token,
			     &storage, &claims) ||
	    claims.expired)
		return unknown_token(err, false, "the refresh token is unknown");
	/* The database, not the table: two jobs of one batch may refresh. */
	rc = mh_session_get(mh_tx_db(tx), claims.session, &row, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || claims.serial > row.current + row.pending)
		return unknown_token(err, false, "the session has ended");
	if (claims.serial < row.current) {
		*ret_ended = true;
		return end_session(server, tx, claims.session, err);
	}
	/* The current pair stays until the next serial is used. */
	if (set_serial(server, tx, claims.session, claims.serial, err) < 0)
		return -1;
	make_tokens(server, claims.subject, claims.session, claims.serial + 1,
		    true, ret_tokens);
	return 0;
}

int mh_sessions_end_device(struct mh_server *server, struct mh_tx *tx,
			   mh_nid user, mh_nid device, struct mh_error *err)
{
	struct change *change = change_new(server, tx);
	MH_STRBUF(device_id);

	change->row.user = user;
	change->row.device = device;
	mh_tx_after(tx, after_end, NULL, change);
	mh_notify_user(tx, server, user);
	/* Its keys go with it, and others learn that it is gone. */
	if (mh_device_delete(tx, user, device, err) < 0 ||
	    mh_name_get(mh_tx_db(tx), device, &device_id, err) < 0)
		return -1;
	return mh_keys_device_deleted(server, tx, user,
				      mh_strbuf_str(&device_id), err);
}

struct device_list {
	mh_nid *devices;
	size_t n;
};

static int collect_device(void *context, const struct mh_device *device,
			  struct mh_error *err MH_UNUSED)
{
	struct device_list *list = context;

	list->devices = mh_realloc_array(list->devices, list->n + 1,
					 sizeof(*list->devices));
	list->devices[list->n++] = device->device;
	return 1;
}

int mh_sessions_end_user(struct mh_server *server, struct mh_tx *tx,
			 mh_nid user, mh_nid except, struct mh_error *err)
{
	struct device_list list = { NULL, 0 };
	int rc = mh_device_each(mh_tx_db(tx), user, collect_device, &list, err);

	for (size_t i = 0; rc >= 0 && i < list.n; i++)
		if (list.devices[i] != except)
			rc = mh_sessions_end_device(server, tx, user,
						    list.devices[i], err);
	free(list.devices);
	return rc < 0 ? -1 : 0;
}
