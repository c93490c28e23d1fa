/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between room versions, as data: code asks a field and never
 * compares version numbers. One table in room_version.c, a row a version.
 */
#pragma once

#include "core/canonical_json.h"

enum mh_event_id_format {
	MH_EVENT_ID_DOMAIN,	/* v1, v2: chosen by the sender, $x:domain */
	MH_EVENT_ID_HASH_STD,	/* v3: reference hash, standard base64 */
	MH_EVENT_ID_HASH_URL,	/* v4+: reference hash, URL-safe base64 */
};

enum mh_state_res_version {
	MH_STATE_RES_V1,
	MH_STATE_RES_V2,
	MH_STATE_RES_V2_1,
};

enum mh_redaction_rules {
	MH_REDACTION_V1,  /* 1-5: keeps aliases */
	MH_REDACTION_V6,  /* 6-7: without aliases */
	MH_REDACTION_V8,  /* 8: keeps join rules' allow */
	MH_REDACTION_V9,  /* 9-10: keeps join_authorised_via_users_server */
	MH_REDACTION_V11, /* 11-12: create whole, invite level, redacts */
};

struct mh_room_rules {
	const char *version; /* "12" */
	enum mh_event_id_format event_id_format;
	enum mh_state_res_version state_res;
	enum mh_redaction_rules redaction;
	enum mh_json_mode json; /* strict from 6 on */
	bool special_aliases_auth; /* 1-5: m.room.aliases has its own rule */
	bool redaction_auth;	   /* 1-2: redactions are checked by auth */
	bool limit_notifications_pl; /* 6+: notifications levels are checked */
	bool knocking;		   /* 7+ */
	bool restricted_join;	   /* 8+ */
	bool knock_restricted;	   /* 10+ */
	bool integer_power_levels; /* 10+: no strings */
	bool enforce_key_validity; /* 5+ */
	bool creator_in_content;   /* 1-10: content.creator is required */
	bool redacts_in_content;   /* 11+: `redacts` is inside content */
	bool privileged_creators;  /* 12: creators have infinite power */
	bool additional_creators;  /* 12 */
	bool room_id_is_create;	   /* 12: room ID is the create event's hash */
};

/* NULL when the version is unknown. */
const struct mh_room_rules *mh_room_rules_find(struct mh_str version);
/* The table's rows in order, NULL after the last. */
const struct mh_room_rules *mh_room_rules_at(size_t index);
#define MH_DEFAULT_ROOM_VERSION "12"
