/* SPDX-License-Identifier: Apache-2.0 */
#include "client/new_session.h"

#include "core/ids.h"
#include "store/e2ee.h"

#define DISPLAY_NAME_MAX 100 /* bytes of a device's name */

int new_session_parse(const json_t *body, struct new_session *ret,
		      struct mh_error *err)
{
	*ret = (struct new_session){ 0 };
	if (mh_json_get_str(body, "device_id", &ret->device_id, err) < 0 ||
	    mh_json_get_str(body, "initial_device_display_name",
			    &ret->display_name, err) < 0 ||
	    mh_json_get_bool(body, "refresh_token", &ret->refreshes, err) < 0)
		return -1;
	if (ret->device_id.len && !mh_device_id_valid(ret->device_id))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'device_id' is over %d bytes or has control "
			       "characters",
			       MH_ID_MAX);
	if (ret->display_name.len > DISPLAY_NAME_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'initial_device_display_name' is over %d bytes",
			       DISPLAY_NAME_MAX);
	return 0;
}

/*
 * A device may not pass for a cross-signing key; a known one keeps its name.
 * 1: known, 0: new, -1.
 */
static int look_up_device(struct mh_db *db, mh_nid user,
			   struct mh_str device_id, struct mh_error *err)
{
	static const char *const usages[] = { "master", "self_signing",
					      "user_signing" };
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_device row;
	mh_nid device;

	for (size_t i = 0; i < MH_ARRAY_LEN(usages); i++) {
		MH_STRBUF(key);

		if (mh_cross_signing_get(db, user, usages[i], &key, NULL, err) <
		    0)
			return -1;
		if (key.len && mh_str_eq(mh_strbuf_str(&key), device_id))
			return mh_fail(err, MH_M_FORBIDDEN,
				       "'device_id' is a cross-signing key");
	}
	device = mh_name_find(db, device_id, err);
	if (device <= 0)
		return device < 0 ? -1 : 0;
	return mh_device_get(db, user, device, &arena, &row, err);
}

int new_session_open(struct mh_tx *tx, struct mh_request *req,
		     struct mh_str user_id, const struct new_session *wish,
		     struct mh_strbuf *reply, struct mh_error *err)
{
	mh_nid user = mh_name_find(mh_tx_db(tx), user_id, err);
	struct mh_str name = wish->display_name;
	MH_STRBUF(device_id);
	MH_TOKENS(tokens);
	int known = 0;

	if (user < 0)
		return -1;
	if (wish->device_id.len)
		known = look_up_device(mh_tx_db(tx), user, wish->device_id,
				       err);
	if (known < 0)
		return -1;
	if (known)
		name = MH_STR_NONE;
	if (mh_sessions_open(req->server, tx, user_id, wish->device_id, name,
			     wish->refreshes, &tokens, &device_id, err) < 0)
		return -1;
	mh_json_add_key(reply, MH_STR("device_id"));
	mh_json_add_str(reply, mh_strbuf_str(&device_id));
	mh_tokens_json(&tokens, reply);
	return 0;
}
