/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "service/passwords.h"
#include "service/uia.h"
#include "service/users.h"

struct change {
	struct mh_str password, hash;
	bool logout;
};

static int change_password(struct mh_tx *tx, struct mh_request *req, void *arg,
			   struct mh_error *err)
{
	const struct change *change = arg;

	if (mh_user_set_password(req->server, tx, req->who.user, change->hash,
				 change->logout, req->who.device, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int hashed(struct mh_request *req, struct mh_str hash, void *context,
		  struct mh_error *err MH_UNUSED)
{
	struct change *change = context;

	change->hash = hash;
	return mh_request_write(req, change_password, change);
}

static int parse(struct mh_request *req, struct change *change,
		 struct mh_error *err)
{
	json_t *body;

	change->logout = true;
	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_bool(body, "logout_devices", &change->logout, err) < 0)
		return -1;
	return mh_json_get_str(body, "new_password", &change->password, err);
}

static int authenticated(struct mh_request *req,
			 const struct mh_uia_done *done MH_UNUSED,
			 struct mh_error *err)
{
	struct change *change = MH_ARENA_NEW(&req->arena, struct change);
	int rc = parse(req, change, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "'new_password' is missing");
	return mh_password_hash(req, change->password, hashed, change, err);
}

int client_change_password(struct mh_request *req, struct mh_error *err)
{
	struct change change = { 0 };
	int rc = parse(req, &change, err);

	if (rc < 0 || (rc > 0 && mh_password_acceptable(
					 req->server, change.password, err) < 0))
		return -1;
	return mh_uia_require(req, MH_UIA_ACCOUNT, authenticated, err);
}

/* No account of this node has a mail address or a phone number. */
static int not_found(struct mh_error *err)
{
	return mh_fail(err, MH_M_THREEPID_NOT_FOUND,
		       "no account has this address");
}

int client_request_token_to_reset_password_email(
	struct mh_request *req MH_UNUSED, struct mh_error *err)
{
	return not_found(err);
}

int client_request_token_to_reset_password_msisdn(
	struct mh_request *req MH_UNUSED, struct mh_error *err)
{
	return not_found(err);
}
