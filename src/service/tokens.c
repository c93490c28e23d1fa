/* SPDX-License-Identifier: Apache-2.0 */
#include "service/tokens.h"

#include "base/base64.h"
#include "core/canonical_json.h"
#include "store/accounts.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#define SECRET_SIZE 32
#define HMAC_SIZE 32
#define TOKEN_MAX 4096 /* bytes; ours are far shorter */

struct token_key {
	struct token_key *older;
	int64_t created_ts;
	EVP_MAC_CTX *mac; /* keyed; duplicated for each use */
	char *header;	  /* base64url text */
	size_t header_len;
};

/* Keys are only ever added, at the head: readers need no lock to walk. */
struct mh_token_keys {
	struct mh_server *server;
	EVP_MAC *hmac;
	struct token_key *_Atomic newest;
};

struct mh_token_keys *mh_token_keys_new(struct mh_server *server)
{
	struct mh_token_keys *keys = MH_NEW(struct mh_token_keys);

	keys->server = server;
	keys->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	MH_ASSERT(keys->hmac);
	return keys;
}

void mh_token_keys_free(struct mh_token_keys *keys)
{
	struct token_key *key, *older;

	if (!keys)
		return;
	for (key = keys->newest; key; key = older) {
		older = key->older;
		EVP_MAC_CTX_free(key->mac);
		free(key->header);
		free(key);
	}
	EVP_MAC_free(keys->hmac);
	free(keys);
}

static void add_key(struct mh_token_keys *keys, struct mh_str kid,
		    struct mh_str secret, int64_t created_ts)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_end(),
	};
	struct token_key *key = MH_NEW(struct token_key);
	MH_STRBUF(header);
	MH_STRBUF(encoded);

	key->mac = EVP_MAC_CTX_new(keys->hmac);
	MH_ASSERT(EVP_MAC_init(key->mac, (const unsigned char *)secret.data,
			       secret.len, params));
	mh_strbuf_addlit(&header, "{\"alg\":\"HS256\",\"kid\":");
	mh_json_add_str(&header, kid);
	mh_strbuf_addlit(&header, ",\"typ\":\"JWT\"}");
	mh_base64_encode(MH_BASE64_URL, header.data, header.len, &encoded);
	key->header = mh_strbuf_detach(&encoded, &key->header_len);
	key->created_ts = created_ts;
	key->older = keys->newest;
	keys->newest = key;
}

static int load_key(void *context, struct mh_str kid, struct mh_str secret,
		    int64_t created_ts, struct mh_error *err MH_UNUSED)
{
	add_key(context, kid, secret, created_ts);
	return 1;
}

int mh_token_keys_load(struct mh_token_keys *keys, struct mh_db *db,
		       struct mh_error *err)
{
	return mh_token_key_each(db, load_key, keys, err);
}

struct new_key {
	struct mh_token_keys *keys;
	int64_t created_ts;
	char kid[9];
	unsigned char secret[SECRET_SIZE];
};

static void after_new_key(void *context)
{
	struct new_key *key = context;

	add_key(key->keys, mh_str(key->kid),
		mh_str_n((const char *)key->secret, SECRET_SIZE),
		key->created_ts);
	sodium_memzero(key->secret, SECRET_SIZE);
}

int mh_token_keys_rotate(struct mh_token_keys *keys, struct mh_tx *tx,
			 struct mh_error *err)
{
	int64_t now = mh_clock_wall(keys->server->clock);
	int64_t period = keys->server->settings->auth.key_rotation;
	const struct token_key *newest = keys->newest;
	struct new_key *key;

	if (newest && (period == 0 || now - newest->created_ts < period))
		return 0;
	key = mh_tx_alloc(tx, sizeof(*key));
	key->keys = keys;
	key->created_ts = now;
	mh_random_letters(keys->server->random, key->kid, 8);
	mh_random_bytes(keys->server->random, key->secret, SECRET_SIZE);
	mh_tx_after(tx, after_new_key, NULL, key);
	return mh_token_key_add(tx, mh_str(key->kid),
				mh_str_n((const char *)key->secret,
					 SECRET_SIZE),
				now, err);
}

static void sign(const struct token_key *key, struct mh_str text,
		 unsigned char out[HMAC_SIZE])
{
	EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(key->mac);
	size_t len = 0;

	MH_ASSERT(mac);
	MH_ASSERT(EVP_MAC_update(mac, (const unsigned char *)text.data,
				 text.len));
	MH_ASSERT(EVP_MAC_final(mac, out, &len, HMAC_SIZE) && len == HMAC_SIZE);
	EVP_MAC_CTX_free(mac);
}

static void add_claims(const struct mh_token_keys *keys, const char *use,
		       const struct mh_token_claims *claims,
		       int64_t lifetime_ms, struct mh_strbuf *out)
{
	int64_t now = mh_clock_wall(keys->server->clock);

	/* Sorted and compact, so that it reads back as canonical JSON. */
	mh_strbuf_addlit(out, "{\"aud\":");
	mh_json_add_str(out, keys->server->name);
	if (lifetime_ms) {
		mh_json_add_key(out, MH_STR("exp"));
		mh_strbuf_addint(out, (now + lifetime_ms + 999) / 1000);
	}
	mh_json_add_key(out, MH_STR("iat"));
	mh_strbuf_addint(out, now / 1000);
	mh_json_add_key(out, MH_STR("ser"));
	mh_strbuf_addint(out, claims->serial);
	mh_json_add_key(out, MH_STR("sid"));
	mh_strbuf_addint(out, claims->session);
	mh_json_add_key(out, MH_STR("sub"));
	mh_json_add_str(out, claims->subject);
	mh_json_add_key(out, MH_STR("use"));
	mh_json_add_str(out, mh_str(use));
	mh_strbuf_addch(out, '}');
}

void mh_token_sign(struct mh_token_keys *keys, const char *use,
		   const struct mh_token_claims *claims, int64_t lifetime_ms,
		   struct mh_strbuf *out)
{
	const struct token_key *key = keys->newest;
	unsigned char mac[HMAC_SIZE];
	size_t from = out->len;
	MH_STRBUF(json);

	MH_ASSERT(key);
	add_claims(keys, use, claims, lifetime_ms, &json);
	mh_strbuf_add(out, key->header, key->header_len);
	mh_strbuf_addch(out, '.');
	mh_base64_encode(MH_BASE64_URL, json.data, json.len, out);
	sign(key, mh_str_n(out->data + from, out->len - from), mac);
	mh_strbuf_addch(out, '.');
	mh_base64_encode(MH_BASE64_URL, mac, sizeof(mac), out);
}

static const struct token_key *find_key(const struct mh_token_keys *keys,
					struct mh_str header)
{
	const struct token_key *key;

	for (key = keys->newest; key; key = key->older)
		if (mh_str_eq(header, mh_str_n(key->header, key->header_len)))
			break;
	return key;
}

/* The claims of a token whose signature is good, decoded into `storage`. */
static bool verified_claims(const struct mh_token_keys *keys,
			    struct mh_str token, struct mh_strbuf *storage)
{
	unsigned char told[HMAC_SIZE], is[HMAC_SIZE];
	const struct token_key *key;
	struct mh_str claims, mac;
	ptrdiff_t dot = mh_str_find(token, '.');
	size_t len, signed_len;

	if (token.len > TOKEN_MAX || dot < 0)
		return false;
	key = find_key(keys, mh_str_first(token, (size_t)dot));
	claims = mh_str_from(token, (size_t)dot + 1);
	if (!key)
		return false;
	dot = mh_str_find(claims, '.');
	if (dot < 0)
		return false;
	mac = mh_str_from(claims, (size_t)dot + 1);
	claims = mh_str_first(claims, (size_t)dot);
	signed_len = (size_t)(claims.data + claims.len - token.data);
	if (!mh_base64_decode(MH_BASE64_URL, mac, told, sizeof(told), &len) ||
	    len != sizeof(told))
		return false;
	sign(key, mh_str_first(token, signed_len), is);
	if (sodium_memcmp(told, is, sizeof(is)) != 0)
		return false;
	mh_strbuf_reserve(storage, claims.len);
	if (!mh_base64_decode(MH_BASE64_URL, claims, storage->data, claims.len,
			      &storage->len))
		return false;
	storage->data[storage->len] = '\0';
	return true;
}

static bool is_string(struct mh_str raw, struct mh_str expected)
{
	return raw.len == expected.len + 2 &&
	       mh_str_eq(mh_str_n(raw.data + 1, expected.len), expected);
}

bool mh_token_verify(struct mh_token_keys *keys, const char *use,
		     struct mh_str token, struct mh_strbuf *storage,
		     struct mh_token_claims *ret)
{
	int64_t now = mh_clock_wall(keys->server->clock), exp = 0;
	struct mh_str json, raw_exp, subject;

	*ret = (struct mh_token_claims){ 0 };
	if (!verified_claims(keys, token, storage))
		return false;
	json = mh_strbuf_str(storage);
	if (!is_string(mh_json_slice(json, "aud"), keys->server->name) ||
	    !is_string(mh_json_slice(json, "use"), mh_str(use)) ||
	    !mh_json_slice_int(mh_json_slice(json, "sid"), &ret->session) ||
	    !mh_json_slice_int(mh_json_slice(json, "ser"), &ret->serial))
		return false;
	subject = mh_json_slice(json, "sub");
	if (subject.len < 2)
		return false;
	ret->subject = mh_str_n(subject.data + 1, subject.len - 2);
	raw_exp = mh_json_slice(json, "exp");
	if (raw_exp.data && !mh_json_slice_int(raw_exp, &exp))
		return false;
	ret->expired = raw_exp.data && now >= exp * 1000;
	return true;
}
