/* SPDX-License-Identifier: Apache-2.0 */
/* Device keys, one-time keys and device lists. Cross-signing: cross_signing.c. */
#include "service/keys.h"

#include "base/arena.h"
#include "service/notifier.h"

#include <stdlib.h>
#include <uthash.h>

/* --- what changed, and for whom ------------------------------------------ */

struct changed {
	struct mh_tx *tx;
	struct mh_server *server;
};

static int notify_shared_room(void *context, const struct mh_member *member)
{
	struct changed *changed = context;

	if (member->membership == MH_MEMBERSHIP_JOIN)
		mh_notify_room(changed->tx, changed->server, member->room);
	return 1;
}

int mh_keys_changed(struct mh_server *server, struct mh_tx *tx, mh_nid user,
		    struct mh_error *err)
{
	struct changed changed = { .tx = tx, .server = server };

	if (mh_device_list_changed(tx, user, err) < 0 ||
	    mh_member_rooms(mh_tx_db(tx), user, notify_shared_room, &changed,
			    err) < 0)
		return -1;
	mh_notify_user(tx, server, user);
	return 0;
}

int mh_keys_device_deleted(struct mh_server *server, struct mh_tx *tx,
			   mh_nid user, struct mh_str device_id,
			   struct mh_error *err)
{
	mh_nid device = mh_name_find(mh_tx_db(tx), device_id, err);

	if (device < 0)
		return -1;
	if (device && mh_device_keys_delete(tx, user, device, err) < 0)
		return -1;
	return mh_keys_changed(server, tx, user, err);
}

/* --- POST /keys/upload ---------------------------------------------------- */

static int dump_bounded(const json_t *value, struct mh_strbuf *out,
			struct mh_error *err)
{
	mh_strbuf_clear(out);
	if (mh_canonical_json_value(value, MH_JSON_TOLERANT, out, err) < 0)
		return -1;
	if (out->len > MH_DEVICE_KEYS_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "a key is over %d bytes",
			       MH_DEVICE_KEYS_SIZE);
	return 0;
}

static int check_owner(const json_t *keys, const struct mh_requester *who,
		       struct mh_error *err)
{
	struct mh_str user_id, device_id;
	json_t *algorithms, *public_keys;

	if (mh_json_need_str(keys, "user_id", &user_id, err) < 0 ||
	    mh_json_need_str(keys, "device_id", &device_id, err) < 0 ||
	    mh_json_get_array(keys, "algorithms", &algorithms, err) < 0 ||
	    mh_json_need_object(keys, "keys", &public_keys, err) < 0)
		return -1;
	if (!mh_str_eq(user_id, who->user_id) ||
	    !mh_str_eq(device_id, who->device_id))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'device_keys' are of another user or device");
	return 0;
}

/* Splits "algorithm:key_id". */
static int split_key_id(const char *name, struct mh_str *algorithm,
			struct mh_str *key_id, struct mh_error *err)
{
	struct mh_str s = mh_str(name);
	ptrdiff_t colon = mh_str_find(s, ':');

	if (colon <= 0 || (size_t)colon + 1 == s.len || s.len > MH_ID_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "key ID '%.80s' is not <algorithm>:<key_id>",
			       name);
	*algorithm = mh_str_first(s, (size_t)colon);
	*key_id = mh_str_from(s, (size_t)colon + 1);
	return 0;
}

static int upload_device_keys(struct mh_server *server, struct mh_tx *tx,
			      const struct mh_requester *who, mh_nid device,
			      const json_t *keys, struct mh_error *err)
{
	MH_STRBUF(json);
	int rc;

	if (check_owner(keys, who, err) < 0 ||
	    dump_bounded(keys, &json, err) < 0)
		return -1;
	rc = mh_device_keys_set(tx, who->user, device, mh_strbuf_str(&json),
				err);
	if (rc <= 0)
		return rc;
	return mh_keys_changed(server, tx, who->user, err);
}

static int upload_one_time_keys(struct mh_tx *tx,
				const struct mh_requester *who, mh_nid device,
				json_t *keys, struct mh_error *err)
{
	struct mh_str algorithm, key_id;
	const char *name;
	json_t *value;
	MH_STRBUF(json);
	int64_t total;

	json_object_foreach (keys, name, value)
		if (split_key_id(name, &algorithm, &key_id, err) < 0 ||
		    dump_bounded(value, &json, err) < 0 ||
		    mh_one_time_key_add(tx, who->user, device, algorithm,
					key_id, mh_strbuf_str(&json), err) < 0)
			return -1;
	total = mh_one_time_key_total(mh_tx_db(tx), who->user, device, err);
	if (total < 0)
		return -1;
	if (total > MH_ONE_TIME_KEYS_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "over %d one-time keys for one device",
			       MH_ONE_TIME_KEYS_MAX);
	return 0;
}

static int upload_fallback_keys(struct mh_tx *tx,
				const struct mh_requester *who, mh_nid device,
				json_t *keys, struct mh_error *err)
{
	struct mh_str algorithm, key_id;
	const char *name;
	json_t *value;
	MH_STRBUF(json);

	if (json_object_size(keys) > 16)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "too many algorithms of fallback keys");
	json_object_foreach (keys, name, value)
		if (split_key_id(name, &algorithm, &key_id, err) < 0 ||
		    dump_bounded(value, &json, err) < 0 ||
		    mh_fallback_key_set(tx, who->user, device, algorithm,
					key_id, mh_strbuf_str(&json), err) < 0)
			return -1;
	return 0;
}

int mh_keys_upload(struct mh_server *server, struct mh_tx *tx,
		   const struct mh_requester *who, const json_t *body,
		   struct mh_strbuf *reply, struct mh_error *err)
{
	json_t *device_keys, *one_time, *fallback;
	mh_nid device = mh_name_intern(tx, who->device_id, err);
	int has_keys, has_one_time, has_fallback;

	if (device < 0)
		return -1;
	has_keys = mh_json_get_object(body, "device_keys", &device_keys, err);
	has_one_time =
		mh_json_get_object(body, "one_time_keys", &one_time, err);
	has_fallback =
		mh_json_get_object(body, "fallback_keys", &fallback, err);
	if (has_keys < 0 || has_one_time < 0 || has_fallback < 0)
		return -1;
	if (has_keys && upload_device_keys(server, tx, who, device, device_keys,
					   err) < 0)
		return -1;
	if (has_one_time &&
	    upload_one_time_keys(tx, who, device, one_time, err) < 0)
		return -1;
	if (has_fallback &&
	    upload_fallback_keys(tx, who, device, fallback, err) < 0)
		return -1;
	if (has_one_time || has_fallback)
		mh_notify_user(tx, server, who->user);
	mh_strbuf_addlit(reply, "{\"one_time_key_counts\":");
	if (mh_keys_sync_counts(mh_tx_db(tx), who, reply, err) < 0)
		return -1;
	mh_strbuf_addch(reply, '}');
	return 0;
}

/* --- parts of /sync ------------------------------------------------------- */

static int add_count(void *context, struct mh_str algorithm, int64_t count,
		     struct mh_error *err MH_UNUSED)
{
	mh_json_add_key(context, algorithm);
	mh_strbuf_addint(context, count);
	return 1;
}

static bool is_listed(const struct mh_strbuf *out, size_t from)
{
	return memmem(out->data + from, out->len - from,
		      "\"signed_curve25519\"", 19) != NULL;
}

int mh_keys_sync_counts(struct mh_db *db, const struct mh_requester *who,
			struct mh_strbuf *out, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, who->device_id, err);
	size_t from = out->len;

	mh_strbuf_addch(out, '{');
	if (device < 0 || mh_one_time_key_counts(db, who->user, device,
						 add_count, out, err) < 0)
		return -1;
	/* Clients read an absent count as unknown rather than as none left. */
	if (!is_listed(out, from)) {
		mh_json_add_key(out, MH_STR("signed_curve25519"));
		mh_strbuf_addch(out, '0');
	}
	mh_strbuf_addch(out, '}');
	return 0;
}

static int add_algorithm(void *context, struct mh_str algorithm,
			 struct mh_error *err MH_UNUSED)
{
	mh_json_add_comma(context);
	mh_json_add_str(context, algorithm);
	return 1;
}

int mh_keys_sync_fallback(struct mh_db *db, const struct mh_requester *who,
			  struct mh_strbuf *out, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, who->device_id, err);

	mh_strbuf_addch(out, '[');
	if (device < 0 || mh_fallback_keys_unused(db, who->user, device,
						  add_algorithm, out, err) < 0)
		return -1;
	mh_strbuf_addch(out, ']');
	return 0;
}

/*
 * Whose keys a client should ask for again, and whom it need not follow any
 * more. Walks what changed and not who is there: users whose keys changed, and
 * memberships that changed in the requester's rooms. Only a room that the
 * requester came to or left is walked as a whole.
 */
struct lists {
	struct mh_db *db;
	mh_nid user; /* the requester */
	struct mh_strbuf *changed;
	struct mh_strbuf left;
	struct seen *seen; /* users named in either list */
	struct mh_error *err;
	bool failed;
};

struct seen {
	mh_nid user;
	UT_hash_handle hh;
};

static bool was_seen(struct lists *lists, mh_nid user)
{
	struct seen *seen;

	HASH_FIND(hh, lists->seen, &user, sizeof(user), seen);
	if (seen)
		return true;
	seen = MH_NEW(struct seen);
	seen->user = user;
	HASH_ADD(hh, lists->seen, user, sizeof(user), seen);
	return false;
}

/* Each of these returns 1, or 0 with `failed` set, as mh_member_* wants. */
static int give_up(struct lists *lists)
{
	lists->failed = true;
	return 0;
}

static int add_user(struct lists *lists, mh_nid user, struct mh_strbuf *out)
{
	MH_STRBUF(name);

	if (mh_name_get(lists->db, user, &name, lists->err) < 0)
		return give_up(lists);
	mh_json_add_comma(out);
	mh_json_add_str(out, mh_strbuf_str(&name));
	return 1;
}

static int add_changed(void *context, mh_nid user,
		       struct mh_error *err MH_UNUSED)
{
	struct lists *lists = context;
	int shares = user == lists->user;

	if (!shares)
		shares = mh_member_share_room(lists->db, lists->user, user,
					      lists->err);
	if (shares < 0)
		return -1;
	if (!shares || was_seen(lists, user))
		return 1;
	return add_user(lists, user, lists->changed) ? 1 : -1;
}

/*
 * Who shares a room now may be new to us, and whoever does not is gone; saying
 * so once too often costs the client a query and nothing else.
 */
static int add_other(void *context, const struct mh_member *member)
{
	struct lists *lists = context;
	int shares;

	if (member->user == lists->user || was_seen(lists, member->user))
		return 1;
	shares = mh_member_share_room(lists->db, lists->user, member->user,
				      lists->err);
	if (shares < 0)
		return give_up(lists);
	return add_user(lists, member->user,
			shares ? lists->changed : &lists->left);
}

static int add_membership(void *context, const struct mh_member *member)
{
	struct lists *lists = context;
	struct mh_member mine;
	int rc;

	if (member->user == lists->user) {
		rc = mh_member_list(lists->db, member->room,
				    MH_MEMBERSHIP_JOIN, add_other, lists,
				    lists->err);
		return rc < 0 ? give_up(lists) : !lists->failed;
	}
	rc = mh_member_get(lists->db, member->room, lists->user, &mine,
			   lists->err);
	if (rc < 0)
		return give_up(lists);
	if (rc == 0 || mine.membership != MH_MEMBERSHIP_JOIN)
		return 1;
	return add_other(lists, member);
}

static void forget_seen(struct lists *lists)
{
	struct seen *seen, *next;

	HASH_ITER (hh, lists->seen, seen, next) {
		HASH_DEL(lists->seen, seen);
		free(seen);
	}
}

int mh_keys_sync_lists(struct mh_db *db, const struct mh_requester *who,
		       int64_t from, int64_t to, struct mh_strbuf *out,
		       struct mh_error *err)
{
	struct lists lists = { .db = db,
			       .user = who->user,
			       .changed = out,
			       .left = MH_STRBUF_INIT,
			       .err = err };
	bool any;
	int rc;

	mh_strbuf_addlit(out, "{\"changed\":[");
	rc = mh_device_list_each(db, from, to, add_changed, &lists, err);
	if (rc >= 0)
		rc = mh_member_changes(db, from, to, add_membership, &lists,
				       err);
	mh_strbuf_addlit(out, "],\"left\":[");
	mh_strbuf_addstr(out, mh_strbuf_str(&lists.left));
	mh_strbuf_addlit(out, "]}");
	mh_strbuf_release(&lists.left);
	any = lists.seen != NULL;
	forget_seen(&lists);
	return rc < 0 || lists.failed ? -1 : any;
}
