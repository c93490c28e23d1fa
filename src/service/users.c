/* SPDX-License-Identifier: Apache-2.0 */
#include "service/users.h"

#include "core/ids.h"
#include "service/sessions.h"

int mh_user_id_of(const struct mh_server *server, struct mh_str name,
		  struct mh_arena *arena, struct mh_str *ret,
		  struct mh_error *err)
{
	struct mh_str local = name;
	char *folded;

	if (mh_str_starts(name, MH_STR("@"))) {
		if (!mh_server_owns(server, name))
			return mh_fail(err, MH_M_INVALID_USERNAME,
				       "'%.*s' is not a user of %.*s",
				       MH_STR_ARG(name),
				       MH_STR_ARG(server->name));
		local = mh_id_localpart(name);
	}
	folded = mh_arena_cstr(arena, local);
	for (size_t i = 0; i < local.len; i++)
		if (folded[i] >= 'A' && folded[i] <= 'Z')
			folded[i] = (char)(folded[i] + ('a' - 'A'));
	*ret = mh_arena_printf(arena, "@%.*s:%.*s", (int)local.len, folded,
			       MH_STR_ARG(server->name));
	if (local.len == 0 || memchr(folded, 0, local.len) ||
	    !mh_user_id_registrable(*ret))
		return mh_fail(err, MH_M_INVALID_USERNAME,
			       "a user name consists of a-z, 0-9 and ._=/+-, "
			       "and the whole user ID of %d bytes at most",
			       MH_ID_MAX);
	return 0;
}

struct mh_str mh_user_id_random(const struct mh_server *server,
				struct mh_arena *arena)
{
	char letters[16];

	mh_random_letters(server->random, letters, sizeof(letters) - 1);
	for (char *c = letters; *c; c++)
		*c = (char)(*c | 0x20); /* lower case */
	return mh_arena_printf(arena, "@%s:%.*s", letters,
			       MH_STR_ARG(server->name));
}

int mh_user_find(struct mh_db *db, struct mh_str user_id,
		 struct mh_arena *arena, struct mh_account *ret,
		 struct mh_error *err)
{
	mh_nid user = mh_name_find(db, user_id, err);

	if (user <= 0)
		return user < 0 ? -1 : 0;
	return mh_account_get(db, user, arena, ret, err);
}

int mh_user_available(struct mh_db *db, struct mh_str user_id,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_account account;
	int rc = mh_user_find(db, user_id, &arena, &account, err);

	if (rc > 0)
		return mh_fail(err, MH_M_USER_IN_USE, "the user ID is taken");
	return rc;
}

int mh_user_create(struct mh_server *server, struct mh_tx *tx,
		   struct mh_str user_id, struct mh_str password_hash,
		   bool admin, mh_nid *ret_user, struct mh_error *err)
{
	mh_nid user = mh_name_intern(tx, user_id, err);

	if (user < 0 || mh_account_add(tx, user, password_hash, admin,
				       mh_clock_wall(server->clock), err) < 0)
		return -1;
	*ret_user = user;
	return 0;
}

int mh_user_set_password(struct mh_server *server, struct mh_tx *tx,
			 mh_nid user, struct mh_str password_hash, bool logout,
			 mh_nid except, struct mh_error *err)
{
	if (mh_account_set_password(tx, user, password_hash, err) < 0)
		return -1;
	return logout ? mh_sessions_end_user(server, tx, user, except, err) : 0;
}

int mh_user_deactivate(struct mh_server *server, struct mh_tx *tx, mh_nid user,
		       struct mh_error *err)
{
	if (mh_account_deactivate(tx, user, err) < 0)
		return -1;
	return mh_sessions_end_user(server, tx, user, 0, err);
}
