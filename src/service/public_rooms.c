/* SPDX-License-Identifier: Apache-2.0 */
#include "service/public_rooms.h"

#include "base/arena.h"
#include "core/json.h"

/* What strangers see of a room. */
struct mh_room_card {
	struct mh_str room_id, room_type; /* data NULL: none */
	struct mh_str name, topic, alias, avatar_url, join_rule;
	int64_t joined;
	bool world_readable, guests;
};

/* --- one room ------------------------------------------------------------------ */

static int load_content(struct mh_db *db, mh_nid room, const char *type,
			json_t **ret, struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	int rc = mh_state_current_get(db, room, type, MH_STR(""), &row, err);

	if (rc > 0)
		rc = mh_json_parse_object(row.event->content, ret, err) < 0 ?
			     -1 :
			     1;
	mh_event_row_release(&row);
	return rc;
}

/* A string of a state event's content; data NULL when it is not there. */
static int load_text(struct mh_db *db, mh_nid room, const char *type,
		     const char *key, struct mh_arena *arena,
		     struct mh_str *ret, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *content = NULL;
	struct mh_str text;
	int rc = load_content(db, room, type, &content, err);

	*ret = MH_STR_NONE;
	if (rc <= 0)
		return rc;
	text = mh_json_str(json_object_get(content, key));
	if (text.len)
		*ret = mh_arena_str(arena, text);
	return 0;
}

int mh_room_card_load(struct mh_db *db, mh_nid room, struct mh_arena *arena,
		      struct mh_room_card **ret, struct mh_error *err)
{
	struct mh_room_card *card = MH_ARENA_NEW(arena, struct mh_room_card);
	struct mh_member_counts counts = { 0 };
	struct mh_str visibility, guests;

	if (mh_name_get_str(db, room, arena, &card->room_id, err) < 0 ||
	    mh_member_count(db, room, &counts, err) < 0 ||
	    load_text(db, room, "m.room.create", "type", arena,
		      &card->room_type, err) < 0 ||
	    load_text(db, room, "m.room.name", "name", arena, &card->name,
		      err) < 0 ||
	    load_text(db, room, "m.room.topic", "topic", arena, &card->topic,
		      err) < 0 ||
	    load_text(db, room, "m.room.canonical_alias", "alias", arena,
		      &card->alias, err) < 0 ||
	    load_text(db, room, "m.room.avatar", "url", arena,
		      &card->avatar_url, err) < 0 ||
	    load_text(db, room, "m.room.join_rules", "join_rule", arena,
		      &card->join_rule, err) < 0 ||
	    load_text(db, room, "m.room.history_visibility",
		      "history_visibility", arena, &visibility, err) < 0 ||
	    load_text(db, room, "m.room.guest_access", "guest_access", arena,
		      &guests, err) < 0)
		return -1;
	card->joined = counts.joined;
	card->world_readable = mh_str_is(visibility, "world_readable");
	card->guests = mh_str_is(guests, "can_join");
	*ret = card;
	return 0;
}

static void add_text(struct mh_strbuf *out, const char *key, struct mh_str text)
{
	if (!text.len)
		return;
	mh_json_add_key(out, mh_str(key));
	mh_json_add_str(out, text);
}

void mh_room_card_json(const struct mh_room_card *card, struct mh_strbuf *out)
{
	add_text(out, "room_id", card->room_id);
	add_text(out, "name", card->name);
	add_text(out, "topic", card->topic);
	add_text(out, "canonical_alias", card->alias);
	add_text(out, "avatar_url", card->avatar_url);
	add_text(out, "join_rule", card->join_rule);
	add_text(out, "room_type", card->room_type);
	mh_json_add_key(out, MH_STR("num_joined_members"));
	mh_strbuf_addint(out, card->joined);
	mh_json_add_key(out, MH_STR("world_readable"));
	mh_strbuf_addf(out, "%s", card->world_readable ? "true" : "false");
	mh_json_add_key(out, MH_STR("guest_can_join"));
	mh_strbuf_addf(out, "%s", card->guests ? "true" : "false");
}

/* --- the list ------------------------------------------------------------------- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Does `text` hold `term`? ASCII letters match in either case. */
static bool holds(struct mh_str text, struct mh_str term)
{
	for (size_t i = 0; i + term.len <= text.len; i++) {
		size_t n = 0;

		while (n < term.len &&
		       lower(text.data[i + n]) == lower(term.data[n]))
			n++;
		if (n == term.len)
			return true;
	}
	return false;
}

static bool matches(const struct mh_public_query *query,
		    const struct mh_room_card *card)
{
	bool type = query->any_type || (query->no_type && !card->room_type.len);

	for (size_t i = 0; !type && i < query->n_types; i++)
		type = card->room_type.data &&
		       mh_str_eq(query->types[i], card->room_type);
	return type &&
	       (!query->term.len || holds(card->name, query->term) ||
		holds(card->topic, query->term) ||
		holds(card->alias, query->term));
}

struct page {
	struct mh_db *db;
	const struct mh_public_query *query;
	struct mh_strbuf *out;
	size_t matching;
};

static int add_room(void *context, mh_nid room, int64_t joined,
		    struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct page *page = context;
	struct mh_room_card *card;
	size_t place;

	(void)joined;
	if (mh_room_card_load(page->db, room, &arena, &card, err) < 0)
		return -1;
	if (!matches(page->query, card))
		return 1;
	place = page->matching++;
	if (place < page->query->from ||
	    place - page->query->from >= page->query->limit)
		return 1;
	mh_json_add_comma(page->out);
	mh_strbuf_addch(page->out, '{');
	mh_room_card_json(card, page->out);
	mh_strbuf_addch(page->out, '}');
	return 1;
}

int mh_public_rooms(struct mh_db *db, const struct mh_public_query *query,
		    struct mh_strbuf *out, struct mh_error *err)
{
	MH_SNAPSHOT(snapshot, db);
	struct page page = { .db = snapshot, .query = query, .out = out };

	mh_strbuf_addlit(out, "{\"chunk\":[");
	if (!query->nothing &&
	    mh_rooms_public(snapshot, add_room, &page, err) < 0)
		return -1;
	mh_strbuf_addch(out, ']');
	if (query->limit && query->from + query->limit < page.matching)
		mh_strbuf_addf(out, ",\"next_batch\":\"n%zu\"",
			       query->from + query->limit);
	if (query->from)
		mh_strbuf_addf(out, ",\"prev_batch\":\"p%zu\"", query->from);
	mh_strbuf_addf(out, ",\"total_room_count_estimate\":%zu}",
		       page.matching);
	return 0;
}
