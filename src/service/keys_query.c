/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /keys/query and /keys/claim: what others get to see of keys. Stored JSON
 * is copied; signatures of other keys' owners and `unsigned` are put into it.
 */
#include "service/keys.h"

#include "base/arena.h"
#include "service/notifier.h"
#include "store/accounts.h"

struct query {
	struct mh_server *server;
	struct mh_db *db;
	const struct mh_requester *who;
	struct mh_arena *arena;
	mh_nid user; /* whose keys these are */
	struct mh_str user_id;
	const json_t *wanted; /* device IDs; empty: all */
	struct mh_strbuf *out;
};

/* --- signatures -------------------------------------------------------------- */

struct merge {
	const struct query *query;
	json_t *signatures;
};

/* Everybody sees the owner's signatures; one's own are for oneself. */
static int merge_signature(void *context, mh_nid signer, struct mh_str key_id,
			   struct mh_str signature, struct mh_error *err)
{
	struct merge *merge = context;
	json_t *of_signer;
	MH_STRBUF(name);

	if (signer != merge->query->user && signer != merge->query->who->user)
		return 1;
	if (mh_name_get(merge->query->db, signer, &name, err) < 0)
		return -1;
	of_signer = json_object_get(merge->signatures, name.data);
	if (!json_is_object(of_signer)) {
		of_signer = json_object();
		json_object_set_new(merge->signatures, name.data, of_signer);
	}
	json_object_setn_new(of_signer, key_id.data, key_id.len,
			     mh_json_new_str(signature));
	return 1;
}

static int with_signatures(const struct query *query, struct mh_str stored,
			   struct mh_str target, json_t **ret,
			   struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *object = NULL;
	struct merge merge = { .query = query };

	if (mh_json_parse_object(stored, &object, err) < 0)
		return -1;
	merge.signatures = json_object_get(object, "signatures");
	if (!json_is_object(merge.signatures)) {
		merge.signatures = json_object();
		json_object_set_new(object, "signatures", merge.signatures);
	}
	if (mh_key_signatures_each(query->db, query->user, target,
				   merge_signature, &merge, err) < 0)
		return -1;
	*ret = MH_TAKE(object);
	return 0;
}

/* --- devices ------------------------------------------------------------------ */

static bool is_wanted(const json_t *wanted, struct mh_str device_id)
{
	const json_t *one;
	size_t i;

	if (json_array_size(wanted) == 0)
		return true;
	json_array_foreach (wanted, i, one)
		if (mh_str_eq(mh_json_str(one), device_id))
			return true;
	return false;
}

static int add_device(void *context, mh_nid number, struct mh_str stored,
		      struct mh_error *err)
{
	const struct query *query = context;
	MH_CLEANUP(json_decrefp) json_t *object = NULL;
	struct mh_device device;
	int rc = mh_device_get(query->db, query->user, number, query->arena,
			       &device, err);

	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	if (!is_wanted(query->wanted, device.device_id))
		return 1;
	if (with_signatures(query, stored, device.device_id, &object, err) < 0)
		return -1;
	json_object_set_new(object, "unsigned", json_object());
	if (device.display_name.data)
		json_object_set_new(json_object_get(object, "unsigned"),
				    "device_display_name",
				    mh_json_new_str(device.display_name));
	mh_json_add_key(query->out, device.device_id);
	mh_json_add(query->out, object);
	return 1;
}

/* --- identity keys -------------------------------------------------------------- */

static int add_identity_key(const struct query *query, const char *usage,
			    struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *object = NULL;
	MH_STRBUF(key);
	MH_STRBUF(stored);
	int rc = mh_cross_signing_get(query->db, query->user, usage, &key,
				      &stored, err);

	if (rc <= 0)
		return rc;
	if (with_signatures(query, mh_strbuf_str(&stored), mh_strbuf_str(&key),
			    &object, err) < 0)
		return -1;
	mh_json_add_key(query->out, query->user_id);
	mh_json_add(query->out, object);
	return 1;
}

/* --- the whole ------------------------------------------------------------------- */

enum part { DEVICES, MASTER, SELF_SIGNING, USER_SIGNING };

static int add_user(struct query *query, enum part part, struct mh_error *err)
{
	switch (part) {
	case MASTER:
		return add_identity_key(query, "master", err);
	case SELF_SIGNING:
		return add_identity_key(query, "self_signing", err);
	case USER_SIGNING:
		return query->user == query->who->user ?
			       add_identity_key(query, "user_signing", err) :
			       0;
	case DEVICES:
		break;
	}
	mh_json_add_key(query->out, query->user_id);
	mh_strbuf_addch(query->out, '{');
	if (query->user && mh_device_keys_each(query->db, query->user,
					       add_device, query, err) < 0)
		return -1;
	mh_strbuf_addch(query->out, '}');
	return 0;
}

static int add_part(struct query *query, enum part part, const json_t *users,
		    struct mh_error *err)
{
	static const char *const names[] = {
		[DEVICES] = "device_keys",
		[MASTER] = "master_keys",
		[SELF_SIGNING] = "self_signing_keys",
		[USER_SIGNING] = "user_signing_keys",
	};
	const char *user_id;
	json_t *wanted;

	mh_json_add_key(query->out, mh_str(names[part]));
	mh_strbuf_addch(query->out, '{');
	json_object_foreach ((json_t *)(uintptr_t)users, user_id, wanted) {
		query->user_id = mh_str(user_id);
		query->wanted = wanted;
		if (!mh_server_owns(query->server, query->user_id))
			continue;
		query->user = mh_name_find(query->db, query->user_id, err);
		if (query->user < 0 || add_user(query, part, err) < 0)
			return -1;
	}
	mh_strbuf_addch(query->out, '}');
	return 0;
}

/* Servers that could not be asked: those of all users that are not ours. */
static void add_failures(const struct mh_server *server, json_t *users,
			 struct mh_strbuf *out)
{
	MH_CLEANUP(json_decrefp) json_t *failures = json_object();
	const char *user_id;
	json_t *unused;

	json_object_foreach (users, user_id, unused) {
		struct mh_str domain = mh_id_domain(mh_str(user_id));

		(void)unused;
		if (domain.len && !mh_server_owns(server, mh_str(user_id)))
			json_object_set_new(failures, domain.data,
					    json_object());
	}
	mh_json_add_key(out, MH_STR("failures"));
	mh_json_add(out, failures);
}

int mh_keys_query(struct mh_server *server, struct mh_db *db,
		  const struct mh_requester *who, const json_t *body,
		  struct mh_strbuf *reply, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct query query = { .server = server, .db = db, .who = who,
			       .arena = &arena,  .out = reply };
	json_t *users, *wanted;
	const char *user_id;

	if (mh_json_need_object(body, "device_keys", &users, err) < 0)
		return -1;
	json_object_foreach (users, user_id, wanted)
		if (!json_is_array(wanted) || !mh_user_id_valid(mh_str(user_id)))
			return mh_fail(err, MH_M_INVALID_PARAM,
				       "'device_keys' maps user IDs to lists");
	mh_strbuf_addch(reply, '{');
	for (enum part part = DEVICES; part <= USER_SIGNING; part++)
		if (add_part(&query, part, users, err) < 0)
			return -1;
	add_failures(server, users, reply);
	mh_strbuf_addch(reply, '}');
	return 0;
}

/* --- POST /keys/claim -------------------------------------------------------------- */

static int claim_device(struct mh_tx *tx, mh_nid user, const char *device_id,
			struct mh_str algorithm, struct mh_strbuf *out,
			struct mh_error *err)
{
	mh_nid device = mh_name_find(mh_tx_db(tx), mh_str(device_id), err);
	MH_STRBUF(key_id);
	MH_STRBUF(json);
	int rc;

	if (device <= 0)
		return (int)device;
	rc = mh_one_time_key_claim(tx, user, device, algorithm, &key_id, &json,
				   err);
	if (rc <= 0)
		return rc;
	mh_json_add_key(out, mh_str(device_id));
	mh_strbuf_addch(out, '{');
	mh_json_add_key(out, mh_strbuf_str(&key_id));
	mh_strbuf_addstr(out, mh_strbuf_str(&json));
	mh_strbuf_addch(out, '}');
	return 1;
}

static int claim_user(struct mh_server *server, struct mh_tx *tx,
		      const char *user_id, json_t *devices,
		      struct mh_strbuf *out, struct mh_error *err)
{
	mh_nid user = mh_name_find(mh_tx_db(tx), mh_str(user_id), err);
	size_t before = out->len;
	bool any = false;
	const char *device_id;
	json_t *algorithm;

	if (user <= 0)
		return (int)user;
	mh_json_add_key(out, mh_str(user_id));
	mh_strbuf_addch(out, '{');
	json_object_foreach (devices, device_id, algorithm) {
		int rc;

		if (!json_is_string(algorithm))
			return mh_fail(err, MH_M_BAD_JSON,
				       "an algorithm must be a string");
		rc = claim_device(tx, user, device_id, mh_json_str(algorithm),
				  out, err);
		if (rc < 0)
			return -1;
		any = any || rc;
	}
	mh_strbuf_addch(out, '}');
	if (!any)
		mh_strbuf_truncate(out, before);
	else
		mh_notify_user(tx, server, user);
	return 0;
}

int mh_keys_claim(struct mh_server *server, struct mh_tx *tx,
		  const json_t *body, struct mh_strbuf *reply,
		  struct mh_error *err)
{
	const char *user_id;
	json_t *users, *devices;

	if (mh_json_need_object(body, "one_time_keys", &users, err) < 0)
		return -1;
	mh_strbuf_addlit(reply, "{\"one_time_keys\":{");
	json_object_foreach (users, user_id, devices) {
		if (!json_is_object(devices))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'one_time_keys' maps users to devices");
		if (mh_server_owns(server, mh_str(user_id)) &&
		    claim_user(server, tx, user_id, devices, reply, err) < 0)
			return -1;
	}
	mh_strbuf_addch(reply, '}');
	add_failures(server, users, reply);
	mh_strbuf_addch(reply, '}');
	return 0;
}
