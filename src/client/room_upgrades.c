/* SPDX-License-Identifier: Apache-2.0 */
#include "client/room_params.h"
#include "service/room_upgrade.h"

static int upgrade(struct mh_tx *tx, struct mh_request *req, void *arg,
		   struct mh_error *err)
{
	MH_STRBUF(room_id);
	MH_STRBUF(body);
	mh_nid room;

	if (mh_room_upgrade(req->server, tx, arg, &room, err) < 0 ||
	    mh_name_get(mh_tx_db(tx), room, &room_id, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"replacement_room\":");
	mh_json_add_str(&body, mh_strbuf_str(&room_id));
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

static int read_creators(const json_t *body, const json_t **ret,
			 struct mh_error *err)
{
	json_t *creators = NULL;
	const json_t *each;
	size_t i;

	if (mh_json_get_array(body, "additional_creators", &creators, err) < 0)
		return -1;
	json_array_foreach(creators, i, each)
		if (!mh_user_id_valid(mh_json_str(each)))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'additional_creators' must hold user "
				       "IDs");
	*ret = creators;
	return 0;
}

int client_upgrade_room(struct mh_request *req, struct mh_error *err)
{
	struct mh_upgrade *arg = MH_ARENA_NEW(&req->arena, struct mh_upgrade);
	struct mh_str version;
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "new_version", &version, err) < 0 ||
	    read_creators(body, &arg->additional_creators, err) < 0)
		return -1;
	arg->rules = mh_room_rules_find(version);
	if (!arg->rules)
		return mh_fail(err, MH_M_UNSUPPORTED_ROOM_VERSION,
			       "room version '%.*s' is not known here",
			       MH_STR_ARG(version));
	if (mh_client_room(req, 0, &arg->room, err) < 0)
		return -1;
	arg->user = req->who.user_id;
	return mh_request_write(req, upgrade, arg);
}
