/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is typing: a short list for each room in which somebody types or lately
 * has, and a timer a room, set to when the first of them is over.
 */
#include "service/typing.h"

#include "core/json.h"
#include "service/nid_map.h"

#include <pthread.h>
#include <stdlib.h>

struct typist {
	mh_nid user;
	char *user_id;
	size_t user_id_len;
	int64_t until; /* mono_ms */
};

struct typing_room {
	struct mh_typing *typing;
	mh_nid room;
	struct typist *list;
	size_t n, cap;
	struct mh_timer timer;
};

struct mh_typing {
	struct mh_server *server;
	pthread_mutex_t mutex;
	struct mh_nid_map rooms;
};

static void drop(struct typing_room *room, size_t i)
{
	free(room->list[i].user_id);
	room->list[i] = room->list[--room->n];
}

/* With the mutex held. */
static void set_timer(struct typing_room *room)
{
	struct mh_executor *executor = room->typing->server->executor;
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < room->n; i++)
		if (room->list[i].until < first)
			first = room->list[i].until;
	if (room->n)
		mh_timer_set(executor, &room->timer, first);
	else
		mh_timer_cancel(executor, &room->timer);
}

static void changed(struct mh_server *server, mh_nid room)
{
	mh_ephemeral_next(server);
	mh_notify_room_now(server, room);
}

static void time_is_up(struct mh_task *task)
{
	struct typing_room *room =
		MH_CONTAINER_OF(task, struct typing_room, timer.task);
	struct mh_typing *typing = room->typing;
	int64_t now = mh_clock_mono(typing->server->clock);
	size_t before;

	pthread_mutex_lock(&typing->mutex);
	before = room->n;
	for (size_t i = room->n; i-- > 0;)
		if (room->list[i].until <= now)
			drop(room, i);
	set_timer(room);
	before -= room->n;
	pthread_mutex_unlock(&typing->mutex);
	if (before)
		changed(typing->server, room->room);
}

static struct typing_room *get_room(struct mh_typing *typing, mh_nid nid)
{
	struct typing_room *room = mh_nid_map_get(&typing->rooms, nid);

	if (room)
		return room;
	room = MH_NEW(struct typing_room);
	room->typing = typing;
	room->room = nid;
	mh_timer_init(&room->timer, typing->server->workers, time_is_up);
	mh_nid_map_put(&typing->rooms, nid, room);
	return room;
}

static size_t find(const struct typing_room *room, mh_nid user)
{
	size_t i = 0;

	while (i < room->n && room->list[i].user != user)
		i++;
	return i;
}

static void append(struct typing_room *room, mh_nid user, struct mh_str user_id)
{
	if (room->n == room->cap) {
		room->cap = room->cap ? 2 * room->cap : 4;
		room->list = mh_realloc_array(room->list, room->cap,
					      sizeof(*room->list));
	}
	room->list[room->n++] = (struct typist){
		.user = user,
		.user_id = mh_str_dup(user_id),
		.user_id_len = user_id.len,
	};
}

void mh_typing_set(struct mh_server *server, mh_nid room_nid, mh_nid user,
		   struct mh_str user_id, int64_t timeout_ms)
{
	struct mh_typing *typing = server->typing;
	struct typing_room *room;
	bool was, is = timeout_ms > 0;
	size_t i;

	if (timeout_ms > MH_TYPING_MAX_MS)
		timeout_ms = MH_TYPING_MAX_MS;
	pthread_mutex_lock(&typing->mutex);
	room = get_room(typing, room_nid);
	i = find(room, user);
	was = i < room->n;
	if (is && !was)
		append(room, user, user_id);
	if (is)
		room->list[i].until =
			mh_clock_mono(server->clock) + timeout_ms;
	else if (was)
		drop(room, i);
	set_timer(room);
	pthread_mutex_unlock(&typing->mutex);
	/* Who goes on typing is no news. */
	if (is != was)
		changed(server, room_nid);
}

void mh_typing_list(struct mh_server *server, mh_nid room_nid,
		    bool (*skip)(void *context, struct mh_str user_id),
		    void *context, struct mh_strbuf *out)
{
	struct mh_typing *typing = server->typing;
	const struct typing_room *room;

	mh_strbuf_addch(out, '[');
	pthread_mutex_lock(&typing->mutex);
	room = mh_nid_map_get(&typing->rooms, room_nid);
	for (size_t i = 0; room && i < room->n; i++) {
		struct mh_str id = mh_str_n(room->list[i].user_id,
					    room->list[i].user_id_len);

		if (skip && skip(context, id))
			continue;
		mh_json_add_comma(out);
		mh_json_add_str(out, id);
	}
	pthread_mutex_unlock(&typing->mutex);
	mh_strbuf_addch(out, ']');
}

struct mh_typing *mh_typing_new(struct mh_server *server)
{
	struct mh_typing *typing = MH_NEW(struct mh_typing);

	typing->server = server;
	pthread_mutex_init(&typing->mutex, NULL);
	return typing;
}

void mh_typing_free(struct mh_typing *typing)
{
	if (!typing)
		return;
	for (size_t i = 0; i < typing->rooms.cap; i++) {
		struct typing_room *room = typing->rooms.slots[i].value;

		if (!room)
			continue;
		mh_timer_cancel(typing->server->executor, &room->timer);
		while (room->n)
			drop(room, 0);
		free(room->list);
		free(room);
	}
	mh_nid_map_release(&typing->rooms);
	pthread_mutex_destroy(&typing->mutex);
	free(typing);
}
