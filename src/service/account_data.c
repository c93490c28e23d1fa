/* SPDX-License-Identifier: Apache-2.0 */
#include "service/account_data.h"

#include "service/notifier.h"

#define ITEMS_MAX 20000 /* of one user */
#define TYPE_MAX 255	/* bytes, as of event types */

static int check_room_left(struct mh_db *db, mh_nid user, mh_nid room,
			   struct mh_str type, struct mh_error *err)
{
	MH_STRBUF(old);
	int rc = mh_account_data_get(db, user, room, type, &old, err);
	int64_t count;

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	count = mh_account_data_count(db, user, err);
	if (count < 0)
		return -1;
	if (count >= ITEMS_MAX)
		return mh_fail(err, MH_M_RESOURCE_LIMIT_EXCEEDED,
			       "this account keeps %d items of account data "
			       "already",
			       ITEMS_MAX);
	return 0;
}

int mh_account_data_put(struct mh_server *server, struct mh_tx *tx, mh_nid user,
			mh_nid room, struct mh_str type, struct mh_str content,
			struct mh_error *err)
{
	if (type.len == 0 || type.len > TYPE_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the type of account data has 1 to %d bytes",
			       TYPE_MAX);
	if (content.len > MH_ACCOUNT_DATA_MAX_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE,
			       "account data of over %d bytes",
			       MH_ACCOUNT_DATA_MAX_SIZE);
	if (check_room_left(mh_tx_db(tx), user, room, type, err) < 0 ||
	    mh_account_data_set(tx, user, room, type, content,
				mh_tx_next_pos(tx), err) < 0)
		return -1;
	mh_notify_user(tx, server, user);
	return 0;
}

int mh_filter_resolve(struct mh_db *db, mh_nid user, struct mh_str parameter,
		      struct mh_filter **ret, struct mh_error *err)
{
	MH_STRBUF(json);
	int64_t number;
	int rc;

	if (mh_str_starts(parameter, MH_STR("{")))
		return mh_filter_parse(parameter, ret, err);
	if (!mh_str_to_int(parameter, &number))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'filter' is neither JSON nor a filter's ID");
	rc = mh_filters_get(db, user, number, &json, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "there is no filter '%.*s'",
			       MH_STR_ARG(parameter));
	return mh_filter_parse(mh_strbuf_str(&json), ret, err);
}
