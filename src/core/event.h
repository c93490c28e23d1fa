/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct mh_event: a PDU. Immutable once built, atomically ref-counted, keeps
 * its canonical bytes; it is what crosses threads. Every other field is a slice
 * of those bytes or was decoded once from them.
 *
 * Three ways to get one:
 *	mh_event_parse()  foreign bytes -> format checks -> event
 *	mh_event_load()	  bytes that this node stored (trusted, no checks)
 *	mh_event_build()  a draft of this node -> hashes, signature, event ID
 *
 * What the node knows *about* an event (stream position, state before it,
 * rejected, soft-failed) is not here but in the store's struct mh_event_row.
 */
#pragma once

#include "core/ids.h"
#include "core/room_version.h"

#define MH_EVENT_MAX_SIZE 65536
#define MH_EVENT_MAX_PREV 20
#define MH_EVENT_MAX_AUTH 10

struct mh_event {
	unsigned refs; /* atomic; private */
	const struct mh_room_rules *rules;

	struct mh_str json; /* canonical bytes; `unsigned` is never kept */
	struct mh_str event_id;
	struct mh_str room_id; /* for the v12 create event: derived, not in json */
	struct mh_str sender;
	struct mh_str type;
	struct mh_str state_key; /* data NULL: not a state event */
	struct mh_str redacts;	 /* of m.room.redaction, wherever the version
				  * keeps it; data NULL: none */
	struct mh_str content;	 /* raw canonical JSON object */
	int64_t depth;
	int64_t origin_server_ts; /* milliseconds */
	size_t n_prev_events, n_auth_events;
	const struct mh_str *prev_events; /* event IDs */
	const struct mh_str *auth_events; /* event IDs; without the create
					   * event in version 12 */
	struct mh_str membership; /* content.membership of m.room.member */
	bool redacted_by_hash; /* parse only: the content hash did not match and
				* the bytes here are the redacted form */
};

static inline bool mh_event_is_state(const struct mh_event *event)
{
	return event->state_key.data != NULL;
}

/* mh_event_is(event, "m.room.power_levels", "") ; NULL key: any or none. */
bool mh_event_is(const struct mh_event *event, const char *type,
		 const char *state_key);

struct mh_event *mh_event_ref(struct mh_event *event);
void mh_event_unref(struct mh_event *event); /* takes NULL */
MH_DEFINE_CLEANUP(struct mh_event *, mh_event_unref)

/*
 * Foreign bytes to an event (server-server API, "Checks performed on receipt of
 * a PDU", step 1 and 3): valid canonical JSON, the fields of the version's
 * event format with their types and limits (65,536 bytes in all, 255 for IDs,
 * 20 prev and 10 auth events), and the content hash; on a mismatch of the hash
 * the event is redacted and `redacted_by_hash` set. Signatures are checked
 * apart (signing.h). M_BAD_JSON, M_TOO_LARGE, M_NOT_JSON.
 */
int mh_event_parse(const struct mh_room_rules *rules, struct mh_str bytes,
		   struct mh_event **ret_event, struct mh_error *err);

/* Bytes of the store. `event_id` is copied. Fails only for damaged bytes. */
int mh_event_load(const struct mh_room_rules *rules, struct mh_str event_id,
		  struct mh_str bytes, struct mh_event **ret_event,
		  struct mh_error *err);

struct mh_signer; /* signing.h */

struct mh_event_draft {
	const struct mh_room_rules *rules;
	struct mh_str room_id; /* empty for the v12 create event */
	struct mh_str sender;
	struct mh_str type;
	struct mh_str state_key; /* data NULL: not a state event */
	struct mh_str content;	 /* JSON object; need not be canonical */
	struct mh_str redacts;	 /* empty: none; put where the version wants */
	int64_t depth;
	int64_t origin_server_ts;
	const struct mh_str *prev_events, *auth_events;
	size_t n_prev_events, n_auth_events;
	struct mh_str event_id; /* v1 and v2 only: the chosen ID */
};

/* Fills in hashes and signature. M_BAD_JSON, M_TOO_LARGE. */
int mh_event_build(const struct mh_event_draft *draft,
		   const struct mh_signer *signer, struct mh_event **ret_event,
		   struct mh_error *err);

/* The redacted form as a new event with the same ID ("Redactions"). */
struct mh_event *mh_event_redact(const struct mh_event *event);
/* Appends the redacted form of a canonical PDU. */
void mh_event_redact_json(const struct mh_room_rules *rules, struct mh_str json,
			  struct mh_strbuf *out);

/*
 * Appends what clients get (client-server API, "Room event format"), without
 * the closing brace, so that the caller adds `unsigned` and closes:
 * {"content":..,"event_id":..,"origin_server_ts":..,"room_id":..,...
 * `with_room_id` is false inside /sync. For versions 1-10 `redacts` stays
 * top-level; for 11+ it is given both in content and at the top level.
 */
void mh_event_client_json_open(const struct mh_event *event, bool with_room_id,
			       struct mh_strbuf *out);
/* Stripped state: type, state_key, sender, content (closed). */
void mh_event_stripped_json(const struct mh_event *event, struct mh_strbuf *out);

/* The room ID that a version 12 create event makes ("!" + hash). */
void mh_event_create_room_id(struct mh_str create_event_id,
			     struct mh_strbuf *out);
