/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room versions, a row each (rooms/v1.md to v12.md). Each builds on the
 * one before, so a column reads as "false until this version brought it".
 */
#include "core/room_version.h"

static const struct mh_room_rules table[] = {
	{
		.version = "1",
		.event_id_format = MH_EVENT_ID_DOMAIN,
		.state_res = MH_STATE_RES_V1,
		.redaction = MH_REDACTION_V1,
		.json = MH_JSON_TOLERANT,
		.special_aliases_auth = true,
		.redaction_auth = true,
		.creator_in_content = true,
	},
	{
		.version = "2",
		.event_id_format = MH_EVENT_ID_DOMAIN,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V1,
		.json = MH_JSON_TOLERANT,
		.special_aliases_auth = true,
		.redaction_auth = true,
		.creator_in_content = true,
	},
	{
		.version = "3",
		.event_id_format = MH_EVENT_ID_HASH_STD,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V1,
		.json = MH_JSON_TOLERANT,
		.special_aliases_auth = true,
		.creator_in_content = true,
	},
	{
		.version = "4",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V1,
		.json = MH_JSON_TOLERANT,
		.special_aliases_auth = true,
		.creator_in_content = true,
	},
	{
		.version = "5",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V1,
		.json = MH_JSON_TOLERANT,
		.special_aliases_auth = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "6",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V6,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "7",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V6,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "8",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V8,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.restricted_join = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "9",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V9,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.restricted_join = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "10",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V9,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.restricted_join = true,
		.knock_restricted = true,
		.integer_power_levels = true,
		.enforce_key_validity = true,
		.creator_in_content = true,
	},
	{
		.version = "11",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2,
		.redaction = MH_REDACTION_V11,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.restricted_join = true,
		.knock_restricted = true,
		.integer_power_levels = true,
		.enforce_key_validity = true,
		.redacts_in_content = true,
	},
	{
		.version = "12",
		.event_id_format = MH_EVENT_ID_HASH_URL,
		.state_res = MH_STATE_RES_V2_1,
		.redaction = MH_REDACTION_V11,
		.json = MH_JSON_STRICT,
		.limit_notifications_pl = true,
		.knocking = true,
		.restricted_join = true,
		.knock_restricted = true,
		.integer_power_levels = true,
		.enforce_key_validity = true,
		.redacts_in_content = true,
		.privileged_creators = true,
		.additional_creators = true,
		.room_id_is_create = true,
	},
};

const struct mh_room_rules *mh_room_rules_find(struct mh_str version)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(table); i++)
		if (mh_str_is(version, table[i].version))
			return &table[i];
	return NULL;
}

const struct mh_room_rules *mh_room_rules_at(size_t index)
{
	return index < MH_ARRAY_LEN(table) ? &table[index] : NULL;
}
