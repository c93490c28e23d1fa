/* SPDX-License-Identifier: Apache-2.0 */
/* mootctl user list|show */
#include "main/control.h"

#include "base/arena.h"
#include "service/users.h"

struct listing {
	struct mh_db *db;
	struct mh_arena arena;
	json_t *array;
};

static int show_account(struct mh_db *db, struct mh_arena *arena,
			const struct mh_account *account, json_t *shown,
			struct mh_error *err)
{
	struct mh_str user_id;

	if (mh_name_get_str(db, account->user, arena, &user_id, err) < 0)
		return -1;
	json_object_set_new(shown, "user_id", mh_json_new_str(user_id));
	json_object_set_new(shown, "created_ts",
			    json_integer(account->created_ts));
	json_object_set_new(shown, "admin", json_boolean(account->admin));
	json_object_set_new(shown, "locked", json_boolean(account->locked));
	json_object_set_new(shown, "suspended",
			    json_boolean(account->suspended));
	json_object_set_new(shown, "deactivated",
			    json_boolean(account->deactivated));
	return 0;
}

/* --- user list ---------------------------------------------------------- */

static int list_one(void *context, const struct mh_account *account,
		    struct mh_error *err)
{
	struct listing *listing = context;
	json_t *shown = json_object();

	json_array_append_new(listing->array, shown);
	return show_account(listing->db, &listing->arena, account, shown, err) <
			       0
		       ? -1
		       : 1;
}

static int list_read(struct mh_control_call *call, struct mh_db *db,
		     struct mh_error *err)
{
	struct listing listing = { .db = db, .array = call->data };
	int rc = mh_account_each(db, list_one, &listing, err);

	mh_arena_release(&listing.arena);
	return rc;
}

static int list(struct mh_control_call *call, struct mh_error *err)
{
	json_t *users = json_array();

	call->result = json_object();
	json_object_set_new(call->result, "users", users);
	call->data = users;
	return mh_control_read(call, list_read, err) < 0 ? -1 : 0;
}

/* --- user show ---------------------------------------------------------- */

static json_t *text_or_null(struct mh_str text)
{
	return text.data ? mh_json_new_str(text) : json_null();
}

static int device_one(void *context, const struct mh_device *device,
		      struct mh_error *err MH_UNUSED)
{
	struct listing *listing = context;
	json_t *shown = json_object();

	json_array_append_new(listing->array, shown);
	json_object_set_new(shown, "device_id",
			    mh_json_new_str(device->device_id));
	json_object_set_new(shown, "display_name",
			    text_or_null(device->display_name));
	json_object_set_new(shown, "last_seen_ip",
			    text_or_null(device->last_seen_ip));
	json_object_set_new(shown, "last_seen_ts",
			    json_integer(device->last_seen_ts));
	return 1;
}

static int show_found(struct listing *listing, const struct mh_str *user_id,
		      json_t *shown, struct mh_error *err)
{
	struct mh_account account;
	int rc = mh_user_find(listing->db, *user_id, &listing->arena, &account,
			      err);

	if (rc < 0)
		return -1;
	if (!rc)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no user '%.*s'",
			       MH_STR_ARG(mh_str_first(*user_id, 128)));
	if (show_account(listing->db, &listing->arena, &account, shown, err) <
	    0)
		return -1;
	listing->array = json_array();
	json_object_set_new(shown, "devices", listing->array);
	return mh_device_each(listing->db, account.user, device_one, listing,
			      err) < 0
		       ? -1
		       : 0;
}

static int show_read(struct mh_control_call *call, struct mh_db *db,
		     struct mh_error *err)
{
	struct listing listing = { .db = db };
	int rc = show_found(&listing, call->data, call->result, err);

	mh_arena_release(&listing.arena);
	return rc;
}

static int show(struct mh_control_call *call, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_str name;
	struct mh_str user_id;

	if (mh_json_need_str(call->args, "user", &name, err) < 0 ||
	    mh_user_id_of(call->server, name, &arena, &user_id, err) < 0)
		return -1;
	call->data = &user_id;
	call->result = json_object();
	return mh_control_read(call, show_read, err);
}

const struct mh_control_command mh_control_user_commands[] = {
	{ "user list", list },
	{ "user show", show },
	{ NULL, NULL },
};
