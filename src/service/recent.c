/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recent events: of each room in use the newest ones are kept as clients get
 * them, so that a sync copies bytes. Each room's tail is complete down to
 * tail_from. All tails together are bounded; the room that was not used for the
 * longest time loses its tail first, and what is missing is read from the store
 * again.
 */
#include "service/notifier_impl.h"

#include "base/settings.h"

#include <stdlib.h>

size_t mh_recent_budget(const struct mh_server *server)
{
	return (size_t)server->settings->memory.budget / MH_TAIL_BUDGET_PART;
}

/* --- one event ---------------------------------------------------------- */

static int visibility_is_shared(struct mh_db *db, int64_t group, bool *ret,
				struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	mh_nid type = mh_name_find(db, MH_STR("m.room.history_visibility"), err);
	mh_nid key = mh_name_find(db, MH_STR(""), err);
	struct mh_str value;
	mh_nid event = 0;

	if (type < 0 || key < 0)
		return -1;
	if (type && key && group)
		event = mh_state_group_get(db, group, type, key, err);
	*ret = true; /* without an event it is "shared" */
	if (event <= 0)
		return (int)event;
	if (mh_events_get_nid(db, event, &row, err) < 0)
		return -1;
	if (!row.event)
		return mh_fail_internal(err, "a state event is missing");
	value = mh_json_slice(row.event->content, "history_visibility");
	*ret = !mh_str_is(value, "\"joined\"") &&
	       !mh_str_is(value, "\"invited\"");
	return 0;
}

/* Messages share their state group, so one answer a room goes a long way. */
static int find_shared(struct mh_notifier *notifier, struct mh_db *db,
		       const struct mh_event_row *row, bool *ret,
		       struct mh_error *err)
{
	struct mh_room_entry *entry;
	bool known = false;

	mh_notifier_lock(notifier);
	entry = mh_room_entry_find(notifier, row->room);
	if (entry && entry->shared_group == row->state_before &&
	    row->state_before) {
		known = true;
		*ret = entry->shared;
	}
	mh_notifier_unlock(notifier);
	if (known)
		return 0;
	if (visibility_is_shared(db, row->state_before, ret, err) < 0)
		return -1;
	mh_notifier_lock(notifier);
	entry = mh_room_entry_find(notifier, row->room);
	if (entry) {
		entry->shared_group = row->state_before;
		entry->shared = *ret;
	}
	mh_notifier_unlock(notifier);
	return 0;
}

/* "prev_content" and "replaces_state" of a state event. */
static int add_previous(struct mh_db *db, const struct mh_event_row *row,
			struct mh_strbuf *extra, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row previous = { 0 };
	mh_nid nid;

	if (!mh_event_is_state(row->event) || !row->state_before)
		return 0;
	nid = mh_state_group_get(db, row->state_before, row->type,
				 row->state_key, err);
	if (nid <= 0)
		return (int)nid;
	if (mh_events_get_nid(db, nid, &previous, err) < 0)
		return -1;
	if (!previous.event)
		return 0;
	mh_strbuf_addlit(extra, "\"prev_content\":");
	mh_strbuf_addstr(extra, previous.event->content);
	mh_strbuf_addlit(extra, ",\"replaces_state\":");
	mh_json_add_str(extra, previous.event->event_id);
	return 0;
}

static int add_redaction(struct mh_db *db, const struct mh_event_row *row,
			 struct mh_strbuf *extra, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row redaction = { 0 };

	if (!row->redacted_by)
		return 0;
	if (mh_events_get_nid(db, row->redacted_by, &redaction, err) < 0)
		return -1;
	if (!redaction.event)
		return 0;
	if (extra->len)
		mh_strbuf_addch(extra, ',');
	mh_strbuf_addlit(extra, "\"redacted_because\":");
	mh_event_client_json_open(redaction.event, false, extra);
	mh_strbuf_addch(extra, '}');
	return 0;
}

int mh_recent_new(struct mh_notifier *notifier, struct mh_db *db,
		  const struct mh_event_row *row, struct mh_recent **ret,
		  struct mh_error *err)
{
	MH_STRBUF(json);
	MH_STRBUF(extra);
	struct mh_recent *recent;
	bool shared;
	char *bytes;

	if (find_shared(notifier, db, row, &shared, err) < 0 ||
	    add_previous(db, row, &extra, err) < 0 ||
	    add_redaction(db, row, &extra, err) < 0)
		return -1;
	mh_event_client_json_open(row->event, false, &json);

	recent = mh_alloc(sizeof(*recent) + json.len + extra.len);
	bytes = (char *)(recent + 1);
	*recent = (struct mh_recent){
		.refs = 1,
		.row = *row,
		.shared = shared,
		.json = { bytes, json.len },
		.extra = { bytes + json.len, extra.len },
		.bytes = sizeof(*recent) + sizeof(struct mh_event) + json.len +
			 extra.len + row->event->json.len + 256,
	};
	recent->row.event = mh_event_ref(row->event);
	memcpy(bytes, json.data, json.len);
	memcpy(bytes + json.len, extra.data, extra.len);
	*ret = recent;
	return 0;
}

struct mh_recent *mh_recent_ref(struct mh_recent *recent)
{
	__atomic_add_fetch(&recent->refs, 1, __ATOMIC_RELAXED);
	return recent;
}

void mh_recent_unref(struct mh_recent *recent)
{
	if (!recent ||
	    __atomic_sub_fetch(&recent->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	mh_event_row_release(&recent->row);
	free(recent);
}

/* --- tails --------------------------------------------------------------- */

static void unlink_tail(struct mh_notifier *notifier,
			struct mh_room_entry *entry)
{
	if (entry->newer)
		entry->newer->older = entry->older;
	else if (notifier->newest_tail == entry)
		notifier->newest_tail = entry->older;
	if (entry->older)
		entry->older->newer = entry->newer;
	else if (notifier->oldest_tail == entry)
		notifier->oldest_tail = entry->newer;
	entry->newer = NULL;
	entry->older = NULL;
}

void mh_tail_used(struct mh_notifier *notifier, struct mh_room_entry *entry)
{
	if (entry->n_tail == 0 || notifier->newest_tail == entry)
		return;
	unlink_tail(notifier, entry);
	entry->older = notifier->newest_tail;
	if (entry->older)
		entry->older->newer = entry;
	else
		notifier->oldest_tail = entry;
	notifier->newest_tail = entry;
}

/* Everything up to `n` from the old end. */
static void drop_oldest(struct mh_notifier *notifier,
			struct mh_room_entry *entry, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		entry->tail_from = entry->tail[i]->row.pos;
		notifier->tail_bytes -= entry->tail[i]->bytes;
		mh_recent_unref(entry->tail[i]);
	}
	entry->n_tail -= n;
	memmove(entry->tail, entry->tail + n,
		entry->n_tail * sizeof(entry->tail[0]));
	if (entry->n_tail == 0)
		unlink_tail(notifier, entry);
}

void mh_tail_drop(struct mh_notifier *notifier, struct mh_room_entry *entry)
{
	if (entry->n_tail)
		drop_oldest(notifier, entry, entry->n_tail);
}

static void keep_budget(struct mh_notifier *notifier)
{
	while (notifier->tail_bytes > notifier->tail_budget &&
	       notifier->oldest_tail)
		mh_tail_drop(notifier, notifier->oldest_tail);
}

void mh_tail_append(struct mh_notifier *notifier, struct mh_room_entry *entry,
		    int64_t pos, struct mh_recent *recent)
{
	if (!recent) {
		mh_tail_drop(notifier, entry);
		entry->tail_from = pos;
		return;
	}
	if (entry->tail_from == INT64_MAX)
		entry->tail_from = pos - 1;
	if (entry->n_tail == MH_TAIL_MAX)
		drop_oldest(notifier, entry, MH_TAIL_MAX / 4);
	entry->tail[entry->n_tail++] = recent;
	notifier->tail_bytes += recent->bytes;
	mh_tail_used(notifier, entry);
	keep_budget(notifier);
}

void mh_tail_prepend(struct mh_notifier *notifier, struct mh_room_entry *entry,
		     int64_t at, int64_t from, struct mh_recent **older,
		     size_t n, int64_t until)
{
	if (entry->tail_from != from || entry->redacted_pos > at)
		return;
	if (n > MH_TAIL_MAX - entry->n_tail) {
		n = MH_TAIL_MAX - entry->n_tail;
		if (n == 0)
			return;
		until = older[n - 1]->row.pos - 1;
	}
	memmove(entry->tail + n, entry->tail,
		entry->n_tail * sizeof(entry->tail[0]));
	for (size_t i = 0; i < n; i++) {
		entry->tail[n - 1 - i] = mh_recent_ref(older[i]);
		notifier->tail_bytes += older[i]->bytes;
	}
	entry->n_tail += n;
	entry->tail_from = until;
	mh_tail_used(notifier, entry);
	keep_budget(notifier);
}
