/* SPDX-License-Identifier: Apache-2.0 */
#include "client/own_user.h"

#include "core/ids.h"
#include "service/profiles.h"
#include "service/users.h"

static int not_found(struct mh_error *err)
{
	return mh_fail(err, MH_M_NOT_FOUND, "there is no such profile");
}

/* The number of a user with an account here; M_NOT_FOUND. */
static int find_user(struct mh_request *req, mh_nid *ret, struct mh_error *err)
{
	struct mh_account account;
	int rc = mh_user_find(mh_request_db(req), mh_request_param(req, 0),
			      &req->arena, &account, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return not_found(err);
	*ret = account.user;
	return 0;
}

int client_get_user_profile(struct mh_request *req, struct mh_error *err)
{
	mh_nid user;
	MH_STRBUF(body);

	if (find_user(req, &user, err) < 0 ||
	    mh_profile_json(mh_request_db(req), user, &body, err) < 0)
		return -1;
	return mh_reply_buf(req, &body);
}

int client_get_profile_field(struct mh_request *req, struct mh_error *err)
{
	struct mh_str field = mh_request_param(req, 1);
	mh_nid user;
	MH_STRBUF(body);
	int rc;

	if (find_user(req, &user, err) < 0)
		return -1;
	mh_strbuf_addch(&body, '{');
	mh_json_add_key(&body, field);
	rc = mh_profile_get(mh_request_db(req), user, field, &body, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return not_found(err);
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

static int change(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	if (mh_profile_change(req->server, tx, req->who.user_id,
			      mh_request_param(req, 1), arg, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_set_profile_field(struct mh_request *req, struct mh_error *err)
{
	struct mh_str field = mh_request_param(req, 1);
	json_t *body, *value;

	if (check_own_user(req, 0, err) < 0 ||
	    mh_request_json(req, &body, err) < 0)
		return -1;
	value = json_object_getn(body, field.data ? field.data : "", field.len);
	if (!value)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "the body has no member of the field's name");
	return mh_request_write(req, change, value);
}

int client_delete_profile_field(struct mh_request *req, struct mh_error *err)
{
	if (check_own_user(req, 0, err) < 0)
		return -1;
	return mh_request_write(req, change, NULL);
}
