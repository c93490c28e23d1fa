/* SPDX-License-Identifier: Apache-2.0 */
/* Tags are the room account data m.tag: {"tags":{"m.favourite":{..}}}. */
#include "client/own_user.h"

#include "core/canonical_json.h"
#include "core/ids.h"
#include "service/account_data.h"

#define TAG_MAX 255	/* bytes */
#define TAGS_MAX 100	/* of one room */

static int load(struct mh_db *db, struct mh_request *req, mh_nid room,
		json_t **ret, struct mh_error *err)
{
	MH_STRBUF(content);
	int rc = room ? mh_account_data_get(db, req->who.user, room,
					    MH_STR("m.tag"), &content, err) :
			0;

	if (rc < 0)
		return -1;
	if (rc == 0)
		mh_strbuf_addlit(&content, "{}");
	if (mh_json_parse_object(mh_strbuf_str(&content), ret, err) < 0)
		return -1;
	/* A client may have stored anything there by account data. */
	if (!json_is_object(json_object_get(*ret, "tags")))
		json_object_set_new(*ret, "tags", json_object());
	return 0;
}

static int check(struct mh_request *req, struct mh_error *err)
{
	if (check_own_user(req, 0, err) < 0)
		return -1;
	if (!mh_room_id_valid(mh_request_param(req, 1)))
		return mh_fail(err, MH_M_INVALID_PARAM, "not a room ID");
	return 0;
}

int client_get_room_tags(struct mh_request *req, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	struct mh_db *db = mh_request_db(req);
	mh_nid room;
	MH_STRBUF(body);

	if (check(req, err) < 0)
		return -1;
	room = mh_name_find(db, mh_request_param(req, 1), err);
	if (room < 0 || load(db, req, room, &content, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"tags\":");
	mh_json_add(&body, json_object_get(content, "tags"));
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

/* In a write job: stores the tags with `tag` set to `value` (NULL: without). */
static int change(struct mh_tx *tx, struct mh_request *req, json_t *value,
		  struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	struct mh_str tag = mh_request_param(req, 2);
	mh_nid room = mh_name_intern(tx, mh_request_param(req, 1), err);
	json_t *tags;
	MH_STRBUF(text);

	if (room < 0 || load(mh_tx_db(tx), req, room, &content, err) < 0)
		return -1;
	tags = json_object_get(content, "tags");
	if (value)
		json_object_setn(tags, tag.data, tag.len, value);
	else
		json_object_deln(tags, tag.data, tag.len);
	if (json_object_size(tags) > TAGS_MAX)
		return mh_fail(err, MH_M_RESOURCE_LIMIT_EXCEEDED,
			       "a room has %d tags at most", TAGS_MAX);
	if (mh_canonical_json_value(content, MH_JSON_TOLERANT, &text, err) <
		    0 ||
	    mh_account_data_put(req->server, tx, req->who.user, room,
				MH_STR("m.tag"), mh_strbuf_str(&text), err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int set_tag(struct mh_tx *tx, struct mh_request *req,
		   void *arg MH_UNUSED, struct mh_error *err)
{
	return change(tx, req, req->json, err);
}

static int delete_tag(struct mh_tx *tx, struct mh_request *req,
		      void *arg MH_UNUSED, struct mh_error *err)
{
	return change(tx, req, NULL, err);
}

int client_set_room_tag(struct mh_request *req, struct mh_error *err)
{
	struct mh_str tag = mh_request_param(req, 2);
	json_t *body, *order;

	if (check(req, err) < 0 || mh_request_json(req, &body, err) < 0)
		return -1;
	if (tag.len == 0 || tag.len > TAG_MAX || memchr(tag.data, 0, tag.len))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a tag has 1 to %d bytes", TAG_MAX);
	order = json_object_get(body, "order");
	if (order && !json_is_number(order))
		return mh_fail(err, MH_M_BAD_JSON, "'order' must be a number");
	return mh_request_write(req, set_tag, NULL);
}

int client_delete_room_tag(struct mh_request *req, struct mh_error *err)
{
	if (check(req, err) < 0)
		return -1;
	return mh_request_write(req, delete_tag, NULL);
}
