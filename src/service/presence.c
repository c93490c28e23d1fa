/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presence. What is kept of a user are the facts (what they asked for, when they
 * were active, when a client was last there); their state follows from these
 * and the time, and a timer a user is set to when it would change by itself.
 */
#include "service/presence.h"

#include "base/arena.h"
#include "base/settings.h"
#include "core/json.h"
#include "service/nid_map.h"

#include <pthread.h>
#include <stdlib.h>

#define IDLE_MS (5 * 60 * 1000)
#define OFFLINE_MS (45 * 1000)
#define ACTIVE_MS (60 * 1000)
#define GATHER_MS 500

struct person {
	struct mh_presence *presence;
	mh_nid user;
	enum mh_presence_state state; /* what others see */
	bool away;		      /* asked to be unavailable */
	bool hidden;		      /* asked to be offline */
	bool known; /* was ever active, else last_active says nothing */
	int64_t last_active, there_until; /* mono_ms */
	int waiting; /* clients that wait for news */
	char *status_msg; /* NULL: none */
	size_t status_msg_len;
	struct mh_timer timer;
	int64_t seq; /* of the last change; 0: none yet */
	struct person *newer, *older; /* by seq */
	bool pending;
	struct person *next_pending;
};

struct mh_presence {
	struct mh_server *server;
	pthread_mutex_t mutex;
	struct mh_nid_map people;
	struct person *newest;
	struct person *pending;
	struct mh_timer gather;
	bool gathering;
};

static const char *const names[] = {
	[MH_PRESENCE_OFFLINE] = "offline",
	[MH_PRESENCE_UNAVAILABLE] = "unavailable",
	[MH_PRESENCE_ONLINE] = "online",
};

bool mh_presence_from(struct mh_str text, enum mh_presence_state *ret)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(names); i++) {
		if (!mh_str_is(text, names[i]))
			continue;
		*ret = (enum mh_presence_state)i;
		return true;
	}
	return false;
}

/* --- what follows from the facts; all with the mutex held -------------------------- */

static enum mh_presence_state state_at(const struct person *person, int64_t now)
{
	if (person->hidden ||
	    (person->waiting == 0 && now >= person->there_until))
		return MH_PRESENCE_OFFLINE;
	if (person->away || now >= person->last_active + IDLE_MS)
		return MH_PRESENCE_UNAVAILABLE;
	return MH_PRESENCE_ONLINE;
}

/* When the state may change by itself; 0: never. */
static int64_t next_change(const struct person *person, int64_t now)
{
	int64_t idle = person->last_active + IDLE_MS;
	int64_t due = 0;

	if (state_at(person, now) == MH_PRESENCE_OFFLINE)
		return 0;
	if (person->waiting == 0)
		due = person->there_until;
	if (!person->away && idle > now && (due == 0 || idle < due))
		due = idle;
	return due;
}

static void to_front(struct mh_presence *presence, struct person *person)
{
	if (person->newer)
		person->newer->older = person->older;
	if (person->older)
		person->older->newer = person->newer;
	if (presence->newest == person)
		presence->newest = person->older;
	person->newer = NULL;
	person->older = presence->newest;
	if (person->older)
		person->older->newer = person;
	presence->newest = person;
}

static void changed(struct mh_presence *presence, struct person *person,
		    int64_t now)
{
	person->seq = mh_ephemeral_next(presence->server);
	to_front(presence, person);
	if (!person->pending) {
		person->pending = true;
		person->next_pending = presence->pending;
		presence->pending = person;
	}
	if (!presence->gathering) {
		presence->gathering = true;
		mh_timer_set(presence->server->executor, &presence->gather,
			     now + GATHER_MS);
	}
}

static void follow(struct mh_presence *presence, struct person *person,
		   bool forced)
{
	int64_t now = mh_clock_mono(presence->server->clock);
	enum mh_presence_state state = state_at(person, now);
	int64_t due = next_change(person, now);

	if (due)
		mh_timer_set(presence->server->executor, &person->timer, due);
	else
		mh_timer_cancel(presence->server->executor, &person->timer);
	if (state == person->state && !forced)
		return;
	person->state = state;
	changed(presence, person, now);
}

static void time_is_up(struct mh_task *task)
{
	struct person *person =
		MH_CONTAINER_OF(task, struct person, timer.task);
	struct mh_presence *presence = person->presence;

	pthread_mutex_lock(&presence->mutex);
	follow(presence, person, false);
	pthread_mutex_unlock(&presence->mutex);
}

static void gathered(struct mh_task *task)
{
	struct mh_presence *presence =
		MH_CONTAINER_OF(task, struct mh_presence, gather.task);
	mh_nid *users;
	size_t n = 0;

	pthread_mutex_lock(&presence->mutex);
	presence->gathering = false;
	for (struct person *person = presence->pending; person;
	     person = person->next_pending)
		n++;
	users = mh_alloc_array(n + 1, sizeof(*users));
	n = 0;
	for (struct person *person = presence->pending; person;
	     person = person->next_pending) {
		person->pending = false;
		users[n++] = person->user;
	}
	presence->pending = NULL;
	pthread_mutex_unlock(&presence->mutex);
	for (size_t i = 0; i < n; i++)
		mh_notify_sharers_now(presence->server, users[i]);
	free(users);
}

static struct person *get_person(struct mh_presence *presence, mh_nid user)
{
	struct person *person = mh_nid_map_get(&presence->people, user);

	if (person)
		return person;
	person = MH_NEW(struct person);
	person->presence = presence;
	person->user = user;
	mh_timer_init(&person->timer, presence->server->workers, time_is_up);
	mh_nid_map_put(&presence->people, user, person);
	return person;
}

/* --- what happens --------------------------------------------------------------------- */

static bool enabled(const struct mh_server *server)
{
	return server->settings->presence.enabled;
}

static void active(struct person *person, int64_t now)
{
	person->known = true;
	person->last_active = now;
}

int mh_presence_set(struct mh_server *server, mh_nid user,
		    enum mh_presence_state state, struct mh_str status_msg,
		    struct mh_error *err)
{
	struct mh_presence *presence = server->presence;
	struct person *person;
	int64_t now = mh_clock_mono(server->clock);

	if (status_msg.len > MH_PRESENCE_STATUS_MAX)
		return mh_fail(err, MH_M_TOO_LARGE,
			       "'status_msg' is longer than %d bytes",
			       MH_PRESENCE_STATUS_MAX);
	if (!enabled(server))
		return 0;
	pthread_mutex_lock(&presence->mutex);
	person = get_person(presence, user);
	free(person->status_msg);
	person->status_msg = status_msg.data ? mh_str_dup(status_msg) : NULL;
	person->status_msg_len = status_msg.len;
	person->away = state == MH_PRESENCE_UNAVAILABLE;
	person->hidden = state == MH_PRESENCE_OFFLINE;
	active(person, now);
	if (person->there_until < now + OFFLINE_MS)
		person->there_until = now + OFFLINE_MS;
	follow(presence, person, true);
	pthread_mutex_unlock(&presence->mutex);
	return 0;
}

void mh_presence_syncing(struct mh_server *server, mh_nid user,
			 enum mh_presence_state state)
{
	struct mh_presence *presence = server->presence;
	struct person *person;
	int64_t now = mh_clock_mono(server->clock);

	if (!enabled(server) || state == MH_PRESENCE_OFFLINE)
		return;
	pthread_mutex_lock(&presence->mutex);
	person = get_person(presence, user);
	/* Coming back counts as being active; being there does not. */
	if (person->state == MH_PRESENCE_OFFLINE)
		active(person, now);
	person->hidden = false;
	if (state == MH_PRESENCE_UNAVAILABLE)
		person->away = true;
	else if (person->state == MH_PRESENCE_OFFLINE)
		person->away = false;
	if (person->there_until < now + OFFLINE_MS)
		person->there_until = now + OFFLINE_MS;
	follow(presence, person, false);
	pthread_mutex_unlock(&presence->mutex);
}

void mh_presence_waiting(struct mh_server *server, mh_nid user, int change)
{
	struct mh_presence *presence = server->presence;
	struct person *person;
	int64_t now = mh_clock_mono(server->clock);

	pthread_mutex_lock(&presence->mutex);
	person = get_person(presence, user);
	person->waiting += change;
	MH_ASSERT(person->waiting >= 0);
	if (change < 0 && person->there_until < now + OFFLINE_MS)
		person->there_until = now + OFFLINE_MS;
	if (enabled(server))
		follow(presence, person, false);
	pthread_mutex_unlock(&presence->mutex);
}

void mh_presence_active(struct mh_server *server, mh_nid user)
{
	struct mh_presence *presence = server->presence;
	struct person *person;
	int64_t now = mh_clock_mono(server->clock);

	if (!enabled(server))
		return;
	pthread_mutex_lock(&presence->mutex);
	person = mh_nid_map_get(&presence->people, user);
	/* Who hides, or was never there, is not revealed by sending. */
	if (person && person->state != MH_PRESENCE_OFFLINE) {
		active(person, now);
		person->away = false;
		follow(presence, person, false);
	}
	pthread_mutex_unlock(&presence->mutex);
}

/* --- what is told ------------------------------------------------------------------------ */

void mh_presence_content(struct mh_server *server, mh_nid user,
			 struct mh_strbuf *out)
{
	struct mh_presence *presence = server->presence;
	const struct person *person;
	int64_t ago;

	pthread_mutex_lock(&presence->mutex);
	person = mh_nid_map_get(&presence->people, user);
	mh_strbuf_addlit(out, "{\"presence\":\"");
	mh_strbuf_addstr(out, mh_str(names[person ? person->state : 0]));
	mh_strbuf_addch(out, '"');
	if (person && person->known) {
		ago = mh_clock_mono(server->clock) - person->last_active;
		mh_strbuf_addlit(out, ",\"last_active_ago\":");
		mh_strbuf_addint(out, ago);
		if (person->state == MH_PRESENCE_ONLINE && ago < ACTIVE_MS)
			mh_strbuf_addlit(out, ",\"currently_active\":true");
		else
			mh_strbuf_addlit(out, ",\"currently_active\":false");
	}
	if (person && person->status_msg) {
		mh_strbuf_addlit(out, ",\"status_msg\":");
		mh_json_add_str(out, mh_str_n(person->status_msg,
					      person->status_msg_len));
	}
	mh_strbuf_addch(out, '}');
	pthread_mutex_unlock(&presence->mutex);
}

void mh_presence_changed(struct mh_server *server, int64_t from,
			 struct mh_arena *arena, mh_nid **ret, size_t *ret_n)
{
	struct mh_presence *presence = server->presence;
	const struct person *person;
	size_t n = 0;

	*ret = NULL;
	pthread_mutex_lock(&presence->mutex);
	for (person = presence->newest; person && person->seq > from;
	     person = person->older)
		n++;
	if (n)
		*ret = mh_arena_alloc_array(arena, n, sizeof(mh_nid));
	*ret_n = 0;
	for (person = presence->newest; person && person->seq > from;
	     person = person->older)
		if (from || person->state != MH_PRESENCE_OFFLINE)
			(*ret)[(*ret_n)++] = person->user;
	pthread_mutex_unlock(&presence->mutex);
}

/* --- the whole ----------------------------------------------------------------------------- */

struct mh_presence *mh_presence_new(struct mh_server *server)
{
	struct mh_presence *presence = MH_NEW(struct mh_presence);

	presence->server = server;
	pthread_mutex_init(&presence->mutex, NULL);
	mh_timer_init(&presence->gather, server->workers, gathered);
	return presence;
}

void mh_presence_free(struct mh_presence *presence)
{
	if (!presence)
		return;
	mh_timer_cancel(presence->server->executor, &presence->gather);
	for (size_t i = 0; i < presence->people.cap; i++) {
		struct person *person = presence->people.slots[i].value;

		if (!person)
			continue;
		mh_timer_cancel(presence->server->executor, &person->timer);
		free(person->status_msg);
		free(person);
	}
	mh_nid_map_release(&presence->people);
	pthread_mutex_destroy(&presence->mutex);
	free(presence);
}
