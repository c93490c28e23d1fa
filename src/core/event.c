/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event is one allocation: the struct, the arrays of event IDs, the canonical
 * bytes, and what had to be decoded from them. A first walk over the top-level
 * members finds the raw slices of the fields; then the fields are taken from
 * the slices, decoded only where they hold escapes.
 */
#include "core/event.h"

#include "base/base64.h"
#include "core/signing.h"

#include <stdlib.h>

/* The largest depth: canonical JSON's from version 6 on, a 64-bit one before. */
#define MAX_DEPTH_STRICT INT64_C(9007199254740991)

/* The raw values of the members that matter; data NULL when absent. */
struct raw_event {
	struct mh_str auth_events, content, depth, event_id, hashes,
		origin_server_ts, prev_events, redacts, room_id, sender,
		signatures, state_key, type;
	bool has_unsigned;
};

static void find_raw(struct mh_str json, struct raw_event *raw)
{
	const struct {
		const char *name;
		struct mh_str *slot;
	} fields[] = {
		{ "auth_events", &raw->auth_events },
		{ "content", &raw->content },
		{ "depth", &raw->depth },
		{ "event_id", &raw->event_id },
		{ "hashes", &raw->hashes },
		{ "origin_server_ts", &raw->origin_server_ts },
		{ "prev_events", &raw->prev_events },
		{ "redacts", &raw->redacts },
		{ "room_id", &raw->room_id },
		{ "sender", &raw->sender },
		{ "signatures", &raw->signatures },
		{ "state_key", &raw->state_key },
		{ "type", &raw->type },
	};
	struct mh_json_iter it;
	size_t next = 0;

	*raw = (struct raw_event){ 0 };
	/* Both the members and the table are sorted: one merge. */
	for (mh_json_iter_init(&it, json); mh_json_iter_next(&it);) {
		if (mh_str_is(it.key, "unsigned"))
			raw->has_unsigned = true;
		while (next < MH_ARRAY_LEN(fields) &&
		       mh_str_cmp(mh_str(fields[next].name), it.key) < 0)
			next++;
		if (next < MH_ARRAY_LEN(fields) &&
		    mh_str_is(it.key, fields[next].name))
			*fields[next].slot = it.value;
	}
}

bool mh_event_is(const struct mh_event *event, const char *type,
		 const char *state_key)
{
	return mh_str_is(event->type, type) &&
	       (!state_key || (mh_event_is_state(event) &&
			       mh_str_is(event->state_key, state_key)));
}

struct mh_event *mh_event_ref(struct mh_event *event)
{
	__atomic_add_fetch(&event->refs, 1, __ATOMIC_RELAXED);
	return event;
}

void mh_event_unref(struct mh_event *event)
{
	if (event && __atomic_sub_fetch(&event->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(event);
}

/* --- building the struct --------------------------------------------------- */

/* Room behind the struct for what is copied or decoded. */
struct block {
	char *at;
};

static struct mh_str put(struct block *block, struct mh_str s)
{
	struct mh_str copy = { block->at, s.len };

	if (s.len)
		memcpy(block->at, s.data, s.len);
	block->at += s.len;
	*block->at++ = '\0';
	return copy;
}

/* The decoded text of a raw string; data NULL when it is no string. */
static struct mh_str take_string(struct block *block, struct mh_str raw)
{
	struct mh_str text;
	MH_STRBUF(decoded);

	if (raw.len < 2 || raw.data[0] != '"')
		return MH_STR_NONE;
	text = mh_str_n(raw.data + 1, raw.len - 2);
	if (mh_str_find(text, '\\') < 0)
		return text;
	if (!mh_json_unescape(raw, &decoded))
		return MH_STR_NONE;
	return put(block, mh_strbuf_str(&decoded));
}

static size_t count_elements(struct mh_str array)
{
	struct mh_json_iter it;
	size_t n = 0;

	for (mh_json_iter_init(&it, array); mh_json_iter_next(&it);)
		n++;
	return n;
}

/* An element is an event ID, or in versions 1 and 2 a pair [ID, hashes]. */
static struct mh_str reference_id(struct block *block, struct mh_str raw)
{
	struct mh_json_iter it;

	if (raw.len && raw.data[0] == '[') {
		mh_json_iter_init(&it, raw);
		if (!mh_json_iter_next(&it))
			return MH_STR_NONE;
		raw = it.value;
	}
	return take_string(block, raw);
}

static size_t take_references(struct block *block, struct mh_str array,
			      struct mh_str *out)
{
	struct mh_json_iter it;
	size_t n = 0;

	for (mh_json_iter_init(&it, array); mh_json_iter_next(&it);)
		out[n++] = reference_id(block, it.value);
	return n;
}

static bool is_create(const struct mh_event *event)
{
	return mh_event_is(event, "m.room.create", "");
}

static void take_fields(struct mh_event *event, struct block *block,
			const struct raw_event *raw, struct mh_str event_id,
			struct mh_str *ids)
{
	struct mh_str own_id;

	event->sender = take_string(block, raw->sender);
	event->type = take_string(block, raw->type);
	event->state_key = take_string(block, raw->state_key);
	event->room_id = take_string(block, raw->room_id);
	event->content = raw->content;
	event->prev_events = ids;
	event->n_prev_events = take_references(block, raw->prev_events, ids);
	ids += event->n_prev_events;
	event->auth_events = ids;
	event->n_auth_events = take_references(block, raw->auth_events, ids);
	mh_json_slice_int(raw->depth, &event->depth);
	mh_json_slice_int(raw->origin_server_ts, &event->origin_server_ts);

	own_id = event_id.data ? event_id : take_string(block, raw->event_id);
	event->event_id = put(block, own_id);
	if (event->rules->room_id_is_create && is_create(event)) {
		event->room_id = put(block, event->event_id);
		if (event->room_id.len)
			((char *)(uintptr_t)event->room_id.data)[0] = '!';
	}
	if (mh_str_is(event->type, "m.room.redaction"))
		event->redacts = take_string(
			block, event->rules->redacts_in_content ?
				       mh_json_slice(event->content, "redacts") :
				       raw->redacts);
	if (mh_str_is(event->type, "m.room.member"))
		event->membership = take_string(
			block, mh_json_slice(event->content, "membership"));
}

/*
 * `json` is canonical. `event_id`: known, or data NULL to take it from the
 * bytes (versions 1 and 2).
 */
static struct mh_event *make_event(const struct mh_room_rules *rules,
				   struct mh_str event_id, struct mh_str json)
{
	struct raw_event raw;
	struct mh_event *event;
	struct block block;
	struct mh_str *ids;
	size_t n_ids, size;

	find_raw(json, &raw);
	n_ids = count_elements(raw.prev_events) +
		count_elements(raw.auth_events);
	/*
	 * Decoded text is never longer than its source. The event ID (at most
	 * json.len or given) may be copied twice: as ID and as room ID.
	 */
	size = sizeof(*event) + n_ids * sizeof(*ids) + json.len + 1 +
	       2 * (event_id.len + MH_ID_MAX + 2) + n_ids + 8;
	if (mh_str_find(json, '\\') >= 0 || !event_id.data)
		size += 2 * json.len;
	event = mh_alloc0(size);
	event->refs = 1;
	event->rules = rules;
	ids = (struct mh_str *)(void *)(event + 1);
	block.at = (char *)(ids + n_ids);
	event->json = put(&block, json);
	find_raw(event->json, &raw); /* the slices of our own copy */
	take_fields(event, &block, &raw, event_id, ids);
	return event;
}

int mh_event_load(const struct mh_room_rules *rules, struct mh_str event_id,
		  struct mh_str bytes, struct mh_event **ret_event,
		  struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event =
		make_event(rules, event_id, bytes);

	if (!event->type.data || !event->sender.data || !event->content.data)
		return mh_fail_internal(err, "stored event '%.*s' is damaged",
					MH_STR_ARG(event_id));
	*ret_event = MH_TAKE(event);
	return 0;
}

/* --- event IDs -------------------------------------------------------------- */

static void hashed_event_id(const struct mh_room_rules *rules,
			    struct mh_str json, struct mh_strbuf *out)
{
	unsigned char hash[MH_SHA256];

	mh_event_reference_hash(rules, json, hash);
	mh_strbuf_addch(out, '$');
	mh_base64_encode(rules->event_id_format == MH_EVENT_ID_HASH_STD ?
				 MH_BASE64_STD :
				 MH_BASE64_URL,
			 hash, sizeof(hash), out);
}

void mh_event_create_room_id(struct mh_str create_event_id,
			     struct mh_strbuf *out)
{
	mh_strbuf_addch(out, '!');
	mh_strbuf_addstr(out, mh_str_from(create_event_id, 1));
}

/* --- foreign bytes ----------------------------------------------------------- */

static int bad(struct mh_error *err, const char *what)
{
	return mh_fail(err, MH_M_BAD_JSON, "event: %s", what);
}

static bool is_raw_string(struct mh_str raw)
{
	return raw.len >= 2 && raw.data[0] == '"';
}

static bool is_raw_object(struct mh_str raw)
{
	return raw.len >= 2 && raw.data[0] == '{';
}

static int check_references(const struct mh_room_rules *rules,
			    struct mh_str array, size_t max, const char *name,
			    struct mh_error *err)
{
	bool pairs = rules->event_id_format == MH_EVENT_ID_DOMAIN;
	struct mh_json_iter it;
	size_t n = 0;

	if (array.len < 2 || array.data[0] != '[')
		return mh_fail(err, MH_M_BAD_JSON, "event: '%s' must be an array",
			       name);
	for (mh_json_iter_init(&it, array); mh_json_iter_next(&it); n++) {
		struct mh_json_iter pair;
		struct mh_str id = it.value;

		if (pairs) {
			mh_json_iter_init(&pair, it.value);
			if (it.value.data[0] != '[' || !mh_json_iter_next(&pair))
				return mh_fail(err, MH_M_BAD_JSON,
					       "event: '%s' holds no [ID, hash]",
					       name);
			id = pair.value;
		}
		if (!is_raw_string(id) || id.data[1] != '$' ||
		    id.len - 2 > MH_ID_MAX)
			return mh_fail(err, MH_M_BAD_JSON,
				       "event: '%s' holds no event ID", name);
	}
	if (n > max)
		return mh_fail(err, MH_M_BAD_JSON,
			       "event: '%s' has %zu entries, at most %zu are "
			       "allowed",
			       name, n, max);
	return 0;
}

static int check_numbers(const struct mh_room_rules *rules,
			 const struct raw_event *raw, struct mh_error *err)
{
	int64_t max = rules->json == MH_JSON_STRICT ? MAX_DEPTH_STRICT :
						      INT64_MAX;
	int64_t number;

	if (!mh_json_slice_int(raw->depth, &number) || number < 0 ||
	    number > max)
		return mh_fail(err, MH_M_BAD_JSON,
			       "event: 'depth' must be an integer from 0 to "
			       "%lld",
			       (long long)max);
	if (!mh_json_slice_int(raw->origin_server_ts, &number))
		return bad(err, "'origin_server_ts' must be an integer");
	return 0;
}

/* Types and presence: what make_event() relies on. */
static int check_shape(const struct mh_room_rules *rules,
		       const struct raw_event *raw, struct mh_error *err)
{
	if (!is_raw_string(raw->type) || !is_raw_string(raw->sender))
		return bad(err, "'type' and 'sender' must be strings");
	if (raw->state_key.data && !is_raw_string(raw->state_key))
		return bad(err, "'state_key' must be a string");
	if (raw->room_id.data && !is_raw_string(raw->room_id))
		return bad(err, "'room_id' must be a string");
	if (!is_raw_object(raw->content) || !is_raw_object(raw->hashes) ||
	    !is_raw_object(raw->signatures))
		return bad(err, "'content', 'hashes' and 'signatures' must be "
				"objects");
	if (!is_raw_string(mh_json_slice(raw->hashes, "sha256")))
		return bad(err, "'hashes' must have a string 'sha256'");
	/* Elsewhere the key has no meaning, and peers accept whatever it holds. */
	if (!rules->redacts_in_content && raw->redacts.data &&
	    mh_str_is(raw->type, "\"m.room.redaction\"") &&
	    !is_raw_string(raw->redacts))
		return bad(err, "'redacts' must be a string");
	if (rules->event_id_format == MH_EVENT_ID_DOMAIN &&
	    !is_raw_string(raw->event_id))
		return bad(err, "'event_id' must be a string");
	if (check_numbers(rules, raw, err) < 0 ||
	    check_references(rules, raw->prev_events, MH_EVENT_MAX_PREV,
			     "prev_events", err) < 0 ||
	    check_references(rules, raw->auth_events, MH_EVENT_MAX_AUTH,
			     "auth_events", err) < 0)
		return -1;
	return 0;
}

/* Identifiers and their lengths, of a made event. */
static int check_ids(const struct mh_event *event, const struct raw_event *raw,
		     struct mh_error *err)
{
	bool derives_room = event->rules->room_id_is_create && is_create(event);

	if (event->type.len > MH_ID_MAX ||
	    (mh_event_is_state(event) && event->state_key.len > MH_ID_MAX))
		return mh_fail(err, MH_M_TOO_LARGE,
			       "event: 'type' or 'state_key' is over 255 bytes");
	if (!mh_user_id_valid(event->sender))
		return bad(err, "'sender' is not a user ID");
	if (derives_room && raw->room_id.data)
		return bad(err, "a create event has no 'room_id' in this room "
				"version");
	if (!derives_room && !mh_room_id_valid(event->room_id))
		return bad(err, "'room_id' is not a room ID");
	if (event->rules->event_id_format == MH_EVENT_ID_DOMAIN &&
	    !mh_event_id_valid(event->event_id))
		return bad(err, "'event_id' is not an event ID");
	return 0;
}

static bool content_hash_matches(struct mh_str json, struct mh_str hashes)
{
	unsigned char told[MH_SHA256], is[MH_SHA256];
	struct mh_str raw = mh_json_slice(hashes, "sha256");
	size_t len;

	if (!is_raw_string(raw) ||
	    !mh_base64_decode(MH_BASE64_STD,
			      mh_str_n(raw.data + 1, raw.len - 2), told,
			      sizeof(told), &len) ||
	    len != sizeof(told))
		return false;
	mh_event_content_hash(json, is);
	return memcmp(told, is, sizeof(is)) == 0;
}

/* Canonical bytes without `unsigned`, within the limit. */
static int canonicalise(const struct mh_room_rules *rules, struct mh_str bytes,
			struct mh_strbuf *out, struct mh_error *err)
{
	MH_STRBUF(whole);
	struct mh_json_iter it;

	if (mh_canonical_json(bytes, rules->json, &whole, err) < 0)
		return -1;
	if (whole.data[0] != '{')
		return bad(err, "must be an object");
	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, mh_strbuf_str(&whole));
	     mh_json_iter_next(&it);) {
		if (mh_str_is(it.key, "unsigned"))
			continue;
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	mh_strbuf_addch(out, '}');
	if (out->len > MH_EVENT_MAX_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "event is %zu bytes",
			       out->len);
	return 0;
}

int mh_event_parse(const struct mh_room_rules *rules, struct mh_str bytes,
		   struct mh_event **ret_event, struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct mh_str id = MH_STR_NONE;
	struct raw_event raw;
	MH_STRBUF(event_id);
	MH_STRBUF(redacted);
	MH_STRBUF(json);
	bool intact;

	if (canonicalise(rules, bytes, &json, err) < 0)
		return -1;
	find_raw(mh_strbuf_str(&json), &raw);
	if (check_shape(rules, &raw, err) < 0)
		return -1;
	intact = content_hash_matches(mh_strbuf_str(&json), raw.hashes);
	if (!intact)
		mh_event_redact_json(rules, mh_strbuf_str(&json), &redacted);
	if (rules->event_id_format != MH_EVENT_ID_DOMAIN) {
		hashed_event_id(rules, mh_strbuf_str(&json), &event_id);
		id = mh_strbuf_str(&event_id);
	}
	event = make_event(rules, id,
			   mh_strbuf_str(intact ? &json : &redacted));
	event->redacted_by_hash = !intact;
	if (check_ids(event, &raw, err) < 0)
		return -1;
	*ret_event = MH_TAKE(event);
	return 0;
}

/* --- our own ----------------------------------------------------------------- */

static void add_references(const struct mh_room_rules *rules,
			   const struct mh_str *ids, size_t n,
			   struct mh_strbuf *out)
{
	mh_strbuf_addch(out, '[');
	for (size_t i = 0; i < n; i++) {
		mh_json_add_comma(out);
		if (rules->event_id_format == MH_EVENT_ID_DOMAIN)
			mh_strbuf_addch(out, '[');
		mh_json_add_str(out, ids[i]);
		if (rules->event_id_format == MH_EVENT_ID_DOMAIN)
			mh_strbuf_addlit(out, ",{}]");
	}
	mh_strbuf_addch(out, ']');
}

static void add_string(struct mh_strbuf *out, const char *key, struct mh_str s)
{
	mh_json_add_key(out, mh_str(key));
	mh_json_add_str(out, s);
}

/* Content with `redacts` put in, for versions 11 and later. */
static void add_draft_content(const struct mh_event_draft *draft,
			      struct mh_str content, struct mh_strbuf *out)
{
	struct mh_json_iter it;

	mh_json_add_key(out, MH_STR("content"));
	if (!draft->redacts.len || !draft->rules->redacts_in_content) {
		mh_strbuf_addstr(out, content);
		return;
	}
	mh_strbuf_addch(out, '{');
	for (mh_json_iter_init(&it, content); mh_json_iter_next(&it);) {
		if (mh_str_is(it.key, "redacts"))
			continue;
		mh_json_add_comma(out);
		mh_strbuf_addstr(out, it.member);
	}
	add_string(out, "redacts", draft->redacts);
	mh_strbuf_addch(out, '}');
}

/* The draft as an object, without hashes and signatures; not sorted. */
static int add_draft(const struct mh_event_draft *draft, struct mh_strbuf *out,
		     struct mh_error *err)
{
	const struct mh_room_rules *rules = draft->rules;
	MH_STRBUF(content);

	if (mh_canonical_json(draft->content, rules->json, &content, err) < 0)
		return -1;
	if (content.data[0] != '{')
		return bad(err, "'content' must be an object");
	mh_strbuf_addlit(out, "{\"auth_events\":");
	add_references(rules, draft->auth_events, draft->n_auth_events, out);
	add_draft_content(draft, mh_strbuf_str(&content), out);
	mh_json_add_key(out, MH_STR("depth"));
	mh_strbuf_addint(out, draft->depth);
	if (rules->event_id_format == MH_EVENT_ID_DOMAIN)
		add_string(out, "event_id", draft->event_id);
	mh_json_add_key(out, MH_STR("origin_server_ts"));
	mh_strbuf_addint(out, draft->origin_server_ts);
	mh_json_add_key(out, MH_STR("prev_events"));
	add_references(rules, draft->prev_events, draft->n_prev_events, out);
	if (draft->redacts.len && !rules->redacts_in_content)
		add_string(out, "redacts", draft->redacts);
	if (draft->room_id.len)
		add_string(out, "room_id", draft->room_id);
	add_string(out, "sender", draft->sender);
	if (draft->state_key.data)
		add_string(out, "state_key", draft->state_key);
	add_string(out, "type", draft->type);
	mh_strbuf_addch(out, '}');
	return 0;
}

static int add_hash(const struct mh_room_rules *rules, struct mh_str json,
		    struct mh_strbuf *out, struct mh_error *err)
{
	unsigned char hash[MH_SHA256];
	MH_STRBUF(text);

	mh_event_content_hash(json, hash);
	mh_strbuf_add(&text, json.data, json.len - 1);
	mh_json_add_key(&text, MH_STR("hashes"));
	mh_strbuf_addlit(&text, "{\"sha256\":\"");
	mh_base64_encode(MH_BASE64_STD, hash, sizeof(hash), &text);
	mh_strbuf_addlit(&text, "\"}}");
	return mh_canonical_json(mh_strbuf_str(&text), rules->json, out, err);
}

int mh_event_build(const struct mh_event_draft *draft,
		   const struct mh_signer *signer, struct mh_event **ret_event,
		   struct mh_error *err)
{
	MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
	struct mh_str id = MH_STR_NONE;
	struct raw_event raw;
	MH_STRBUF(plain);
	MH_STRBUF(sorted);
	MH_STRBUF(hashed);
	MH_STRBUF(json);
	MH_STRBUF(event_id);

	if (add_draft(draft, &plain, err) < 0 ||
	    mh_canonical_json(mh_strbuf_str(&plain), draft->rules->json,
			      &sorted, err) < 0 ||
	    add_hash(draft->rules, mh_strbuf_str(&sorted), &hashed, err) < 0 ||
	    mh_event_sign(draft->rules, signer, mh_strbuf_str(&hashed), &json,
			  err) < 0)
		return -1;
	if (json.len > MH_EVENT_MAX_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE, "event is %zu bytes",
			       json.len);
	if (draft->rules->event_id_format != MH_EVENT_ID_DOMAIN) {
		hashed_event_id(draft->rules, mh_strbuf_str(&json), &event_id);
		id = mh_strbuf_str(&event_id);
	}
	event = make_event(draft->rules, id, mh_strbuf_str(&json));
	find_raw(event->json, &raw);
	if (check_ids(event, &raw, err) < 0)
		return -1;
	*ret_event = MH_TAKE(event);
	return 0;
}

/* --- what clients get --------------------------------------------------------- */

/* Versions 1 to 10 keep `redacts` outside of content; clients look in both. */
static void add_client_content(const struct mh_event *event,
			       struct mh_strbuf *out)
{
	mh_strbuf_addlit(out, "{\"content\":");
	mh_strbuf_addstr(out, event->content);
	if (event->redacts.data && !event->rules->redacts_in_content &&
	    !mh_json_slice(event->content, "redacts").data) {
		mh_strbuf_truncate(out, out->len - 1);
		add_string(out, "redacts", event->redacts);
		mh_strbuf_addch(out, '}');
	}
}

void mh_event_client_json_open(const struct mh_event *event, bool with_room_id,
			       struct mh_strbuf *out)
{
	add_client_content(event, out);
	add_string(out, "event_id", event->event_id);
	mh_json_add_key(out, MH_STR("origin_server_ts"));
	mh_strbuf_addint(out, event->origin_server_ts);
	if (event->redacts.data)
		add_string(out, "redacts", event->redacts);
	if (with_room_id)
		add_string(out, "room_id", event->room_id);
	add_string(out, "sender", event->sender);
	if (mh_event_is_state(event))
		add_string(out, "state_key", event->state_key);
	add_string(out, "type", event->type);
}

void mh_event_stripped_json(const struct mh_event *event, struct mh_strbuf *out)
{
	mh_strbuf_addlit(out, "{\"content\":");
	mh_strbuf_addstr(out, event->content);
	add_string(out, "sender", event->sender);
	add_string(out, "state_key", event->state_key);
	add_string(out, "type", event->type);
	mh_strbuf_addch(out, '}');
}
