/* SPDX-License-Identifier: Apache-2.0 */
#include "client/new_session.h"

#include "core/ids.h"
#include "service/passwords.h"
#include "service/rate_limits.h"
#include "service/users.h"
#include "store/short_tokens.h"

int client_get_login_flows(struct mh_request *req,
			   struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body,
			 "{\"flows\":[{\"type\":\"m.login.password\"},"
			 "{\"get_login_token\":true,\"type\":\"m.login.token\"}"
			 "]}");
	return mh_reply_buf(req, &body);
}

struct login {
	struct new_session session;
	struct mh_str user_id;
	struct mh_str hash; /* that the password was checked against */
	struct mh_str token;
};

/* One answer for all that is wrong, so that nobody learns who has an account. */
static int refuse(struct mh_error *err)
{
	return mh_fail(err, MH_M_FORBIDDEN, "wrong user or password");
}

static int reply(struct mh_tx *tx, struct mh_request *req,
		 const struct login *login, struct mh_error *err)
{
	struct mh_str url = mh_str(req->server->settings->server.public_url);
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"user_id\":");
	mh_json_add_str(&body, login->user_id);
	if (new_session_open(tx, req, login->user_id, &login->session, &body,
			     err) < 0)
		return -1;
	if (url.len) {
		mh_strbuf_addlit(&body, ",\"well_known\":{\"m.homeserver\":"
					"{\"base_url\":");
		mh_json_add_str(&body, url);
		mh_strbuf_addlit(&body, "}}");
	}
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

/* --- m.login.password ----------------------------------------------------- */

static int password_login(struct mh_tx *tx, struct mh_request *req, void *arg,
			  struct mh_error *err)
{
	struct login *login = arg;
	struct mh_account account;
	int rc = mh_user_find(mh_tx_db(tx), login->user_id, &req->arena,
			      &account, err);

	if (rc < 0)
		return -1;
	/* It may have changed while this one was checked. */
	if (rc == 0 || account.deactivated ||
	    !mh_str_eq(account.password_hash, login->hash))
		return refuse(err);
	return reply(tx, req, login, err);
}

static int password_checked(struct mh_request *req, bool right, void *context,
			    struct mh_error *err)
{
	if (!right)
		return refuse(err);
	return mh_request_write(req, password_login, context);
}

/* The user that the body names; 0: by something this node does not know. */
static int find_name(const json_t *body, struct mh_str *ret,
		     struct mh_error *err)
{
	struct mh_str type;
	json_t *identifier;
	int rc = mh_json_get_object(body, "identifier", &identifier, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_json_need_str(body, "user", ret, err) < 0 ? -1 : 1;
	if (mh_json_need_str(identifier, "type", &type, err) < 0)
		return -1;
	if (!mh_str_is(type, "m.id.user"))
		return 0;
	return mh_json_need_str(identifier, "user", ret, err) < 0 ? -1 : 1;
}

static int login_password(struct mh_request *req, struct login *login,
			  const json_t *body, struct mh_error *err)
{
	struct mh_rate_key key = { .scope = MH_RATE_BY_ACCOUNT };
	struct mh_account account = { 0 };
	struct mh_str name, password;
	MH_ERROR(no_such_name);
	int rc = find_name(body, &name, err);

	if (rc < 0 || mh_json_need_str(body, "password", &password, err) < 0)
		return -1;
	if (rc == 0 || mh_user_id_of(req->server, name, &req->arena,
				     &login->user_id, &no_such_name) < 0)
		return refuse(err);
	key.key = login->user_id;
	if (mh_rate_limits_take(req->server->limits, MH_RATE_LOGIN, &key, 1,
				err) < 0 ||
	    mh_user_find(mh_request_db(req), login->user_id, &req->arena,
			 &account, err) < 0)
		return -1;
	login->hash = account.password_hash;
	return mh_password_check(req, password, login->hash, password_checked,
				 login, err);
}

/* --- m.login.token -------------------------------------------------------- */

static int token_login(struct mh_tx *tx, struct mh_request *req, void *arg,
		       struct mh_error *err)
{
	struct login *login = arg;
	struct mh_account account;
	mh_nid user;
	int rc = mh_short_token_take(tx, "login", login->token,
				     mh_clock_wall(req->server->clock), &user,
				     err);

	if (rc > 0)
		rc = mh_account_get(mh_tx_db(tx), user, &req->arena, &account,
				    err);
	if (rc < 0)
		return -1;
	if (rc == 0 || account.deactivated)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "the login token is not valid");
	if (mh_name_get_str(mh_tx_db(tx), user, &req->arena, &login->user_id,
			    err) < 0)
		return -1;
	return reply(tx, req, login, err);
}

int client_login(struct mh_request *req, struct mh_error *err)
{
	struct login *login = MH_ARENA_NEW(&req->arena, struct login);
	struct mh_str type;
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "type", &type, err) < 0 ||
	    new_session_parse(body, &login->session, err) < 0)
		return -1;
	if (mh_str_is(type, "m.login.password"))
		return login_password(req, login, body, err);
	if (mh_str_is(type, "m.login.token")) {
		if (mh_json_need_str(body, "token", &login->token, err) < 0)
			return -1;
		return mh_request_write(req, token_login, login);
	}
	return mh_fail_status(err, 400, MH_M_UNKNOWN,
			      "'%.*s' is not a login type of this node",
			      (int)(type.len < 64 ? type.len : 64), type.data);
}
