/* SPDX-License-Identifier: Apache-2.0 */
/* mootctl registration-token create|list|revoke */
#include "main/control.h"

#include "core/ids.h"
#include "store/accounts.h"

#define MAX_HOURS (100ll * 366 * 24)
#define MADE_LETTERS 16

static json_t *show_token(const struct mh_registration_token *token)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "token", mh_json_new_str(token->token));
	json_object_set_new(shown, "uses_allowed",
			    token->uses_allowed < 0
				    ? json_null()
				    : json_integer(token->uses_allowed));
	json_object_set_new(shown, "completed", json_integer(token->completed));
	json_object_set_new(shown, "expiry_ts",
			    token->expiry_ts ? json_integer(token->expiry_ts)
					     : json_null());
	return shown;
}

static int create_write(struct mh_control_call *call, struct mh_tx *tx,
			struct mh_error *err)
{
	return mh_registration_token_add(
		tx, call->data, mh_clock_wall(call->server->clock), err);
}

static int create(struct mh_control_call *call, struct mh_error *err)
{
	struct mh_registration_token token = { .uses_allowed = -1 };
	char made[MADE_LETTERS + 1];
	int64_t hours = 0;
	int has_token;
	int has_hours;

	has_token = mh_json_get_str(call->args, "token", &token.token, err);
	has_hours = mh_json_get_int(call->args, "hours", &hours, err);
	if (has_token < 0 || has_hours < 0 ||
	    mh_json_get_int(call->args, "uses", &token.uses_allowed, err) < 0)
		return -1;
	if (has_token &&
	    (!mh_opaque_id_valid(token.token) || token.token.len > 64))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a token has 1 to 64 characters of A-Z, a-z, "
			       "0-9, '.', '_', '~' and '-'");
	if (has_hours && (hours < 1 || hours > MAX_HOURS))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'hours' must be from 1 to %lld", MAX_HOURS);
	if (!has_token) {
		mh_random_letters(call->server->random, made, MADE_LETTERS);
		token.token = mh_str_n(made, MADE_LETTERS);
	}
	if (has_hours)
		token.expiry_ts = mh_clock_wall(call->server->clock) +
				  hours * 3600 * 1000;
	call->data = &token;
	if (mh_control_write(call, create_write, err) < 0)
		return -1;
	call->result = show_token(&token);
	return 0;
}

static int list_one(void *context, const struct mh_registration_token *token,
		    struct mh_error *err MH_UNUSED)
{
	json_array_append_new(context, show_token(token));
	return 1;
}

static int list_read(struct mh_control_call *call, struct mh_db *db,
		     struct mh_error *err)
{
	return mh_registration_token_each(db, list_one, call->data, err);
}

static int list(struct mh_control_call *call, struct mh_error *err)
{
	json_t *tokens = json_array();

	call->result = json_object();
	json_object_set_new(call->result, "tokens", tokens);
	call->data = tokens;
	return mh_control_read(call, list_read, err) < 0 ? -1 : 0;
}

static int revoke_write(struct mh_control_call *call, struct mh_tx *tx,
			struct mh_error *err)
{
	const struct mh_str *token = call->data;
	int rc = mh_registration_token_delete(tx, *token, err);

	if (!rc)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "there is no registration token '%.*s'",
			       MH_STR_ARG(mh_str_first(*token, 64)));
	return rc < 0 ? -1 : 0;
}

static int revoke(struct mh_control_call *call, struct mh_error *err)
{
	struct mh_str token;

	if (mh_json_need_str(call->args, "token", &token, err) < 0)
		return -1;
	call->data = &token;
	if (mh_control_write(call, revoke_write, err) < 0)
		return -1;
	call->result = json_object();
	json_object_set_new(call->result, "message", json_string("revoked"));
	return 0;
}

const struct mh_control_command mh_control_token_commands[] = {
	{ "registration-token create", create },
	{ "registration-token list", list },
	{ "registration-token revoke", revoke },
	{ NULL, NULL },
};
