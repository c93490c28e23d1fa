/* SPDX-License-Identifier: Apache-2.0 */
#include "client/new_session.h"

#include "service/passwords.h"
#include "service/uia.h"
#include "service/users.h"

struct registration {
	struct new_session session;
	struct mh_str user_id;
	struct mh_str password;
	struct mh_str hash;
	struct mh_str token; /* data NULL: none was asked for */
	bool inhibit_login;
};

static int create(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	struct registration *reg = arg;
	mh_nid user;
	MH_STRBUF(body);

	if (mh_user_create(req->server, tx, reg->user_id, reg->hash, false,
			   &user, err) < 0)
		return -1;
	if (reg->token.data) {
		int rc = mh_registration_token_use(
			tx, reg->token, mh_clock_wall(req->server->clock), err);

		if (rc < 0)
			return -1;
		/* The last use went to somebody else meanwhile. */
		if (rc == 0)
			return mh_fail(err, MH_M_FORBIDDEN,
				       "the registration token is not valid");
	}
	mh_strbuf_addlit(&body, "{\"user_id\":");
	mh_json_add_str(&body, reg->user_id);
	if (!reg->inhibit_login &&
	    new_session_open(tx, req, reg->user_id, &reg->session, &body, err) <
		    0)
		return -1;
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

static int hashed(struct mh_request *req, struct mh_str hash, void *context,
		  struct mh_error *err MH_UNUSED)
{
	struct registration *reg = context;

	reg->hash = hash;
	return mh_request_write(req, create, reg);
}

/*
 * Reads what is asked, and refuses what cannot be: before authentication, as
 * the spec wants, and again after it.
 */
static int parse(struct mh_request *req, struct registration *reg,
		 struct mh_error *err)
{
	struct mh_str username;
	json_t *body;
	int rc;

	if (mh_request_json(req, &body, err) < 0 ||
	    new_session_parse(body, &reg->session, err) < 0 ||
	    mh_json_get_bool(body, "inhibit_login", &reg->inhibit_login, err) <
		    0)
		return -1;
	rc = mh_json_get_str(body, "username", &username, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		reg->user_id = mh_user_id_random(req->server, &req->arena);
	else if (mh_user_id_of(req->server, username, &req->arena,
			       &reg->user_id, err) < 0)
		return -1;
	rc = mh_json_get_str(body, "password", &reg->password, err);
	if (rc < 0 || (rc > 0 && mh_password_acceptable(req->server,
							reg->password, err) < 0))
		return -1;
	return mh_user_available(mh_request_db(req), reg->user_id, err);
}

static int authenticated(struct mh_request *req, const struct mh_uia_done *done,
			 struct mh_error *err)
{
	struct registration *reg =
		MH_ARENA_NEW(&req->arena, struct registration);

	if (parse(req, reg, err) < 0)
		return -1;
	if (!reg->password.data)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "'password' is missing");
	reg->token = done->registration_token;
	return mh_password_hash(req, reg->password, hashed, reg, err);
}

int client_register(struct mh_request *req, struct mh_error *err)
{
	struct registration reg = { 0 };
	struct mh_str kind;

	if (mh_request_query(req, "kind", &kind)) {
		if (mh_str_is(kind, "guest"))
			return mh_fail(err, MH_M_FORBIDDEN,
				       "this node has no guest accounts");
		if (!mh_str_is(kind, "user"))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "'kind' is neither 'user' nor 'guest'");
	}
	if (req->server->settings->registration.mode ==
	    MH_REGISTRATION_CLOSED)
		return mh_fail(err, MH_M_FORBIDDEN, "registration is closed");
	if (parse(req, &reg, err) < 0)
		return -1;
	return mh_uia_require(req, MH_UIA_REGISTER, authenticated, err);
}

int client_check_username_availability(struct mh_request *req,
				       struct mh_error *err)
{
	struct mh_str username, user_id;
	MH_STRBUF(body);

	if (!mh_request_query(req, "username", &username))
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "query parameter 'username' is missing");
	if (mh_user_id_of(req->server, username, &req->arena, &user_id, err) <
		    0 ||
	    mh_user_available(mh_request_db(req), user_id, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"available\":true}");
	return mh_reply_buf(req, &body);
}

/* This node sends neither mail nor text messages. */
static int no_third_party(struct mh_error *err)
{
	return mh_fail(err, MH_M_THREEPID_DENIED,
		       "this node takes neither mail addresses nor phone "
		       "numbers");
}

int client_request_token_to_register_email(struct mh_request *req MH_UNUSED,
					   struct mh_error *err)
{
	return no_third_party(err);
}

int client_request_token_to_register_msisdn(struct mh_request *req MH_UNUSED,
					    struct mh_error *err)
{
	return no_third_party(err);
}
