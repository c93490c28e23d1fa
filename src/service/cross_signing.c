/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-signing keys and signatures (client-server API, "Cross-signing"). The
 * server checks what its own users could otherwise use to fool each other:
 * that keys belong to the uploader, that the subordinate keys are signed by the
 * master key, and that an uploaded signature is on an object the server has.
 */
#include "service/keys.h"

#include "base/arena.h"
#include "base/base64.h"
#include "core/signing.h"

struct usage {
	const char *field, *name;
};

static const struct usage usages[] = {
	{ "master_key", "master" },
	{ "self_signing_key", "self_signing" },
	{ "user_signing_key", "user_signing" },
};

/* --- keys of an upload ------------------------------------------------------ */

struct uploaded {
	json_t *json;	      /* borrowed; NULL: not in this upload */
	struct mh_str key;    /* unpadded base64 */
	struct mh_str key_id; /* "ed25519:<key>" */
};

static bool has_usage(const json_t *key, const char *name)
{
	const json_t *list = json_object_get(key, "usage"), *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (mh_str_is(mh_json_str(one), name))
			return true;
	return false;
}

static int read_key(const json_t *body, const struct usage *usage,
		    struct mh_str user_id, struct uploaded *ret,
		    struct mh_error *err)
{
	struct mh_str owner;
	json_t *keys;
	const char *name;
	int rc = mh_json_get_object(body, usage->field, &ret->json, err);

	if (rc <= 0) {
		ret->json = NULL;
		return rc;
	}
	if (mh_json_need_str(ret->json, "user_id", &owner, err) < 0 ||
	    mh_json_need_object(ret->json, "keys", &keys, err) < 0)
		return -1;
	if (!mh_str_eq(owner, user_id))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%s' is of another user", usage->field);
	if (!has_usage(ret->json, usage->name))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%s' lacks the usage '%s'", usage->field,
			       usage->name);
	name = json_object_iter_key(json_object_iter(keys));
	if (json_object_size(keys) != 1 ||
	    !mh_str_starts(mh_str(name), MH_STR("ed25519:")))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'%s' must hold one Ed25519 key", usage->field);
	ret->key_id = mh_str(name);
	ret->key = mh_json_str(json_object_get(keys, name));
	if (!mh_str_eq(mh_str_from(ret->key_id, 8), ret->key))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the ID of '%s' must be the key itself",
			       usage->field);
	return 1;
}

static int read_keys(const json_t *body, struct mh_str user_id,
		     struct uploaded *ret, struct mh_error *err)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(usages); i++)
		if (read_key(body, &usages[i], user_id, &ret[i], err) < 0)
			return -1;
	return 0;
}

int mh_cross_signing_needs_auth(struct mh_db *db, mh_nid user,
				const json_t *body, struct mh_error *err)
{
	bool has_master = false, changes = false;

	for (size_t i = 0; i < MH_ARRAY_LEN(usages); i++) {
		const json_t *json = json_object_get(body, usages[i].field);
		const json_t *keys = json_object_get(json, "keys");
		const char *name = json_object_iter_key(
			json_object_iter((json_t *)(uintptr_t)keys));
		MH_STRBUF(old);
		int rc = mh_cross_signing_get(db, user, usages[i].name, &old,
					      NULL, err);

		if (rc < 0)
			return -1;
		has_master = has_master || (rc && i == 0);
		if (name && (!rc || !mh_str_eq(mh_strbuf_str(&old),
					       mh_json_str(json_object_get(
						       keys, name)))))
			changes = true;
	}
	return has_master && changes;
}

static bool is_signed_by(const json_t *json, struct mh_str user_id,
			 struct mh_str master_key)
{
	unsigned char public_key[MH_ED25519_PUBLIC];
	MH_STRBUF(text);
	MH_STRBUF(key_id);
	MH_ERROR(err);
	size_t len;

	if (mh_canonical_json_value(json, MH_JSON_TOLERANT, &text, &err) < 0 ||
	    !mh_base64_decode(MH_BASE64_STD, master_key, public_key,
			      sizeof(public_key), &len) ||
	    len != sizeof(public_key))
		return false;
	mh_strbuf_addf(&key_id, "ed25519:%.*s", MH_STR_ARG(master_key));
	return mh_verify_json(mh_strbuf_str(&text), user_id,
			      mh_strbuf_str(&key_id), public_key);
}

static int check_not_a_device(struct mh_db *db, mh_nid user,
			      struct mh_str public_key, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, public_key, err);
	MH_STRBUF(json);
	int rc;

	if (device <= 0)
		return (int)device;
	rc = mh_device_keys_get(db, user, device, &json, err);
	if (rc > 0)
		return mh_fail(err, MH_M_FORBIDDEN,
			       "a key is also the ID of a device");
	return rc;
}

static int store_key(struct mh_tx *tx, mh_nid user, const struct usage *usage,
		     const struct uploaded *key, struct mh_error *err)
{
	MH_STRBUF(json);

	if (check_not_a_device(mh_tx_db(tx), user, key->key, err) < 0 ||
	    mh_canonical_json_value(key->json, MH_JSON_TOLERANT, &json, err) <
		    0)
		return -1;
	if (json.len > MH_DEVICE_KEYS_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "'%s' is too large",
			       usage->field);
	return mh_cross_signing_set(tx, user, usage->name, key->key,
				    mh_strbuf_str(&json), err);
}

int mh_cross_signing_upload(struct mh_server *server, struct mh_tx *tx,
			    const struct mh_requester *who, const json_t *body,
			    struct mh_error *err)
{
	struct uploaded keys[MH_ARRAY_LEN(usages)] = { 0 };
	MH_STRBUF(stored);
	struct mh_str master;
	int rc;

	if (read_keys(body, who->user_id, keys, err) < 0)
		return -1;
	rc = mh_cross_signing_get(mh_tx_db(tx), who->user, "master", &stored,
				  NULL, err);
	if (rc < 0)
		return -1;
	master = keys[0].json ? keys[0].key : mh_strbuf_str(&stored);
	if (!keys[0].json && !rc)
		return mh_fail(err, MH_M_MISSING_PARAM,
			       "there is no master key to sign by");
	for (size_t i = 1; i < MH_ARRAY_LEN(usages); i++)
		if (keys[i].json &&
		    !is_signed_by(keys[i].json, who->user_id, master))
			return mh_fail(err, MH_M_INVALID_SIGNATURE,
				       "'%s' is not signed by the master key",
				       usages[i].field);
	for (size_t i = 0; i < MH_ARRAY_LEN(usages); i++)
		if (keys[i].json &&
		    store_key(tx, who->user, &usages[i], &keys[i], err) < 0)
			return -1;
	return mh_keys_changed(server, tx, who->user, err);
}

/* --- POST /keys/signatures/upload --------------------------------------------- */

/* The object that was signed, as the server has it: 1, 0, -1. */
static int stored_object(struct mh_db *db, mh_nid user, struct mh_str target,
			 struct mh_strbuf *ret, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, target, err);
	MH_STRBUF(key);
	int rc = device > 0 ? mh_device_keys_get(db, user, device, ret, err) :
			      (int)device;

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < 2; i++) {
		mh_strbuf_clear(&key);
		mh_strbuf_clear(ret);
		rc = mh_cross_signing_get(db, user, usages[i].name, &key, ret,
					  err);
		if (rc < 0 || (rc && mh_str_eq(mh_strbuf_str(&key), target)))
			return rc;
	}
	return 0;
}

static void without(json_t *object, const char *const *names)
{
	for (; *names; names++)
		json_object_del(object, *names);
}

/* Is the upload the stored object but for its signatures? */
static bool same_object(struct mh_str stored, const json_t *uploaded)
{
	static const char *const names[] = { "signatures", "unsigned", NULL };
	MH_CLEANUP(json_decrefp) json_t *a = NULL;
	MH_CLEANUP(json_decrefp) json_t *b = json_copy(
		(json_t *)(uintptr_t)uploaded);
	MH_ERROR(err);

	if (mh_json_parse_object(stored, &a, &err) < 0)
		return false;
	without(a, names);
	without(b, names);
	return json_equal(a, b);
}

static int add_signatures(struct mh_tx *tx, const struct mh_requester *who,
			  mh_nid user, struct mh_str target,
			  const json_t *uploaded, struct mh_error *err)
{
	json_t *mine = json_object_get(
		json_object_get(uploaded, "signatures"), who->user_id.data);
	const char *key_id;
	json_t *signature;

	json_object_foreach (mine, key_id, signature)
		if (json_is_string(signature) &&
		    mh_key_signature_add(tx, user, target, who->user,
					 mh_str(key_id),
					 mh_json_str(signature), err) < 0)
			return -1;
	return 0;
}

struct upload {
	struct mh_server *server;
	struct mh_tx *tx;
	const struct mh_requester *who;
	struct mh_strbuf *failures; /* members of one user */
};

static void add_failure(struct upload *upload, const char *target,
			const char *errcode, const char *why)
{
	mh_json_add_key(upload->failures, mh_str(target));
	mh_strbuf_addf(upload->failures,
		       "{\"errcode\":\"%s\",\"error\":\"%s\"}", errcode, why);
}

static int upload_one(struct upload *upload, mh_nid user, const char *target,
		      const json_t *object, struct mh_error *err)
{
	MH_STRBUF(stored);
	int rc = user ? stored_object(mh_tx_db(upload->tx), user,
				      mh_str(target), &stored, err) :
			0;

	if (rc < 0)
		return -1;
	if (rc == 0) {
		add_failure(upload, target, "M_NOT_FOUND",
			    "there is no such key");
		return 0;
	}
	if (!same_object(mh_strbuf_str(&stored), object)) {
		add_failure(upload, target, "M_INVALID_PARAM",
			    "the object differs from the one uploaded");
		return 0;
	}
	return add_signatures(upload->tx, upload->who, user, mh_str(target),
			      object, err);
}

int mh_signatures_upload(struct mh_server *server, struct mh_tx *tx,
			 const struct mh_requester *who, const json_t *body,
			 struct mh_strbuf *reply, struct mh_error *err)
{
	MH_STRBUF(failures);
	struct upload upload = { server, tx, who, &failures };
	const char *user_id, *target;
	json_t *objects, *object;

	mh_strbuf_addlit(reply, "{\"failures\":{");
	json_object_foreach ((json_t *)(uintptr_t)body, user_id, objects) {
		mh_nid user = mh_name_find(mh_tx_db(tx), mh_str(user_id), err);

		if (user < 0)
			return -1;
		mh_strbuf_clear(&failures);
		mh_strbuf_addch(&failures, '{');
		json_object_foreach (objects, target, object)
			if (upload_one(&upload, user, target, object, err) < 0)
				return -1;
		if (user && mh_keys_changed(server, tx, user, err) < 0)
			return -1;
		if (failures.len > 1) {
			mh_json_add_key(reply, mh_str(user_id));
			mh_strbuf_addstr(reply, mh_strbuf_str(&failures));
			mh_strbuf_addch(reply, '}');
		}
	}
	mh_strbuf_addlit(reply, "}}");
	return 0;
}
