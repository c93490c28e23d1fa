/* SPDX-License-Identifier: Apache-2.0 */
#include "core/signing.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdatomic.h>

/* --- SHA-256 -------------------------------------------------------------- */

static EVP_MD *_Atomic fetched;

/*
 * Fetching the algorithm costs more than hashing an event, so it is done once;
 * of threads that come first together all but one give theirs back.
 */
static const EVP_MD *sha256(void)
{
	EVP_MD *md = fetched, *none = NULL;

	if (md)
		return md;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	MH_ASSERT(md);
	if (atomic_compare_exchange_strong(&fetched, &none, md))
		return md;
	EVP_MD_free(md);
	return none;
}

void mh_sha256(struct mh_str data, unsigned char out[MH_SHA256])
{
	unsigned len = 0;

	MH_ASSERT(EVP_Digest(data.data, data.len, out, &len, sha256(), NULL));
	MH_ASSERT(len == MH_SHA256);
}

/* --- keys ----------------------------------------------------------------- */

void mh_signer_init(struct mh_signer *signer, struct mh_str server_name,
		    struct mh_str key_id,
		    const unsigned char seed[MH_ED25519_SEED])
{
	MH_ASSERT(sodium_init() >= 0);
	signer->server_name = server_name;
	signer->key_id = key_id;
	crypto_sign_seed_keypair(signer->public_key, signer->secret, seed);
}

void mh_signer_release(struct mh_signer *signer)
{
	sodium_memzero(signer->secret, sizeof(signer->secret));
}

/* --- JSON ------------------------------------------------------------------ */

/* Appends the members of `json` that are not in the NULL-terminated list. */
static void add_without(struct mh_str json, const char *const *names,
			struct mh_strbuf *out)
{
	struct mh_json_iter it;

	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, json); mh_json_iter_next(&it);) {
		bool skip = false;

		for (const char *const *name = names; *name; name++)
			skip = skip || mh_str_is(it.key, *name);
		if (skip)
			continue;
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	mh_strbuf_addch(out, '}');
}

static const char *const unsigned_parts[] = { "signatures", "unsigned", NULL };

/*
 * Appends the signatures object with one more signature. Names of servers and
 * keys need no escapes, and what they are compared with is canonical.
 */
static void add_signatures(const struct mh_signer *signer, struct mh_str old,
			   const unsigned char *signature,
			   struct mh_strbuf *out)
{
	MH_STRBUF(mine);
	struct mh_str ours = MH_STR_NONE;
	struct mh_json_iter it;

	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, old); mh_json_iter_next(&it);) {
		if (mh_str_eq(it.key, signer->server_name)) {
			ours = it.value;
			continue;
		}
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	mh_json_add_key(out, signer->server_name);
	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, ours); mh_json_iter_next(&it);) {
		if (mh_str_eq(it.key, signer->key_id))
			continue;
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	mh_json_add_key(out, signer->key_id);
	mh_strbuf_addch(out, '"');
	mh_base64_encode(MH_BASE64_STD, signature, MH_ED25519_SIGNATURE, out);
	mh_strbuf_addlit(out, "\"}}");
}

/* The canonical object `json` with its "signatures" replaced. */
static int put_signatures(struct mh_str json, struct mh_str signatures,
			  struct mh_strbuf *out, struct mh_error *err)
{
	static const char *const names[] = { "signatures", NULL };
	MH_STRBUF(text);

	add_without(json, names, &text);
	mh_strbuf_truncate(&text, text.len - 1);
	mh_json_add_key(&text, MH_STR("signatures"));
	mh_strbuf_addstr(&text, signatures);
	mh_strbuf_addch(&text, '}');
	/* Sorts the new member, and those of the signatures, into place. */
	return mh_canonical_json(mh_strbuf_str(&text), MH_JSON_TOLERANT, out,
				 err);
}

/* Signs `payload`, and gives `json` with that signature. */
static int sign_as(const struct mh_signer *signer, struct mh_str payload,
		   struct mh_str json, struct mh_strbuf *out,
		   struct mh_error *err)
{
	unsigned char signature[MH_ED25519_SIGNATURE];
	MH_STRBUF(signatures);

	crypto_sign_detached(signature, NULL,
			     (const unsigned char *)payload.data, payload.len,
			     signer->secret);
	add_signatures(signer, mh_json_slice(json, "signatures"), signature,
		       &signatures);
	return put_signatures(json, mh_strbuf_str(&signatures), out, err);
}

int mh_sign_json(const struct mh_signer *signer, struct mh_str json,
		 struct mh_strbuf *out, struct mh_error *err)
{
	MH_STRBUF(payload);

	add_without(json, unsigned_parts, &payload);
	return sign_as(signer, mh_strbuf_str(&payload), json, out, err);
}

/* Reads signatures.<entity>.<key_id>. */
static bool find_signature(struct mh_str json, struct mh_str entity,
			   struct mh_str key_id,
			   unsigned char signature[MH_ED25519_SIGNATURE])
{
	struct mh_str of_entity = MH_STR_NONE;
	struct mh_json_iter it;
	size_t len;

	mh_json_iter_init(&it, mh_json_slice(json, "signatures"));
	while (mh_json_iter_next(&it))
		if (it.is_object && mh_str_eq(it.key, entity))
			of_entity = it.value;
	for (mh_json_iter_init(&it, of_entity); mh_json_iter_next(&it);) {
		if (!it.is_object || !mh_str_eq(it.key, key_id))
			continue;
		if (it.value.len < 2 || it.value.data[0] != '"')
			return false;
		return mh_base64_decode(
			       MH_BASE64_STD,
			       mh_str_n(it.value.data + 1, it.value.len - 2),
			       signature, MH_ED25519_SIGNATURE, &len) &&
		       len == MH_ED25519_SIGNATURE;
	}
	return false;
}

bool mh_verify_json(struct mh_str json, struct mh_str entity,
		    struct mh_str key_id,
		    const unsigned char public_key[MH_ED25519_PUBLIC])
{
	unsigned char signature[MH_ED25519_SIGNATURE];
	MH_STRBUF(payload);

	MH_ASSERT(sodium_init() >= 0); /* a verifier may have no signer */
	if (!find_signature(json, entity, key_id, signature))
		return false;
	add_without(json, unsigned_parts, &payload);
	return crypto_sign_verify_detached(
		       signature, (const unsigned char *)payload.data,
		       payload.len, public_key) == 0;
}

/* --- events ---------------------------------------------------------------- */

void mh_event_content_hash(struct mh_str json, unsigned char out[MH_SHA256])
{
	static const char *const names[] = { "hashes", "signatures", "unsigned",
					     NULL };
	MH_STRBUF(payload);

	add_without(json, names, &payload);
	mh_sha256(mh_strbuf_str(&payload), out);
}

/* What a signature and the reference hash are over. */
static void redacted_payload(const struct mh_room_rules *rules,
			     struct mh_str json, struct mh_strbuf *out)
{
	MH_STRBUF(redacted);

	mh_event_redact_json(rules, json, &redacted);
	add_without(mh_strbuf_str(&redacted), unsigned_parts, out);
}

void mh_event_reference_hash(const struct mh_room_rules *rules,
			     struct mh_str json, unsigned char out[MH_SHA256])
{
	MH_STRBUF(payload);

	redacted_payload(rules, json, &payload);
	mh_sha256(mh_strbuf_str(&payload), out);
}

int mh_event_sign(const struct mh_room_rules *rules,
		  const struct mh_signer *signer, struct mh_str json,
		  struct mh_strbuf *out, struct mh_error *err)
{
	MH_STRBUF(payload);

	redacted_payload(rules, json, &payload);
	return sign_as(signer, mh_strbuf_str(&payload), json, out, err);
}

bool mh_event_verify(const struct mh_event *event, struct mh_str server_name,
		     struct mh_str key_id,
		     const unsigned char public_key[MH_ED25519_PUBLIC])
{
	MH_STRBUF(redacted);

	mh_event_redact_json(event->rules, event->json, &redacted);
	return mh_verify_json(mh_strbuf_str(&redacted), server_name, key_id,
			      public_key);
}
