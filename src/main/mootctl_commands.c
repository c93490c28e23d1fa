/* SPDX-License-Identifier: Apache-2.0 */
/* What each command of mootctl takes, and how its result is shown. */
#include <config.h>

#include "main/mootctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- showing results ---------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool is_set(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static int64_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "2026-01-31 12:00:00", in UTC; "-" for none. */
static const char *date_of(const json_t *object, const char *key, char *out,
			   size_t size)
{
	time_t seconds = (time_t)(number_of(object, key) / 1000);
	struct tm utc;

	if (!seconds || !gmtime_r(&seconds, &utc) ||
	    !strftime(out, size, "%Y-%m-%d %H:%M:%S", &utc))
		snprintf(out, size, "-");
	return out;
}

/* One "name: value" line a member, in the order of the answer. */
static void show_members(const json_t *result)
{
	const char *key;
	json_t *value;
	char date[32];

	json_object_foreach((json_t *)(uintptr_t)result, key, value)
	{
		size_t len = strlen(key);

		printf("%-20s ", key);
		if (json_is_integer(value) && len > 3 &&
		    !strcmp(key + len - 3, "_ts"))
			printf("%s\n",
			       date_of(result, key, date, sizeof(date)));
		else if (json_is_integer(value))
			printf("%" PRId64 "\n",
			       (int64_t)json_integer_value(value));
		else if (json_is_string(value))
			printf("%s\n", json_string_value(value));
		else if (json_is_boolean(value))
			printf("%s\n", json_is_true(value) ? "yes" : "no");
		else if (json_is_null(value))
			printf("-\n");
		else {
			json_dumpf(value, stdout, JSON_COMPACT);
			putchar('\n');
		}
	}
}

static void show_users(const json_t *result)
{
	json_t *user;
	size_t i;

	json_array_foreach(json_object_get(result, "users"), i, user)
	{
		char date[32];

		printf("%-40s %s%s%s\n", text_of(user, "user_id"),
		       date_of(user, "created_ts", date, sizeof(date)),
		       is_set(user, "admin") ? "  admin" : "",
		       is_set(user, "deactivated") ? "  deactivated" : "");
	}
}

static void show_tokens(const json_t *result)
{
	json_t *token;
	size_t i;

	json_array_foreach(json_object_get(result, "tokens"), i, token)
	{
		json_t *allowed = json_object_get(token, "uses_allowed");
		char date[32];

		printf("%-32s used %" PRId64, text_of(token, "token"),
		       number_of(token, "completed"));
		if (json_is_integer(allowed))
			printf(" of %" PRId64,
			       (int64_t)json_integer_value(allowed));
		if (number_of(token, "expiry_ts"))
			printf(", until %s",
			       date_of(token, "expiry_ts", date, sizeof(date)));
		putchar('\n');
	}
}

static void show_token(const json_t *result)
{
	puts(text_of(result, "token"));
}

static void show_rooms(const json_t *result)
{
	json_t *room;
	size_t i;

	json_array_foreach(json_object_get(result, "rooms"), i, room)
		printf("%-44s %6" PRId64 "  %s\n", text_of(room, "room_id"),
		       number_of(room, "joined_members"),
		       text_of(room, "name"));
}

static void show_message(const json_t *result)
{
	puts(text_of(result, "message"));
}

static void show_status(const json_t *result)
{
	int64_t seconds = number_of(result, "uptime_ms") / 1000;

	printf("moothalld %s serves '%s' as process %" PRId64 "\n",
	       text_of(result, "version"), text_of(result, "server_name"),
	       number_of(result, "pid"));
	printf("up %" PRId64 "d %02d:%02d:%02d, %" PRId64
	       " MB of memory, %" PRId64 " workers\n",
	       seconds / 86400, (int)(seconds / 3600 % 24),
	       (int)(seconds / 60 % 60), (int)(seconds % 60),
	       number_of(result, "memory_bytes") / 1000000,
	       number_of(result, "workers"));
	printf("waiting: %" PRId64 " requests, %" PRId64
	       " writes; position %" PRId64 "\n",
	       number_of(result, "requests_waiting"),
	       number_of(result, "writes_waiting"),
	       number_of(result, "position"));
}

/* --- commands without the daemon ---------------------------------------- */

static int config_check(const struct mootctl_options *options,
			const json_t *args MH_UNUSED, json_t **ret_result)
{
	struct mh_settings settings;
	int rc = mootctl_load_config(options, &settings);

	if (rc)
		return rc;
	mh_settings_release(&settings);
	*ret_result = json_pack("{s:b,s:s+}", "good", 1, "message",
				options->config, " is good");
	return MOOTCTL_DONE;
}

/* --- the table ---------------------------------------------------------- */

#define END                                                                    \
	{                                                                      \
		NULL, MOOTCTL_POSITIONAL, NULL, NULL                           \
	}
#define PARAMS(...)                                                            \
	(const struct mootctl_param[])                                         \
	{                                                                      \
		__VA_ARGS__ END                                                \
	}
#define USER                                                                   \
	{ "user", MOOTCTL_POSITIONAL, "USER", "alice, or @alice:example.org" },
#define PASSWORD                                                               \
	{ "password", MOOTCTL_TEXT, "PASSWORD",                                \
	  "the password; other users of this machine may see it here, so "     \
	  "rather leave it out: it is then read from standard input" },

const struct mootctl_command mootctl_commands[] = {
	{ "user add", "Makes an account",
	  PARAMS(
		  USER PASSWORD{
			  "no-password", MOOTCTL_FLAG, NULL,
			  "an account that nobody can log in to by password" },
		  { "admin", MOOTCTL_FLAG, NULL, "an administrator's" },
		  { "displayname", MOOTCTL_TEXT, "NAME",
		    "the name to show" }, ),
	  true, show_members, NULL },
	{ "user list", "Lists the accounts", PARAMS(), false, show_users,
	  NULL },
	{ "user show", "Shows an account and its devices", PARAMS(USER), false,
	  show_members, NULL },
	{ "user password", "Sets the password of an account, and logs it out",
	  PARAMS(USER PASSWORD{ "keep-sessions", MOOTCTL_FLAG, NULL,
				"do not log out its devices" }, ),
	  true, show_message, NULL },
	{ "user deactivate", "Closes an account for good",
	  PARAMS(USER),
	  false, show_message, NULL },
	{ "registration-token create",
	  "Makes a token that lets people register",
	  PARAMS({ "token", MOOTCTL_TEXT, "TOKEN",
		   "the token itself; made at random if left out" },
		 { "uses", MOOTCTL_NUMBER, "N",
		   "how many accounts it makes; any number if left out" },
		 { "hours", MOOTCTL_NUMBER, "N",
		   "how long it is good; for ever if left out" }, ),
	  false, show_token, NULL },
	{ "registration-token list", "Lists the registration tokens", PARAMS(),
	  false, show_tokens, NULL },
	{ "registration-token revoke", "Ends a registration token",
	  PARAMS({ "token", MOOTCTL_POSITIONAL, "TOKEN", "the token" }, ),
	  false, show_message, NULL },
	{ "room list", "Lists the rooms", PARAMS(), false, show_rooms, NULL },
	{ "room show", "Shows a room",
	  PARAMS({ "room", MOOTCTL_POSITIONAL, "ROOM",
		   "a room ID or an alias" }, ),
	  false, show_members, NULL },
	{ "status", "Shows how the daemon is", PARAMS(), false, show_status,
	  NULL },
	{ "config check", "Says what is wrong with the configuration", PARAMS(),
	  false, show_message, config_check },
};

const size_t mootctl_command_count = MH_ARRAY_LEN(mootctl_commands);
