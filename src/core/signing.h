/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes and signatures of events and of JSON objects (server-server API,
 * "Signing events"; appendices, "Signing JSON"). Ed25519 by libsodium, SHA-256
 * by OpenSSL. Pure: keys come in as bytes.
 */
#pragma once

#include "core/event.h"

#define MH_ED25519_PUBLIC 32
#define MH_ED25519_SEED 32
#define MH_ED25519_SIGNATURE 64
#define MH_SHA256 32

struct mh_signer {
	struct mh_str server_name; /* borrowed */
	struct mh_str key_id;	   /* "ed25519:a1"; borrowed */
	unsigned char secret[64];  /* libsodium's form */
	unsigned char public_key[MH_ED25519_PUBLIC];
};

/* Makes the key pair of `seed`; the names are borrowed. */
void mh_signer_init(struct mh_signer *signer, struct mh_str server_name,
		    struct mh_str key_id,
		    const unsigned char seed[MH_ED25519_SEED]);
void mh_signer_release(struct mh_signer *signer); /* wipes the secret */

void mh_sha256(struct mh_str data, unsigned char out[MH_SHA256]);

/*
 * Appends the canonical JSON object `json` with this server's signature added
 * to "signatures" (which, with "unsigned", is not covered by it).
 */
int mh_sign_json(const struct mh_signer *signer, struct mh_str json,
		 struct mh_strbuf *out, struct mh_error *err);
/*
 * True when `json` (canonical) holds a valid signature of `entity` by `key_id`
 * with this public key.
 */
bool mh_verify_json(struct mh_str json, struct mh_str entity,
		    struct mh_str key_id,
		    const unsigned char public_key[MH_ED25519_PUBLIC]);

/* The event's content hash (over the PDU without unsigned, signatures, hashes). */
void mh_event_content_hash(struct mh_str json, unsigned char out[MH_SHA256]);
/* The reference hash, of the redacted PDU without signatures and unsigned. */
void mh_event_reference_hash(const struct mh_room_rules *rules,
			     struct mh_str json, unsigned char out[MH_SHA256]);
/*
 * Appends the canonical PDU `json`, hashes included, with this server's
 * signature ("Signing events").
 */
int mh_event_sign(const struct mh_room_rules *rules,
		  const struct mh_signer *signer, struct mh_str json,
		  struct mh_strbuf *out, struct mh_error *err);
/* Is the PDU (redacted, as the spec says) signed by this server's key? */
bool mh_event_verify(const struct mh_event *event, struct mh_str server_name,
		     struct mh_str key_id,
		     const unsigned char public_key[MH_ED25519_PUBLIC]);
