/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power levels, parsed once into sorted arrays: who has which level is asked
 * for every event that is sent, so that a lookup is a binary search and copies
 * nothing.
 *
 * A level in a peer's event is an integer, or, the older the room version, a
 * string with an integer (before 10) or any JSON number (before 6). Numbers
 * beyond 64 bits saturate just below MH_POWER_INFINITE, which is thereby kept
 * for the creators of version 12.
 */
#include "core/power_levels.h"

#include "base/arena.h"
#include "core/content.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum level_name {
	USERS_DEFAULT,
	EVENTS_DEFAULT,
	STATE_DEFAULT,
	BAN,
	KICK,
	INVITE,
	REDACT,
	N_LEVEL_NAMES,
};

/* Client-server API, m.room.power_levels: what holds without a value. */
static const struct {
	const char *name;
	int64_t missing;
} level_names[N_LEVEL_NAMES] = {
	[USERS_DEFAULT] = { "users_default", 0 },
	[EVENTS_DEFAULT] = { "events_default", 0 },
	[STATE_DEFAULT] = { "state_default", 50 },
	[BAN] = { "ban", 50 },
	[KICK] = { "kick", 50 },
	[INVITE] = { "invite", 0 },
	[REDACT] = { "redact", 50 },
};

#define LEVEL_MAX (MH_POWER_INFINITE - 1)
#define CREATOR_WITHOUT_EVENT 100
#define NOTIFICATION_DEFAULT 50

struct level {
	struct mh_str key;
	int64_t value;
};

struct level_map {
	struct level *at; /* sorted by key */
	size_t n;
};

struct mh_power_levels {
	struct mh_arena arena; /* holds all that follows */
	const struct mh_room_rules *rules;
	struct level_map users, events, notifications;
	struct level named[N_LEVEL_NAMES];
	bool has_named[N_LEVEL_NAMES];
	struct mh_str *creators; /* those of infinite power */
	size_t n_creators;
};

/* --- single levels ------------------------------------------------------ */

static int64_t add_digit(int64_t value, char digit)
{
	if (value > (LEVEL_MAX - 9) / 10)
		return LEVEL_MAX;
	return value * 10 + (digit - '0');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * rooms/fragments/v1-stringy-power-levels.md: white space around, one sign, a
 * decimal integer with any number of leading zeros.
 */
static bool level_of_string(struct mh_str s, int64_t *ret)
{
	bool negative = false;
	int64_t value = 0;

	while (s.len && is_space(s.data[0]))
		s = mh_str_from(s, 1);
	while (s.len && is_space(s.data[s.len - 1]))
		s.len--;
	if (s.len && (s.data[0] == '-' || s.data[0] == '+')) {
		negative = s.data[0] == '-';
		s = mh_str_from(s, 1);
	}
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.data[i]))
			return false;
		value = add_digit(value, s.data[i]);
	}
	*ret = negative ? -value : value;
	return true;
}

/* The exponent of a JSON number, saturated: beyond 10^6 all are alike. */
static long exponent(struct mh_str s)
{
	bool negative = false;
	long value = 0;

	if (s.len && (s.data[0] == '-' || s.data[0] == '+')) {
		negative = s.data[0] == '-';
		s = mh_str_from(s, 1);
	}
	for (size_t i = 0; i < s.len; i++)
		value = value < 1000000 ? value * 10 + (s.data[i] - '0') :
					  value;
	return negative ? -value : value;
}

/* Digits at the left of which a double overflows, and how many it may have. */
#define DOUBLE_DIGITS 309
#define DOUBLE_LEAD INT64_C(17976931348623158)
#define DOUBLE_LEAD_DIGITS 17

/*
 * rooms/fragments/v1-floaty-power-levels.md: first the exponent is applied,
 * then everything behind the point is cut off. Done on the digits, for a
 * conversion by the C library depends on the locale. `s` is a JSON number.
 */
static bool level_of_number(struct mh_str s, int64_t *ret)
{
	bool negative = s.len && s.data[0] == '-';
	int64_t value = 0, lead = 0;
	long whole = 0, seen = 0, significant = 0;
	size_t end = 0, i;

	if (negative)
		s = mh_str_from(s, 1);
	if (s.len == 0 || !is_digit(s.data[0]))
		return false;
	while (whole < (long)s.len && is_digit(s.data[whole]))
		whole++;
	while (end < s.len && (is_digit(s.data[end]) || s.data[end] == '.'))
		end++;
	/* How many digits stand before the point once the exponent is in. */
	whole += exponent(mh_str_from(s, end + 1));

	for (i = 0; i < end && seen < whole; i++) {
		if (s.data[i] == '.')
			continue;
		seen++;
		value = add_digit(value, s.data[i]);
		if (significant || s.data[i] != '0')
			significant++;
		if (significant && significant <= DOUBLE_LEAD_DIGITS)
			lead = lead * 10 + (s.data[i] - '0');
	}
	if (significant) {
		long zeros = whole - seen; /* digits the text leaves out */

		if (significant + zeros > DOUBLE_DIGITS)
			return false;
		for (; zeros > 0; zeros--, significant++) {
			value = add_digit(value, '0');
			if (significant < DOUBLE_LEAD_DIGITS)
				lead *= 10;
		}
		if (significant == DOUBLE_DIGITS && lead > DOUBLE_LEAD)
			return false;
	}
	*ret = negative ? -value : value;
	return true;
}

/* A raw JSON value as a level, as far as the room version allows its form. */
static bool read_level(const struct mh_room_rules *rules, struct mh_str raw,
		       int64_t *ret)
{
	MH_STRBUF(scratch);
	struct mh_str text;

	if (mh_json_slice_int(raw, ret)) {
		if (*ret > LEVEL_MAX)
			*ret = LEVEL_MAX;
		if (*ret < -LEVEL_MAX)
			*ret = -LEVEL_MAX;
		return true;
	}
	if (rules->integer_power_levels)
		return false;
	if (mh_content_str(raw, &scratch, &text))
		return level_of_string(text, ret);
	return rules->json == MH_JSON_TOLERANT && level_of_number(raw, ret);
}

/* --- parsing ------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	return mh_str_cmp(((const struct level *)a)->key,
			  ((const struct level *)b)->key);
}

static const struct level *find(const struct level_map *map, struct mh_str key)
{
	struct level wanted = { .key = key };

	if (map->n == 0)
		return NULL;
	return bsearch(&wanted, map->at, map->n, sizeof(*map->at), by_key);
}

/*
 * Reads an object of levels. With `strict` any wrong type fails; without, what
 * is wrong is left out.
 */
static int read_map(struct mh_power_levels *levels, struct mh_str raw,
		    const char *name, bool strict, struct level_map *map,
		    struct mh_error *err)
{
	MH_STRBUF(scratch);
	struct mh_json_iter it;
	bool sorted = true;
	size_t n = 0;

	if (!raw.data)
		return 0;
	if (!mh_content_is_object(raw)) {
		if (!strict)
			return 0;
		return mh_fail(err, MH_M_BAD_JSON, "'%s' is not an object",
			       name);
	}

	raw = mh_arena_str(&levels->arena, raw); /* most keys borrow from it */
	for (mh_json_iter_init(&it, raw); mh_json_iter_next(&it);)
		n++;
	map->at = mh_arena_alloc_array(&levels->arena, n, sizeof(*map->at));
	for (mh_json_iter_init(&it, raw); mh_json_iter_next(&it);) {
		struct level *level = &map->at[map->n];
		struct mh_str key = mh_content_key(&it, &scratch);

		if (!read_level(levels->rules, it.value, &level->value)) {
			if (!strict)
				continue;
			return mh_fail(err, MH_M_BAD_JSON,
				       "the level of '%.*s' in '%s' is not an "
				       "integer",
				       MH_STR_ARG(key), name);
		}
		if (key.data == scratch.data)
			key = mh_arena_str(&levels->arena, key);
		level->key = key;
		if (map->n > 0 && by_key(level - 1, level) > 0)
			sorted = false;
		map->n++;
	}
	/* Canonical JSON is sorted, so this is for the unforeseen. */
	if (!sorted)
		qsort(map->at, map->n, sizeof(*map->at), by_key);
	return 0;
}

static int read_named(struct mh_power_levels *levels, struct mh_str content,
		      struct mh_error *err)
{
	for (size_t i = 0; i < N_LEVEL_NAMES; i++) {
		struct mh_str raw = mh_content_get(content,
						   level_names[i].name);

		if (!raw.data)
			continue;
		if (read_level(levels->rules, raw, &levels->named[i].value))
			levels->has_named[i] = true;
		else if (levels->rules->integer_power_levels)
			return mh_fail(err, MH_M_BAD_JSON,
				       "'%s' is not an integer",
				       level_names[i].name);
	}
	return 0;
}

static bool is_infinite(const struct mh_power_levels *levels,
			struct mh_str user_id)
{
	for (size_t i = 0; i < levels->n_creators; i++)
		if (mh_str_eq(levels->creators[i], user_id))
			return true;
	return false;
}

static int read_users(struct mh_power_levels *levels, struct mh_str content,
		      struct mh_error *err)
{
	if (read_map(levels, mh_content_get(content, "users"), "users", true,
		     &levels->users, err) < 0)
		return -1;
	for (size_t i = 0; i < levels->users.n; i++) {
		struct mh_str user_id = levels->users.at[i].key;

		if (!mh_user_id_valid(user_id))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'%.*s' in 'users' is not a user ID",
				       MH_STR_ARG(user_id));
		if (is_infinite(levels, user_id))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'%.*s' in 'users' is a creator of the "
				       "room",
				       MH_STR_ARG(user_id));
	}
	return 0;
}

static int read_content(struct mh_power_levels *levels, struct mh_str content,
			struct mh_error *err)
{
	bool strict = levels->rules->integer_power_levels;

	if (read_named(levels, content, err) < 0 ||
	    read_map(levels, mh_content_get(content, "events"), "events",
		     strict, &levels->events, err) < 0 ||
	    read_map(levels, mh_content_get(content, "notifications"),
		     "notifications", strict, &levels->notifications, err) < 0)
		return -1;
	return read_users(levels, content, err);
}

/* --- creators ----------------------------------------------------------- */

static struct mh_str additional_creators(const struct mh_event *create)
{
	struct mh_str raw = MH_STR_NONE;

	if (create->rules->additional_creators)
		raw = mh_content_get(create->content, "additional_creators");
	return mh_content_is_array(raw) ? raw : MH_STR_NONE;
}

bool mh_room_is_creator(const struct mh_event *create, struct mh_str user_id)
{
	struct mh_str more = additional_creators(create);
	struct mh_json_iter it;

	if (create->rules->creator_in_content)
		return mh_content_str_is(
			mh_content_get(create->content, "creator"), user_id);
	if (mh_str_eq(create->sender, user_id))
		return true;
	if (!more.data)
		return false;
	for (mh_json_iter_init(&it, more); mh_json_iter_next(&it);)
		if (mh_content_str_is(it.value, user_id))
			return true;
	return false;
}

/* Version 12: the creators are set apart, for nothing can demote them. */
static void read_creators(struct mh_power_levels *levels,
			  const struct mh_event *create)
{
	MH_STRBUF(scratch);
	struct mh_str more = additional_creators(create);
	struct mh_json_iter it;
	struct mh_str user_id;
	size_t n = 1;

	if (more.data)
		for (mh_json_iter_init(&it, more); mh_json_iter_next(&it);)
			n++;
	levels->creators = mh_arena_alloc_array(&levels->arena, n,
						sizeof(*levels->creators));
	levels->creators[levels->n_creators++] =
		mh_arena_str(&levels->arena, create->sender);
	if (!more.data)
		return;
	for (mh_json_iter_init(&it, more); mh_json_iter_next(&it);)
		if (mh_content_str(it.value, &scratch, &user_id))
			levels->creators[levels->n_creators++] =
				mh_arena_str(&levels->arena, user_id);
}

/* Before version 12, a room without power levels gives its creator 100. */
static void default_creator(struct mh_power_levels *levels,
			    const struct mh_event *create)
{
	MH_STRBUF(scratch);
	struct mh_str creator = create->sender;

	if (create->rules->creator_in_content &&
	    !mh_content_str(mh_content_get(create->content, "creator"),
			    &scratch, &creator))
		return;
	levels->users.at = MH_ARENA_NEW(&levels->arena, struct level);
	levels->users.at->key = mh_arena_str(&levels->arena, creator);
	levels->users.at->value = CREATOR_WITHOUT_EVENT;
	levels->users.n = 1;
}

/* --- the object --------------------------------------------------------- */

int mh_power_levels_new(const struct mh_event *create,
			const struct mh_event *power_levels,
			struct mh_power_levels **ret, struct mh_error *err)
{
	MH_CLEANUP(mh_power_levels_freep)
	struct mh_power_levels *levels = MH_NEW(struct mh_power_levels);

	mh_arena_init(&levels->arena);
	levels->rules = create->rules;
	if (create->rules->privileged_creators)
		read_creators(levels, create);
	if (power_levels) {
		if (read_content(levels, power_levels->content, err) < 0)
			return -1;
	} else if (!create->rules->privileged_creators) {
		default_creator(levels, create);
	}
	*ret = MH_TAKE(levels);
	return 0;
}

void mh_power_levels_free(struct mh_power_levels *levels)
{
	if (!levels)
		return;
	mh_arena_release(&levels->arena);
	free(levels);
}

static int64_t named(const struct mh_power_levels *levels, enum level_name name)
{
	return levels->has_named[name] ? levels->named[name].value :
					 level_names[name].missing;
}

int64_t mh_power_of_user(const struct mh_power_levels *levels,
			 struct mh_str user_id)
{
	const struct level *level;

	if (is_infinite(levels, user_id))
		return MH_POWER_INFINITE;
	level = find(&levels->users, user_id);
	return level ? level->value : named(levels, USERS_DEFAULT);
}

int64_t mh_power_for_event(const struct mh_power_levels *levels,
			   struct mh_str type, bool is_state)
{
	const struct level *level = find(&levels->events, type);

	if (level)
		return level->value;
	return named(levels, is_state ? STATE_DEFAULT : EVENTS_DEFAULT);
}

int64_t mh_power_for_action(const struct mh_power_levels *levels,
			    enum mh_power_action action)
{
	static const enum level_name names[] = {
		[MH_POWER_BAN] = BAN,
		[MH_POWER_KICK] = KICK,
		[MH_POWER_INVITE] = INVITE,
		[MH_POWER_REDACT] = REDACT,
	};

	return named(levels, names[action]);
}

int64_t mh_power_for_notification(const struct mh_power_levels *levels,
				  struct mh_str key)
{
	const struct level *level = find(&levels->notifications, key);

	return level ? level->value : NOTIFICATION_DEFAULT;
}

/* --- changes ------------------------------------------------------------ */

struct change {
	struct mh_str sender;
	int64_t power; /* the sender's, by the levels that are replaced */
	char *reason;
	size_t reason_size;
};

/* Fills in the reason; returns false, for `return refuse(...)`. */
static bool refuse(const struct change *change, const char *what,
		   struct mh_str key, int64_t level)
{
	/* A key may be long, and is not to be cut inside a character. */
	key = mh_str_first(key, 60);
	while (!mh_str_is_utf8(key))
		key.len--;
	snprintf(change->reason, change->reason_size,
		 "sender of level %" PRId64 " may not %s the level of '%.*s', "
		 "%" PRId64,
		 change->power, what, MH_STR_ARG(key), level);
	return false;
}

/* `from` or `to` is NULL where the entry was added or removed. */
static bool entry_allowed(const struct change *change, const struct level *from,
			  const struct level *to, bool of_users)
{
	if (from && to && from->value == to->value)
		return true;
	if (from && of_users) {
		if (!mh_str_eq(from->key, change->sender) &&
		    from->value >= change->power)
			return refuse(change, "change", from->key, from->value);
	} else if (from && from->value > change->power) {
		return refuse(change, "change", from->key, from->value);
	}
	if (to && to->value > change->power)
		return refuse(change, "set", to->key, to->value);
	return true;
}

/* Both maps are sorted: one pass finds added, changed and removed entries. */
static bool map_allowed(const struct change *change,
			const struct level_map *from,
			const struct level_map *to, bool of_users)
{
	size_t i = 0, j = 0;

	while (i < from->n || j < to->n) {
		const struct level *old = i < from->n ? &from->at[i] : NULL;
		const struct level *new = j < to->n ? &to->at[j] : NULL;
		int order = !old ? 1 : !new ? -1 : by_key(old, new);

		if (order < 0)
			new = NULL;
		else if (order > 0)
			old = NULL;
		if (!entry_allowed(change, old, new, of_users))
			return false;
		i += old != NULL;
		j += new != NULL;
	}
	return true;
}

static bool named_allowed(const struct change *change,
			  const struct mh_power_levels *from,
			  const struct mh_power_levels *to)
{
	for (size_t i = 0; i < N_LEVEL_NAMES; i++) {
		struct level old = { mh_str(level_names[i].name),
				     from->named[i].value };
		struct level new = { old.key, to->named[i].value };

		if (!entry_allowed(change, from->has_named[i] ? &old : NULL,
				   to->has_named[i] ? &new : NULL, false))
			return false;
	}
	return true;
}

bool mh_power_levels_change_allowed(const struct mh_power_levels *from,
				    const struct mh_power_levels *to,
				    struct mh_str sender, char *reason,
				    size_t reason_size)
{
	const struct change change = {
		.sender = sender,
		.power = mh_power_of_user(from, sender),
		.reason = reason,
		.reason_size = reason_size,
	};

	return named_allowed(&change, from, to) &&
	       map_allowed(&change, &from->events, &to->events, false) &&
	       (!to->rules->limit_notifications_pl ||
		map_allowed(&change, &from->notifications, &to->notifications,
			    false)) &&
	       map_allowed(&change, &from->users, &to->users, true);
}
