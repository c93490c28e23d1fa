/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room directory. A page is found by its place in the list of matching
 * rooms, most members first: the tokens are n<place> and p<place>. Rooms may
 * move between two requests; nobody is promised that they do not.
 */
#include "client/room_params.h"
#include "service/public_rooms.h"

#define LIMIT_MAX 500

static int get_visibility(struct mh_request *req, mh_nid room, bool *ret,
			  struct mh_error *err)
{
	struct mh_room info;
	int rc = mh_rooms_get(mh_request_db(req), room, &info, err);

	if (rc > 0)
		*ret = info.is_public;
	return rc;
}

int client_get_room_visibility_on_directory(struct mh_request *req,
					    struct mh_error *err)
{
	bool is_public = false;
	MH_STRBUF(body);
	mh_nid room;

	if (mh_client_known_room(req, 0, &room, err) < 0 ||
	    get_visibility(req, room, &is_public, err) < 0)
		return -1;
	mh_strbuf_addf(&body, "{\"visibility\":\"%s\"}",
		       is_public ? "public" : "private");
	return mh_reply_buf(req, &body);
}

struct listing {
	mh_nid room;
	bool is_public;
};

static int set_visibility(struct mh_tx *tx, struct mh_request *req, void *arg,
			  struct mh_error *err)
{
	const struct listing *listing = arg;
	struct mh_alias_user who = mh_client_alias_user(req);

	if (mh_room_list(req->server, tx, listing->room, listing->is_public,
			 &who, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

int client_set_room_visibility_on_directory(struct mh_request *req,
					    struct mh_error *err)
{
	struct listing *listing = MH_ARENA_NEW(&req->arena, struct listing);
	struct mh_str visibility = MH_STR("public");
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_str(body, "visibility", &visibility, err) < 0 ||
	    mh_client_known_room(req, 0, &listing->room, err) < 0)
		return -1;
	listing->is_public = mh_str_is(visibility, "public");
	if (!listing->is_public && !mh_str_is(visibility, "private"))
		return mh_fail(err, MH_M_BAD_JSON,
			       "'visibility' must be 'public' or 'private'");
	return mh_request_write(req, set_visibility, listing);
}

/* --- the list --------------------------------------------------------------------- */

/* The place that a token names; whether it is one to go back from. */
static int read_since(struct mh_str since, struct mh_public_query *query,
		      struct mh_error *err)
{
	int64_t place;

	if (!since.len)
		return 0;
	if ((since.data[0] != 'n' && since.data[0] != 'p') ||
	    !mh_str_to_int(mh_str_from(since, 1), &place) || place < 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'since' is no token of this list");
	query->from = (size_t)place;
	if (since.data[0] == 'p') {
		query->from = query->from > query->limit ?
				      query->from - query->limit :
				      0;
		if ((size_t)place < query->limit)
			query->limit = (size_t)place;
	}
	return 0;
}

static int reply_page(struct mh_request *req, struct mh_public_query *query,
		      struct mh_str since, int64_t limit, struct mh_error *err)
{
	struct mh_str other;
	MH_STRBUF(body);

	if (limit < 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'limit' must not be negative");
	query->limit = limit < LIMIT_MAX ? (size_t)limit : LIMIT_MAX;
	if (read_since(since, query, err) < 0)
		return -1;
	if (mh_request_query(req, "server", &other) &&
	    !mh_str_eq(other, req->server->name))
		return mh_fail_status(err, 502, MH_M_CONNECTION_FAILED,
				      "'%.*s' cannot be asked from here",
				      MH_STR_ARG(other));
	if (mh_public_rooms(mh_request_db(req), query, &body, err) < 0)
		return -1;
	return mh_reply_buf(req, &body);
}

int client_get_public_rooms(struct mh_request *req, struct mh_error *err)
{
	struct mh_public_query query = { .any_type = true };
	struct mh_str since = MH_STR_NONE;
	int64_t limit = LIMIT_MAX;

	if (!req->who.user &&
	    !req->server->settings->directory.public_without_login)
		return mh_fail(err, MH_M_MISSING_TOKEN,
			       "log in to see the rooms of this server");
	mh_request_query(req, "since", &since);
	if (mh_request_query_int(req, "limit", &limit, err) < 0)
		return -1;
	return reply_page(req, &query, since, limit, err);
}

static int read_types(struct mh_request *req, const json_t *filter,
		      struct mh_public_query *query, struct mh_error *err)
{
	json_t *types = NULL;
	const json_t *each;
	struct mh_str *names;
	size_t i;
	int rc = mh_json_get_array(filter, "room_types", &types, err);

	query->any_type = rc == 0;
	if (rc <= 0)
		return rc;
	names = mh_arena_alloc_array(&req->arena, json_array_size(types) + 1,
				     sizeof(*names));
	json_array_foreach(types, i, each) {
		if (json_is_null(each))
			query->no_type = true;
		else if (json_is_string(each))
			names[query->n_types++] = mh_json_str(each);
		else
			return mh_fail(err, MH_M_BAD_JSON,
				       "'room_types' must hold strings or null");
	}
	query->types = names;
	return 0;
}

int client_query_public_rooms(struct mh_request *req, struct mh_error *err)
{
	struct mh_public_query query = { .any_type = true };
	struct mh_str since = MH_STR_NONE, network = MH_STR_NONE;
	int64_t limit = LIMIT_MAX;
	json_t *body, *filter = NULL;
	bool all = false;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_int(body, "limit", &limit, err) < 0 ||
	    mh_json_get_str(body, "since", &since, err) < 0 ||
	    mh_json_get_bool(body, "include_all_networks", &all, err) < 0 ||
	    mh_json_get_str(body, "third_party_instance_id", &network, err) <
		    0 ||
	    mh_json_get_object(body, "filter", &filter, err) < 0)
		return -1;
	if (all && network.len)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'third_party_instance_id' and "
			       "'include_all_networks' exclude each other");
	if (filter &&
	    (mh_json_get_str(filter, "generic_search_term", &query.term, err) <
		     0 ||
	     read_types(req, filter, &query, err) < 0))
		return -1;
	query.nothing = network.len > 0; /* there are no bridges */
	return reply_page(req, &query, since, limit, err);
}
