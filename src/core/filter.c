/* SPDX-License-Identifier: Apache-2.0 */
#include "core/filter.h"

#include "core/canonical_json.h"

/* --- parsing ------------------------------------------------------------ */

static int list_parse(const json_t *object, const char *key,
		      struct mh_arena *arena, struct mh_filter_list *ret,
		      struct mh_error *err)
{
	struct mh_str *items;
	json_t *array, *value;
	size_t i;
	int rc;

	rc = mh_json_get_array(object, key, &array, err);
	if (rc <= 0)
		return rc;
	items = mh_arena_alloc_array(arena, json_array_size(array) + 1,
				     sizeof(*items));
	json_array_foreach(array, i, value) {
		if (!json_is_string(value))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'%s' is not an array of strings", key);
		items[i] = mh_arena_str(arena, mh_json_str(value));
	}
	ret->items = items;
	ret->n = json_array_size(array);
	ret->given = true;
	return 0;
}

static int flag_parse(const json_t *object, const char *key, bool *ret,
		      struct mh_error *err)
{
	return mh_json_get_bool(object, key, ret, err) < 0 ? -1 : 0;
}

static int limit_parse(const json_t *object, struct mh_event_filter *ret,
		       struct mh_error *err)
{
	int rc = mh_json_get_int(object, "limit", &ret->limit, err);

	if (rc <= 0)
		return rc;
	if (ret->limit < 0)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'limit' is negative; expected 1 or more");
	ret->has_limit = true;
	return 0;
}

static int event_filter_parse(const json_t *object, struct mh_arena *arena,
			      struct mh_event_filter *ret, struct mh_error *err)
{
	int rc;

	if (list_parse(object, "types", arena, &ret->types, err) < 0 ||
	    list_parse(object, "not_types", arena, &ret->not_types, err) < 0 ||
	    list_parse(object, "senders", arena, &ret->senders, err) < 0 ||
	    list_parse(object, "not_senders", arena, &ret->not_senders, err) <
		    0 ||
	    list_parse(object, "rooms", arena, &ret->rooms, err) < 0 ||
	    list_parse(object, "not_rooms", arena, &ret->not_rooms, err) < 0 ||
	    limit_parse(object, ret, err) < 0 ||
	    flag_parse(object, "lazy_load_members", &ret->lazy_load_members,
		       err) < 0 ||
	    flag_parse(object, "include_redundant_members",
		       &ret->include_redundant_members, err) < 0 ||
	    flag_parse(object, "unread_thread_notifications",
		       &ret->unread_thread_notifications, err) < 0)
		return -1;
	rc = mh_json_get_bool(object, "contains_url", &ret->contains_url, err);
	if (rc < 0)
		return -1;
	ret->has_contains_url = rc > 0;
	return 0;
}

/* A member of `object` that is itself a filter; absent is fine. */
static int part_parse(const json_t *object, const char *key,
		      struct mh_arena *arena, struct mh_event_filter *ret,
		      struct mh_error *err)
{
	json_t *part;
	int rc = mh_json_get_object(object, key, &part, err);

	return rc <= 0 ? rc : event_filter_parse(part, arena, ret, err);
}

static int room_parse(const json_t *filter_json, struct mh_filter *filter,
		      struct mh_error *err)
{
	struct mh_arena *arena = &filter->arena;
	json_t *room;
	int rc = mh_json_get_object(filter_json, "room", &room, err);

	if (rc <= 0)
		return rc;
	if (list_parse(room, "rooms", arena, &filter->room.rooms, err) < 0 ||
	    list_parse(room, "not_rooms", arena, &filter->room.not_rooms, err) <
		    0 ||
	    flag_parse(room, "include_leave", &filter->room.include_leave,
		       err) < 0 ||
	    part_parse(room, "ephemeral", arena, &filter->room.ephemeral, err) <
		    0 ||
	    part_parse(room, "state", arena, &filter->room.state, err) < 0 ||
	    part_parse(room, "timeline", arena, &filter->room.timeline, err) <
		    0 ||
	    part_parse(room, "account_data", arena, &filter->room.account_data,
		       err) < 0)
		return -1;
	return 0;
}

/*
 * "Dot-separated property paths" (appendices): a dot separates keys, "\." is a
 * dot and "\\" a backslash inside a key, any other backslash stands for itself.
 */
static struct mh_filter_list path_split(struct mh_str path,
					struct mh_arena *arena)
{
	struct mh_filter_list keys = { .given = true };
	struct mh_str *items;
	size_t i, dots = 0;
	MH_STRBUF(key);

	for (i = 0; i < path.len; i++)
		dots += path.data[i] == '.';
	items = mh_arena_alloc_array(arena, dots + 1, sizeof(*items));
	for (i = 0; i < path.len; i++) {
		if (path.data[i] == '\\' && i + 1 < path.len &&
		    (path.data[i + 1] == '.' || path.data[i + 1] == '\\')) {
			mh_strbuf_addch(&key, path.data[++i]);
		} else if (path.data[i] == '.') {
			items[keys.n++] =
				mh_arena_str(arena, mh_strbuf_str(&key));
			mh_strbuf_clear(&key);
		} else {
			mh_strbuf_addch(&key, path.data[i]);
		}
	}
	items[keys.n++] = mh_arena_str(arena, mh_strbuf_str(&key));
	keys.items = items;
	return keys;
}

static int fields_parse(const json_t *object, struct mh_filter *filter,
			struct mh_error *err)
{
	struct mh_filter_list paths = { 0 };
	struct mh_filter_list *fields;
	size_t i;

	if (list_parse(object, "event_fields", &filter->arena, &paths, err) < 0)
		return -1;
	if (!paths.given)
		return 0;
	fields = mh_arena_alloc_array(&filter->arena, paths.n + 1,
				      sizeof(*fields));
	for (i = 0; i < paths.n; i++)
		fields[i] = path_split(paths.items[i], &filter->arena);
	filter->fields = fields;
	filter->n_fields = paths.n;
	filter->has_fields = true;
	return 0;
}

static int format_parse(const json_t *object, struct mh_filter *filter,
			struct mh_error *err)
{
	struct mh_str format;
	int rc = mh_json_get_str(object, "event_format", &format, err);

	if (rc <= 0)
		return rc;
	filter->federation_format = mh_str_is(format, "federation");
	if (!filter->federation_format && !mh_str_is(format, "client"))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'event_format' is neither 'client' nor "
			       "'federation'");
	return 0;
}

static int load(struct mh_str json, json_t **ret, struct mh_error *err)
{
	if (json.len > MH_FILTER_MAX_SIZE)
		return mh_fail(err, MH_M_TOO_LARGE,
			       "the filter is %zu bytes; at most %d are taken",
			       json.len, MH_FILTER_MAX_SIZE);
	return mh_json_parse_object(json, ret, err);
}

struct mh_filter *mh_filter_default(void)
{
	struct mh_filter *filter = MH_NEW(struct mh_filter);

	filter->refs = 1;
	mh_arena_init(&filter->arena);
	filter->json = MH_STR("{}");
	return filter;
}

int mh_filter_parse(struct mh_str json, struct mh_filter **ret,
		    struct mh_error *err)
{
	MH_CLEANUP(mh_filter_unrefp) struct mh_filter *filter = NULL;
	MH_CLEANUP(json_decrefp) json_t *object = NULL;

	if (load(json, &object, err) < 0)
		return -1;
	filter = mh_filter_default();
	filter->json = mh_arena_str(&filter->arena, json);
	if (part_parse(object, "presence", &filter->arena, &filter->presence,
		       err) < 0 ||
	    part_parse(object, "account_data", &filter->arena,
		       &filter->account_data, err) < 0 ||
	    room_parse(object, filter, err) < 0 ||
	    fields_parse(object, filter, err) < 0 ||
	    format_parse(object, filter, err) < 0)
		return -1;
	*ret = MH_TAKE(filter);
	return 0;
}

struct mh_filter *mh_filter_ref(struct mh_filter *filter)
{
	__atomic_add_fetch(&filter->refs, 1, __ATOMIC_RELAXED);
	return filter;
}

void mh_filter_unref(struct mh_filter *filter)
{
	if (!filter || __atomic_sub_fetch(&filter->refs, 1, __ATOMIC_ACQ_REL))
		return;
	mh_arena_release(&filter->arena);
	free(filter);
}

int mh_event_filter_parse(struct mh_str json, struct mh_arena *arena,
			  struct mh_event_filter *ret, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *object = NULL;

	*ret = (struct mh_event_filter){ 0 };
	if (load(json, &object, err) < 0)
		return -1;
	return event_filter_parse(object, arena, ret, err);
}

/* --- matching ----------------------------------------------------------- */

static bool list_has(const struct mh_filter_list *list, struct mh_str s)
{
	for (size_t i = 0; i < list->n; i++)
		if (mh_str_eq(list->items[i], s))
			return true;
	return false;
}

/*
 * '*' is any run of characters and nothing else is special. On a mismatch only
 * the latest star need be tried again, so the time is the product of the
 * lengths at worst.
 */
static bool type_glob(struct mh_str pattern, struct mh_str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, resume = 0;

	while (i < s.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			resume = i;
		} else if (p < pattern.len && pattern.data[p] == s.data[i]) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

static bool list_has_type(const struct mh_filter_list *list, struct mh_str type)
{
	for (size_t i = 0; i < list->n; i++)
		if (type_glob(list->items[i], type))
			return true;
	return false;
}

/* Exclusion wins over inclusion in every pair of lists. */
static bool pair_allows(const struct mh_filter_list *include,
			const struct mh_filter_list *exclude, struct mh_str s)
{
	if (list_has(exclude, s))
		return false;
	return !include->given || list_has(include, s);
}

bool mh_filter_room(const struct mh_filter *filter, struct mh_str room_id)
{
	return pair_allows(&filter->room.rooms, &filter->room.not_rooms,
			   room_id);
}

bool mh_event_filter_match_room(const struct mh_event_filter *filter,
				struct mh_str room_id)
{
	return pair_allows(&filter->rooms, &filter->not_rooms, room_id);
}

bool mh_event_filter_match_type(const struct mh_event_filter *filter,
				struct mh_str type, struct mh_str sender)
{
	if (list_has_type(&filter->not_types, type) ||
	    (filter->types.given && !list_has_type(&filter->types, type)))
		return false;
	return !sender.data ||
	       pair_allows(&filter->senders, &filter->not_senders, sender);
}

bool mh_event_filter_match(const struct mh_event_filter *filter,
			   const struct mh_event *event)
{
	if (!mh_event_filter_match_type(filter, event->type, event->sender) ||
	    !mh_event_filter_match_room(filter, event->room_id))
		return false;
	if (!filter->has_contains_url)
		return true;
	return (mh_json_slice(event->content, "url").data != NULL) ==
	       filter->contains_url;
}

bool mh_event_filter_matches_all(const struct mh_event_filter *filter)
{
	return !filter->types.given && !filter->not_types.n &&
	       !filter->senders.given && !filter->not_senders.n &&
	       !filter->rooms.given && !filter->not_rooms.n &&
	       !filter->has_contains_url;
}

size_t mh_event_filter_limit(const struct mh_event_filter *filter, size_t usual,
			     size_t max)
{
	size_t limit = filter->has_limit ? (size_t)filter->limit : usual;

	return limit < max ? limit : max;
}

/* --- event_fields ------------------------------------------------------- */

/* Copies what `keys` names from `from` into `to`, making objects on the way. */
static void field_copy(json_t *to, const json_t *from,
		       const struct mh_filter_list *keys)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct mh_str key = keys->items[i];
		json_t *value = json_object_getn(from, key.data, key.len);
		json_t *inner;

		if (!value)
			return;
		inner = json_object_getn(to, key.data, key.len);
		/* A wider path has copied the whole of it already. */
		if (inner == value)
			return;
		if (i + 1 == keys->n) {
			json_object_setn(to, key.data, key.len, value);
			return;
		}
		if (!json_is_object(value))
			return;
		if (!inner) {
			inner = json_object();
			json_object_setn_new(to, key.data, key.len, inner);
		}
		to = inner;
		from = value;
	}
}

void mh_filter_event_fields(const struct mh_filter *filter, struct mh_str event,
			    struct mh_strbuf *out)
{
	MH_CLEANUP(json_decrefp) json_t *whole = NULL;
	MH_CLEANUP(json_decrefp) json_t *reduced = NULL;
	MH_ERROR(ignored);

	if (!filter->has_fields ||
	    mh_json_parse_object(event, &whole, &ignored) < 0) {
		mh_strbuf_addstr(out, event);
		return;
	}
	reduced = json_object();
	for (size_t i = 0; i < filter->n_fields; i++)
		field_copy(reduced, whole, &filter->fields[i]);
	mh_json_add(out, reduced);
}
