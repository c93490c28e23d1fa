/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "store/state.h"

struct list {
	struct mh_db *db;
	struct mh_strbuf body;
	struct mh_error *err;
	bool failed;
};

static int add_room(void *context, const struct mh_member *member)
{
	struct list *list = context;
	MH_STRBUF(room_id);

	if (member->membership != MH_MEMBERSHIP_JOIN)
		return 1;
	if (mh_name_get(list->db, member->room, &room_id, list->err) < 0) {
		list->failed = true;
		return 0;
	}
	mh_json_add_comma(&list->body);
	mh_json_add_str(&list->body, mh_strbuf_str(&room_id));
	return 1;
}

int client_get_joined_rooms(struct mh_request *req, struct mh_error *err)
{
	struct list list = {
		.db = mh_request_db(req),
		.body = MH_STRBUF_INIT,
		.err = err,
	};
	MH_SNAPSHOT(snapshot, list.db);

	mh_strbuf_addlit(&list.body, "{\"joined_rooms\":[");
	if (mh_member_rooms(snapshot, req->who.user, add_room, &list, err) <
		    0 ||
	    list.failed) {
		mh_strbuf_release(&list.body);
		return -1;
	}
	mh_strbuf_addlit(&list.body, "]}");
	return mh_reply_buf(req, &list.body);
}
