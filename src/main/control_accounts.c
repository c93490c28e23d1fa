/* SPDX-License-Identifier: Apache-2.0 */
/* mootctl user add|password|deactivate: what changes accounts. */
#include "main/control.h"

#include "base/arena.h"
#include "service/passwords.h"
#include "service/users.h"

struct change {
	struct mh_arena arena;
	struct mh_str user_id;
	struct mh_strbuf hash; /* empty: nobody can log in by password */
	bool admin;
	bool keep_sessions;
};

#define CHANGE_INIT                                                            \
	{                                                                      \
		.hash = MH_STRBUF_INIT                                         \
	}

static void change_release(struct change *change)
{
	mh_strbuf_release(&change->hash);
	mh_arena_release(&change->arena);
}

static int read_user(struct mh_control_call *call, struct change *change,
		     struct mh_error *err)
{
	struct mh_str name;

	call->data = change;
	if (mh_json_need_str(call->args, "user", &name, err) < 0)
		return -1;
	return mh_user_id_of(call->server, name, &change->arena,
			     &change->user_id, err);
}

/* Hashes args.password here, on the control thread: few of them, few at once.
 */
static int hash_password(struct mh_control_call *call, struct change *change,
			 struct mh_error *err)
{
	struct mh_str password;

	if (mh_json_need_str(call->args, "password", &password, err) < 0 ||
	    mh_password_acceptable(call->server, password, err) < 0)
		return -1;
	return mh_password_hash_now(call->server, password, &change->hash, err);
}

static int need_account(struct mh_tx *tx, struct change *change,
			struct mh_account *ret, struct mh_error *err)
{
	int rc = mh_user_find(mh_tx_db(tx), change->user_id, &change->arena,
			      ret, err);

	if (rc < 0)
		return -1;
	if (!rc)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no user '%.*s'",
			       MH_STR_ARG(change->user_id));
	if (ret->deactivated)
		return mh_fail(err, MH_M_USER_DEACTIVATED,
			       "'%.*s' is deactivated",
			       MH_STR_ARG(change->user_id));
	return 0;
}

static void set_message(struct mh_control_call *call, const char *message)
{
	call->result = json_object();
	json_object_set_new(call->result, "message", json_string(message));
}

/* --- user add ----------------------------------------------------------- */

static int add_write(struct mh_control_call *call, struct mh_tx *tx,
		     struct mh_error *err)
{
	struct change *change = call->data;
	mh_nid user;

	return mh_user_create(call->server, tx, change->user_id,
			      mh_strbuf_str(&change->hash), change->admin,
			      &user, err);
}

static int add(struct mh_control_call *call, struct mh_error *err)
{
	MH_CLEANUP(change_release) struct change change = CHANGE_INIT;
	bool no_password = false;

	if (read_user(call, &change, err) < 0 ||
	    mh_json_get_bool(call->args, "admin", &change.admin, err) < 0 ||
	    mh_json_get_bool(call->args, "no-password", &no_password, err) < 0)
		return -1;
	if (!no_password && hash_password(call, &change, err) < 0)
		return -1;
	if (mh_control_write(call, add_write, err) < 0)
		return -1;
	call->result = json_object();
	json_object_set_new(call->result, "user_id",
			    mh_json_new_str(change.user_id));
	json_object_set_new(call->result, "admin", json_boolean(change.admin));
	return 0;
}

/* --- user password ------------------------------------------------------ */

static int password_write(struct mh_control_call *call, struct mh_tx *tx,
			  struct mh_error *err)
{
	struct change *change = call->data;
	struct mh_account account;

	if (need_account(tx, change, &account, err) < 0)
		return -1;
	return mh_user_set_password(call->server, tx, account.user,
				    mh_strbuf_str(&change->hash),
				    !change->keep_sessions, 0, err);
}

static int password(struct mh_control_call *call, struct mh_error *err)
{
	MH_CLEANUP(change_release) struct change change = CHANGE_INIT;

	if (read_user(call, &change, err) < 0 ||
	    mh_json_get_bool(call->args, "keep-sessions", &change.keep_sessions,
			     err) < 0 ||
	    hash_password(call, &change, err) < 0 ||
	    mh_control_write(call, password_write, err) < 0)
		return -1;
	set_message(call, change.keep_sessions
				  ? "the password is set"
				  : "the password is set, and all devices are "
				    "logged out");
	return 0;
}

/* --- user deactivate ---------------------------------------------------- */

static int deactivate_write(struct mh_control_call *call, struct mh_tx *tx,
			    struct mh_error *err)
{
	struct mh_account account;

	if (need_account(tx, call->data, &account, err) < 0)
		return -1;
	return mh_user_deactivate(call->server, tx, account.user, err);
}

static int deactivate(struct mh_control_call *call, struct mh_error *err)
{
	MH_CLEANUP(change_release) struct change change = CHANGE_INIT;

	if (read_user(call, &change, err) < 0 ||
	    mh_control_write(call, deactivate_write, err) < 0)
		return -1;
	set_message(call, "the account is closed");
	return 0;
}

const struct mh_control_command mh_control_account_commands[] = {
	{ "user add", add },
	{ "user password", password },
	{ "user deactivate", deactivate },
	{ NULL, NULL },
};
