/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration by a secret that a deployment tool shares with the node. Not of
 * the spec: it is the form of Synapse's, which the tools know. A nonce is asked
 * for first, is good once and for a minute; nonces are kept as short tokens.
 */
#include "client/new_session.h"

#include "base/base64.h"
#include "service/passwords.h"
#include "service/users.h"
#include "store/short_tokens.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define NONCE_LETTERS 40
#define NONCE_LIFETIME_MS 60000
#define MAC_SIZE 20

struct creation {
	struct mh_str nonce, user_id, password, hash;
	struct new_session session;
	bool admin;
};

static int check_enabled(const struct mh_request *req, struct mh_error *err)
{
	if (!req->server->settings->registration.shared_secret[0])
		return mh_fail_status(err, 400, MH_M_UNKNOWN,
				      "shared secret registration is not "
				      "enabled");
	return 0;
}

static int store_nonce(struct mh_tx *tx, struct mh_request *req,
		       void *arg MH_UNUSED, struct mh_error *err)
{
	int64_t now = mh_clock_wall(req->server->clock);
	char nonce[NONCE_LETTERS + 1];
	MH_STRBUF(body);

	mh_random_letters(req->server->random, nonce, NONCE_LETTERS);
	if (mh_short_token_add(tx, "nonce", mh_str(nonce), 0,
			       now + NONCE_LIFETIME_MS, now, err) < 0)
		return -1;
	mh_strbuf_addf(&body, "{\"nonce\":\"%s\"}", nonce);
	return mh_reply_buf(req, &body);
}

int client_shared_secret_nonce(struct mh_request *req, struct mh_error *err)
{
	if (check_enabled(req, err) < 0)
		return -1;
	return mh_request_write(req, store_nonce, NULL);
}

static int create(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	struct creation *creation = arg;
	mh_nid user;
	MH_STRBUF(body);

	if (mh_user_create(req->server, tx, creation->user_id, creation->hash,
			   creation->admin, &user, err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "{\"home_server\":");
	mh_json_add_str(&body, req->server->name);
	mh_strbuf_addlit(&body, ",\"user_id\":");
	mh_json_add_str(&body, creation->user_id);
	if (new_session_open(tx, req, creation->user_id, &creation->session,
			     &body, err) < 0)
		return -1;
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

static int hashed(struct mh_request *req, struct mh_str hash, void *context,
		  struct mh_error *err MH_UNUSED)
{
	struct creation *creation = context;

	creation->hash = hash;
	return mh_request_write(req, create, creation);
}

/* HMAC-SHA1 of nonce, user, password and admin, with a NUL between each. */
static int check_mac(struct mh_request *req, const struct creation *creation,
		     struct mh_str username, struct mh_str user_type,
		     struct mh_str mac, struct mh_error *err)
{
	struct mh_str secret =
		mh_str(req->server->settings->registration.shared_secret);
	unsigned char wanted[EVP_MAX_MD_SIZE], given[MAC_SIZE];
	unsigned len;
	MH_STRBUF(text);

	mh_strbuf_addstr(&text, creation->nonce);
	mh_strbuf_addch(&text, '\0');
	mh_strbuf_addstr(&text, username);
	mh_strbuf_addch(&text, '\0');
	mh_strbuf_addstr(&text, creation->password);
	mh_strbuf_addch(&text, '\0');
	mh_strbuf_addstr(&text, creation->admin ? MH_STR("admin") :
						  MH_STR("notadmin"));
	if (user_type.data) {
		mh_strbuf_addch(&text, '\0');
		mh_strbuf_addstr(&text, user_type);
	}
	if (!HMAC(EVP_sha1(), secret.data, (int)secret.len,
		  (const unsigned char *)text.data, text.len, wanted, &len))
		return mh_fail_internal(err, "HMAC-SHA1 fails");
	if (!mh_hex_decode(mac, given, sizeof(given)) ||
	    !mh_str_eq_secret(mh_str_n((char *)wanted, len),
			      mh_str_n((char *)given, sizeof(given))))
		return mh_fail(err, MH_M_FORBIDDEN, "the HMAC is wrong");
	return 0;
}

static int parse(struct mh_request *req, struct creation *creation,
		 struct mh_error *err)
{
	struct mh_str username, mac, user_type = MH_STR_NONE;
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_need_str(body, "nonce", &creation->nonce, err) < 0 ||
	    mh_json_need_str(body, "username", &username, err) < 0 ||
	    mh_json_need_str(body, "password", &creation->password, err) < 0 ||
	    mh_json_need_str(body, "mac", &mac, err) < 0 ||
	    mh_json_get_str(body, "user_type", &user_type, err) < 0 ||
	    mh_json_get_bool(body, "admin", &creation->admin, err) < 0 ||
	    new_session_parse(body, &creation->session, err) < 0 ||
	    mh_user_id_of(req->server, username, &req->arena,
			  &creation->user_id, err) < 0)
		return -1;
	return check_mac(req, creation, username, user_type, mac, err);
}

/* After the nonce is spent. */
static int go_on(struct mh_request *req, struct mh_error *err)
{
	struct creation *creation = MH_ARENA_NEW(&req->arena, struct creation);

	if (parse(req, creation, err) < 0 ||
	    mh_user_available(mh_request_db(req), creation->user_id, err) < 0)
		return -1;
	return mh_password_hash(req, creation->password, hashed, creation, err);
}

/* The nonce is good once, whatever comes after. */
static int spend_nonce(struct mh_tx *tx, struct mh_request *req, void *arg,
		       struct mh_error *err)
{
	const struct creation *creation = arg;
	mh_nid nobody;
	int rc = mh_short_token_take(tx, "nonce", creation->nonce,
				     mh_clock_wall(req->server->clock), &nobody,
				     err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail_status(err, 400, MH_M_UNKNOWN,
				      "the nonce is unknown or too old");
	mh_request_resume(req, go_on);
	return 0;
}

int client_shared_secret_register(struct mh_request *req, struct mh_error *err)
{
	struct creation *creation = MH_ARENA_NEW(&req->arena, struct creation);

	if (check_enabled(req, err) < 0 || parse(req, creation, err) < 0)
		return -1;
	return mh_request_write(req, spend_nonce, creation);
}
