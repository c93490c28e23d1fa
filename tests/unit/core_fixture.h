/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for tests of core, from short JSON. Of an event only what matters is
 * written; the rest is filled in:
 *
 *	{ "id": "$topic", "type": "m.room.topic", "key": "",
 *	  "sender": "@alice:a", "content": {}, "auth": [ "$create" ],
 *	  "prev": [ "$x" ], "depth": 7, "ts": 7, "room": "!other:a" }
 *
 * `key` is the state_key; `auth` and `prev` are lists of event IDs in every
 * version. In C, JSON is written with ' for ", which fixture_json() replaces.
 */
#pragma once

#include "core/event_auth.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

static inline const struct mh_room_rules *fixture_rules(const char *version)
{
	const struct mh_room_rules *rules = mh_room_rules_find(mh_str(version));

	assert_non_null(rules);
	return rules;
}

static inline json_t *fixture_json(const char *text)
{
	MH_CLEANUP(mh_freep) char *copy = mh_strdup(text);
	json_t *value = NULL;
	MH_ERROR(err);

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	if (mh_json_parse(mh_str(copy), &value, &err) < 0)
		fail_msg("bad fixture %s: %s", text, err.message);
	return value;
}

static inline json_t *fixture_default(const json_t *in, const char *key,
				      json_t *otherwise)
{
	json_t *value = json_object_get(in, key);

	if (!value)
		return otherwise;
	json_decref(otherwise);
	return json_incref(value);
}

/* Versions 1 and 2 name events with their hash. */
static inline json_t *fixture_references(const struct mh_room_rules *rules,
					 const json_t *in, const char *key)
{
	json_t *ids = fixture_default(in, key, json_array()), *pairs;
	json_t *id;
	size_t i;

	if (rules->event_id_format != MH_EVENT_ID_DOMAIN)
		return ids;
	pairs = json_array();
	json_array_foreach(ids, i, id) json_array_append_new(
		pairs, json_pack("[O{s:s}]", id, "sha256", "c3Vt"));
	json_decref(ids);
	return pairs;
}

/* The room ID without "room": version 12 takes it from the create event. */
static inline const char *fixture_room_id(const struct mh_room_rules *rules)
{
	return rules->room_id_is_create ? "!create" : "!room:a";
}

static inline struct mh_event *fixture_event(const struct mh_room_rules *rules,
					     const json_t *in)
{
	MH_CLEANUP(json_decrefp)
	json_t *id = fixture_default(in, "id", json_string("$event:a"));
	MH_CLEANUP(json_decrefp) json_t *pdu = json_object();
	bool create = mh_str_is(mh_json_str(json_object_get(in, "type")),
				"m.room.create");
	MH_STRBUF(bytes);
	MH_STRBUF(text);
	MH_ERROR(err);
	struct mh_event *event = NULL;
	json_t *key = json_object_get(in, "key");

	json_object_set(pdu, "type", json_object_get(in, "type"));
	json_object_set_new(pdu, "sender",
			    fixture_default(in, "sender",
					    json_string("@alice:a")));
	json_object_set_new(pdu, "content",
			    fixture_default(in, "content", json_object()));
	json_object_set_new(pdu, "auth_events",
			    fixture_references(rules, in, "auth"));
	json_object_set_new(pdu, "prev_events",
			    fixture_references(rules, in, "prev"));
	json_object_set_new(pdu, "depth",
			    fixture_default(in, "depth", json_integer(1)));
	json_object_set_new(pdu, "origin_server_ts",
			    fixture_default(in, "ts", json_integer(1)));
	if (key)
		json_object_set(pdu, "state_key", key);
	if (json_object_get(in, "redacts"))
		json_object_set(pdu, "redacts", json_object_get(in, "redacts"));
	if (!rules->room_id_is_create || !create || json_object_get(in, "room"))
		json_object_set_new(
			pdu, "room_id",
			fixture_default(in, "room",
					json_string(fixture_room_id(rules))));

	mh_json_add(&text, pdu);
	if (mh_canonical_json(mh_strbuf_str(&text), rules->json, &bytes, &err) <
	    0)
		fail_msg("fixture: %s", err.message);
	assert_int_equal(mh_event_load(rules, mh_json_str(id),
				       mh_strbuf_str(&bytes), &event, &err),
			 0);
	return event;
}

static inline struct mh_event *
fixture_event_text(const struct mh_room_rules *rules, const char *text)
{
	MH_CLEANUP(json_decrefp) json_t *in = fixture_json(text);

	return fixture_event(rules, in);
}

/* alice@a made the room. */
static inline struct mh_event *fixture_create(const struct mh_room_rules *rules)
{
	MH_CLEANUP(json_decrefp)
	json_t *in =
		fixture_json("{'id':'$create','type':'m.room.create','key':'',"
			     "'sender':'@alice:a','content':{}}");

	json_object_set_new(json_object_get(in, "content"), "room_version",
			    json_string(rules->version));
	if (rules->creator_in_content)
		json_object_set_new(json_object_get(in, "content"), "creator",
				    json_string("@alice:a"));
	return fixture_event(rules, in);
}
