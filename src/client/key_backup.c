/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key backups. The three paths for keys (all, one room's, one session's) differ
 * in how many parameters they have, and share their handlers' bodies.
 */
#include "client/client.h"

#include "service/key_backup.h"

/* --- versions ------------------------------------------------------------------ */

static int64_t version_of(struct mh_request *req)
{
	return mh_backup_version_parse(mh_request_param(req, 0));
}

static int no_such_backup(struct mh_error *err)
{
	return mh_fail(err, MH_M_NOT_FOUND, "there is no such backup");
}

static int describe(struct mh_request *req, int64_t version,
		    struct mh_error *err)
{
	MH_STRBUF(reply);
	MH_SNAPSHOT(db, mh_request_db(req));

	if (mh_backup_describe(db, req->who.user, version, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

int client_get_room_keys_version_current(struct mh_request *req,
					 struct mh_error *err)
{
	return describe(req, 0, err);
}

int client_get_room_keys_version(struct mh_request *req, struct mh_error *err)
{
	int64_t version = version_of(req);

	return version ? describe(req, version, err) : no_such_backup(err);
}

static int start(struct mh_tx *tx, struct mh_request *req, void *arg,
		 struct mh_error *err)
{
	MH_STRBUF(reply);

	if (mh_backup_start(tx, req->who.user, arg, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

int client_post_room_keys_version(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, start, body);
}

static int update(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	if (mh_backup_update(tx, req->who.user, version_of(req), arg, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_put_room_keys_version(struct mh_request *req, struct mh_error *err)
{
	json_t *body;

	if (!version_of(req))
		return no_such_backup(err);
	if (mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, update, body);
}

static int end(struct mh_tx *tx, struct mh_request *req, void *arg MH_UNUSED,
	       struct mh_error *err)
{
	if (mh_backup_end(tx, req->who.user, version_of(req), err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_delete_room_keys_version(struct mh_request *req,
				    struct mh_error *err)
{
	if (!version_of(req))
		return no_such_backup(err);
	return mh_request_write(req, end, NULL);
}

/* --- keys ------------------------------------------------------------------------ */

static int select_keys(struct mh_request *req,
		       struct mh_backup_selection *ret, struct mh_error *err)
{
	struct mh_str version;

	*ret = (struct mh_backup_selection){ 0 };
	if (!mh_request_query(req, "version", &version))
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "'version' is missing");
	ret->version = mh_backup_version_parse(version);
	if (!ret->version)
		return no_such_backup(err);
	if (req->n_params > 0)
		ret->room_id = mh_request_param(req, 0);
	if (req->n_params > 1)
		ret->session = mh_request_param(req, 1);
	return 0;
}

static int get_keys(struct mh_request *req, struct mh_error *err)
{
	struct mh_backup_selection selection;
	MH_STRBUF(reply);

	if (select_keys(req, &selection, err) < 0)
		return -1;
	MH_SNAPSHOT(db, mh_request_db(req));
	if (mh_backup_read(db, req->who.user, &selection, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

static int write_keys(struct mh_tx *tx, struct mh_request *req, void *arg,
		      struct mh_error *err)
{
	struct mh_backup_selection selection;
	MH_STRBUF(reply);

	if (select_keys(req, &selection, err) < 0 ||
	    mh_backup_write(tx, req->who.user, &selection, arg, &reply, err) <
		    0)
		return -1;
	return mh_reply_buf(req, &reply);
}

static int put_keys(struct mh_request *req, struct mh_error *err)
{
	struct mh_backup_selection selection;
	json_t *body;

	if (select_keys(req, &selection, err) < 0 ||
	    mh_request_json(req, &body, err) < 0)
		return -1;
	return mh_request_write(req, write_keys, body);
}

static int erase_keys(struct mh_tx *tx, struct mh_request *req,
		      void *arg MH_UNUSED, struct mh_error *err)
{
	struct mh_backup_selection selection;
	MH_STRBUF(reply);

	if (select_keys(req, &selection, err) < 0 ||
	    mh_backup_erase(tx, req->who.user, &selection, &reply, err) < 0)
		return -1;
	return mh_reply_buf(req, &reply);
}

static int delete_keys(struct mh_request *req, struct mh_error *err)
{
	struct mh_backup_selection selection;

	if (select_keys(req, &selection, err) < 0)
		return -1;
	return mh_request_write(req, erase_keys, NULL);
}

int client_get_room_keys(struct mh_request *req, struct mh_error *err)
{
	return get_keys(req, err);
}

int client_get_room_keys_by_room_id(struct mh_request *req,
				    struct mh_error *err)
{
	return get_keys(req, err);
}

int client_get_room_key_by_session_id(struct mh_request *req,
				      struct mh_error *err)
{
	return get_keys(req, err);
}

int client_put_room_keys(struct mh_request *req, struct mh_error *err)
{
	return put_keys(req, err);
}

int client_put_room_keys_by_room_id(struct mh_request *req,
				    struct mh_error *err)
{
	return put_keys(req, err);
}

int client_put_room_key_by_session_id(struct mh_request *req,
				      struct mh_error *err)
{
	return put_keys(req, err);
}

int client_delete_room_keys(struct mh_request *req, struct mh_error *err)
{
	return delete_keys(req, err);
}

int client_delete_room_keys_by_room_id(struct mh_request *req,
				       struct mh_error *err)
{
	return delete_keys(req, err);
}

int client_delete_room_key_by_session_id(struct mh_request *req,
					 struct mh_error *err)
{
	return delete_keys(req, err);
}
