/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members in a sync: a room's summary, and what each device has been told.
 *
 * For lazy loading the node remembers which members it has sent to a device, and
 * with which position: the device has them once it comes back with a token of
 * that position or a later one. A response that was lost is so made up for. The
 * memory is bounded; a device that is forgotten gets members once more.
 */
#include "service/sync_impl.h"

#include "service/keys.h"

#include <stdlib.h>
#include <uthash.h>

/* Members that are remembered: over all devices, and of one. 32 bytes each. */
#define MEMBERS_MAX 1000000
#define DEVICE_MEMBERS_MAX 50000
#define DEVICES_MAX 50000

/* --- summaries ---------------------------------------------------------------- */

struct hero {
	mh_nid user;
	int64_t pos;
};

/* Of a state group, kept with its room. */
struct mh_sync_summary {
	int64_t group;
	struct mh_member_counts counts;
	bool named; /* has a name or an alias: needs no heroes */
	struct hero heroes[MH_HEROES + 1];
	size_t n_heroes;
};

static int has_text(struct mh_sync_job *job, mh_nid room, const char *type,
		    const char *key, bool *ret, struct mh_error *err)
{
	MH_CLEANUP(mh_event_row_release) struct mh_event_row row = { 0 };
	int rc = mh_state_current_get(job->db, room, type, MH_STR(""), &row,
				      err);
	struct mh_str value;

	if (rc < 0)
		return -1;
	if (rc > 0) {
		value = mh_json_slice(row.event->content, key);
		if (value.len > 2 && value.data[0] == '"')
			*ret = true;
	}
	return 0;
}

static int add_hero(void *context, const struct mh_member *member)
{
	struct mh_sync_summary *summary = context;
	size_t i = summary->n_heroes;

	/* Sorted by position, with the earliest kept. */
	if (i == MH_HEROES + 1) {
		if (member->pos >= summary->heroes[i - 1].pos)
			return 0;
		i--;
	} else {
		summary->n_heroes++;
	}
	for (; i > 0 && summary->heroes[i - 1].pos > member->pos; i--)
		summary->heroes[i] = summary->heroes[i - 1];
	summary->heroes[i] = (struct hero){ member->user, member->pos };
	return 1;
}

static int find_heroes(struct mh_sync_job *job, mh_nid room, mh_nid alone,
		       struct mh_sync_summary *summary, struct mh_error *err)
{
	if (mh_member_list(job->db, room, MH_MEMBERSHIP_JOIN, add_hero, summary,
			   err) < 0 ||
	    mh_member_list(job->db, room, MH_MEMBERSHIP_INVITE, add_hero,
			   summary, err) < 0)
		return -1;
	/* "When no joined or invited members are available, this should consist
	 * of the banned and left users available." */
	if (summary->n_heroes > 1 ||
	    (summary->n_heroes && summary->heroes[0].user != alone))
		return 0;
	if (mh_member_list(job->db, room, MH_MEMBERSHIP_LEAVE, add_hero,
			   summary, err) < 0)
		return -1;
	return mh_member_list(job->db, room, MH_MEMBERSHIP_BAN, add_hero,
			      summary, err);
}

static int load_summary(struct mh_sync_job *job, mh_nid room, int64_t group,
			struct mh_sync_summary *ret, struct mh_error *err)
{
	*ret = (struct mh_sync_summary){ .group = group };
	if (mh_member_count(job->db, room, &ret->counts, err) < 0 ||
	    has_text(job, room, "m.room.name", "name", &ret->named, err) < 0 ||
	    has_text(job, room, "m.room.canonical_alias", "alias", &ret->named,
		     err) < 0)
		return -1;
	if (ret->named)
		return 0;
	return find_heroes(job, room, job->user, ret, err);
}

static int get_summary(struct mh_sync_job *job, struct mh_sync_room *room,
		       struct mh_sync_summary *ret, struct mh_error *err)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_room_entry *entry = room->entry;
	int64_t group = mh_sync_current_group(job, room, err);
	bool found = false;

	if (group < 0)
		return -1;
	pthread_mutex_lock(&sync->mutex);
	if (entry->summary && entry->summary->group == group) {
		*ret = *entry->summary;
		found = true;
	}
	pthread_mutex_unlock(&sync->mutex);
	if (found)
		return 0;
	if (load_summary(job, entry->room, group, ret, err) < 0)
		return -1;
	pthread_mutex_lock(&sync->mutex);
	/* Who is alone in a room has other heroes than everybody else. */
	if (ret->named || ret->counts.joined + ret->counts.invited > 1) {
		if (!entry->summary)
			entry->summary = MH_NEW(struct mh_sync_summary);
		*entry->summary = *ret;
	}
	pthread_mutex_unlock(&sync->mutex);
	return 0;
}

static int add_heroes(struct mh_sync_job *job,
		      const struct mh_sync_summary *summary, mh_nid *heroes,
		      size_t *n_heroes, struct mh_error *err)
{
	struct mh_str user_id;

	mh_strbuf_addlit(job->out, ",\"m.heroes\":[");
	for (size_t i = 0; i < summary->n_heroes && *n_heroes < MH_HEROES; i++) {
		if (summary->heroes[i].user == job->user)
			continue;
		heroes[(*n_heroes)++] = summary->heroes[i].user;
		if (mh_name_get_str(job->db, summary->heroes[i].user,
				    &job->arena, &user_id, err) < 0)
			return -1;
		mh_json_add_comma(job->out);
		mh_json_add_str(job->out, user_id);
	}
	mh_strbuf_addch(job->out, ']');
	return 0;
}

int mh_sync_add_summary(struct mh_sync_job *job, struct mh_sync_room *room,
			mh_nid *heroes, size_t *n_heroes, struct mh_error *err)
{
	struct mh_sync_summary summary;

	*n_heroes = 0;
	if (mh_sync_need_db(job, err) < 0 ||
	    get_summary(job, room, &summary, err) < 0)
		return -1;
	mh_json_add_key(job->out, MH_STR("summary"));
	mh_strbuf_addlit(job->out, "{\"m.joined_member_count\":");
	mh_strbuf_addint(job->out, summary.counts.joined);
	mh_strbuf_addlit(job->out, ",\"m.invited_member_count\":");
	mh_strbuf_addint(job->out, summary.counts.invited);
	if (!summary.named &&
	    add_heroes(job, &summary, heroes, n_heroes, err) < 0)
		return -1;
	mh_strbuf_addch(job->out, '}');
	return 0;
}

/* --- devices ---------------------------------------------------------------------- */

struct member_key {
	mh_nid room, member;
};

struct sent {
	struct member_key key; /* room 0: free */
	int64_t at;
};

struct device_key {
	mh_nid user;
	int64_t session;
};

struct mh_sync_device {
	struct device_key key;
	struct sent *slots; /* open addressing; cap is 0 or a power of two */
	size_t n, cap;
	/* "device_one_time_keys_count" and the fallback key types. */
	char *key_counts;
	size_t key_counts_len;
	int64_t key_counts_at;
	UT_hash_handle hh;
};

static void forget_members(struct mh_sync *sync, struct mh_sync_device *device)
{
	sync->device_members -= device->n;
	free(device->slots);
	device->slots = NULL;
	device->n = 0;
	device->cap = 0;
}

static void free_device(struct mh_sync *sync, struct mh_sync_device *device)
{
	forget_members(sync, device);
	HASH_DEL(sync->devices, device);
	free(device->key_counts);
	free(device);
}

void mh_sync_devices_free(struct mh_sync *sync)
{
	struct mh_sync_device *device, *next;

	HASH_ITER(hh, sync->devices, device, next)
		free_device(sync, device);
}

static struct device_key key_of(const struct mh_sync_job *job)
{
	const struct mh_requester *who = job->query->who;

	return (struct device_key){ who->user, who->session };
}

/* With sync's mutex held. The device moves to the end: the one used last. */
static struct mh_sync_device *find_device(const struct mh_sync_job *job)
{
	struct mh_sync *sync = job->server->sync;
	struct device_key key = key_of(job);
	struct mh_sync_device *device;

	HASH_FIND(hh, sync->devices, &key, sizeof(key), device);
	if (device && device->hh.next) {
		HASH_DELETE(hh, sync->devices, device);
		HASH_ADD(hh, sync->devices, key, sizeof(device->key), device);
	}
	return device;
}

static struct mh_sync_device *get_device(const struct mh_sync_job *job)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_device *device = find_device(job);

	if (device)
		return device;
	if (HASH_COUNT(sync->devices) >= DEVICES_MAX)
		free_device(sync, sync->devices);
	device = MH_NEW(struct mh_sync_device);
	device->key = key_of(job);
	HASH_ADD(hh, sync->devices, key, sizeof(device->key), device);
	return device;
}

static struct sent *find_slot(const struct mh_sync_device *device, mh_nid room,
			      mh_nid member)
{
	uint64_t hash = ((uint64_t)room * UINT64_C(0x9e3779b97f4a7c15)) ^
			((uint64_t)member * UINT64_C(0xc2b2ae3d27d4eb4f));
	size_t i = (size_t)(hash >> 32) & (device->cap - 1);

	while (device->slots[i].key.room &&
	       (device->slots[i].key.room != room ||
		device->slots[i].key.member != member))
		i = (i + 1) & (device->cap - 1);
	return &device->slots[i];
}

static void grow(struct mh_sync_device *device)
{
	struct mh_sync_device old = *device;

	device->cap = old.cap ? 2 * old.cap : 32;
	device->slots = mh_alloc_array(device->cap, sizeof(*device->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].key.room)
			*find_slot(device, old.slots[i].key.room,
				   old.slots[i].key.member) = old.slots[i];
	free(old.slots);
}

static void remember(struct mh_sync *sync, struct mh_sync_device *device,
		     struct member_key key, int64_t at)
{
	struct sent *slot;

	if (device->n >= DEVICE_MEMBERS_MAX)
		forget_members(sync, device);
	if (2 * (device->n + 1) > device->cap)
		grow(device);
	slot = find_slot(device, key.room, key.member);
	if (!slot->key.room) {
		device->n++;
		sync->device_members++;
		slot->key = key;
		slot->at = at;
	} else if (slot->at > at) {
		slot->at = at;
	}
}

bool mh_sync_member_known(struct mh_sync_job *job, mh_nid room, mh_nid member)
{
	struct mh_sync *sync = job->server->sync;
	const struct mh_sync_device *device;
	bool known = false;

	if (!job->query->has_since)
		return false;
	pthread_mutex_lock(&sync->mutex);
	device = find_device(job);
	if (device && device->cap) {
		const struct sent *sent = find_slot(device, room, member);

		known = sent->key.room && sent->at <= job->from;
	}
	pthread_mutex_unlock(&sync->mutex);
	return known;
}

void mh_sync_member_sent(struct mh_sync_job *job, mh_nid room, mh_nid member)
{
	if (job->n_sent == job->cap_sent) {
		struct mh_sync_sent *more;

		job->cap_sent = job->cap_sent ? 2 * job->cap_sent : 16;
		more = mh_arena_alloc_array(&job->arena, job->cap_sent,
					    sizeof(*more));
		if (job->n_sent)
			memcpy(more, job->sent, job->n_sent * sizeof(*more));
		job->sent = more;
	}
	job->sent[job->n_sent++] = (struct mh_sync_sent){ room, member };
}

void mh_sync_members_done(struct mh_sync_job *job)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_device *device;

	if (job->n_sent == 0)
		return;
	pthread_mutex_lock(&sync->mutex);
	device = get_device(job);
	for (size_t i = 0; i < job->n_sent; i++)
		remember(sync, device,
			 (struct member_key){ job->sent[i].room,
					      job->sent[i].member },
			 job->to);
	while (sync->device_members > MEMBERS_MAX && sync->devices != device)
		free_device(sync, sync->devices);
	pthread_mutex_unlock(&sync->mutex);
}

void mh_sync_members_forget(struct mh_sync_job *job)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_device *device;

	pthread_mutex_lock(&sync->mutex);
	device = find_device(job);
	if (device)
		forget_members(sync, device);
	pthread_mutex_unlock(&sync->mutex);
}

/* --- key counts --------------------------------------------------------------------- */

static bool counts_from_memory(struct mh_sync_job *job, int64_t user_pos)
{
	struct mh_sync *sync = job->server->sync;
	const struct mh_sync_device *device;
	bool found = false;

	pthread_mutex_lock(&sync->mutex);
	device = find_device(job);
	if (device && device->key_counts && device->key_counts_at >= user_pos) {
		mh_strbuf_add(job->out, device->key_counts,
			      device->key_counts_len);
		found = true;
	}
	pthread_mutex_unlock(&sync->mutex);
	return found;
}

int mh_sync_add_key_counts(struct mh_sync_job *job, int64_t user_pos,
			   struct mh_error *err)
{
	const struct mh_requester *who = job->query->who;
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_device *device;
	size_t start = job->out->len;

	if (counts_from_memory(job, user_pos))
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	mh_strbuf_addlit(job->out, "\"device_one_time_keys_count\":");
	if (mh_keys_sync_counts(job->db, who, job->out, err) < 0)
		return -1;
	mh_strbuf_addlit(job->out, ",\"device_unused_fallback_key_types\":");
	if (mh_keys_sync_fallback(job->db, who, job->out, err) < 0)
		return -1;
	pthread_mutex_lock(&sync->mutex);
	device = get_device(job);
	free(device->key_counts);
	device->key_counts_len = job->out->len - start;
	device->key_counts =
		mh_memdup(job->out->data + start, device->key_counts_len);
	device->key_counts_at = job->to;
	pthread_mutex_unlock(&sync->mutex);
	return 0;
}
