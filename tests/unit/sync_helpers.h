/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations of people over a node, for the tests of sync: each function
 * sends one request and fails the test unless it succeeds. Include it after
 * cmocka.h.
 */
#pragma once

#include "base/arena.h"
#include "unit/node.h"

#include <stdio.h>
#include <stdlib.h>

#define API "/_matrix/client/v3"

/* Everything a test has at hand. */
struct world {
	struct node node;
	struct person alice, bob, carol;
	struct mh_arena arena; /* strings that live as long as the test */
};

static inline int world_setup(void **state)
{
	struct world *w = mh_alloc0(sizeof(*w));

	node_start(&w->node);
	w->alice = node_register(&w->node, "alice");
	w->bob = node_register(&w->node, "bob");
	w->carol = node_register(&w->node, "carol");
	*state = w;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *w = *state;

	person_release(&w->alice);
	person_release(&w->bob);
	person_release(&w->carol);
	node_stop(&w->node);
	mh_arena_release(&w->arena);
	free(w);
	return 0;
}

static inline struct reply ask(struct world *w, const struct person *who,
			       const char *method, const char *target,
			       const char *body)
{
	struct reply reply = node_request(&w->node, method, target, who->token,
					  body);

	if (reply.status != 200)
		print_error("%s %s: %d %s\n", method, target, reply.status,
			    reply.text ? reply.text : "(no reply)");
	assert_int_equal(reply.status, 200);
	return reply;
}

static inline void tell(struct world *w, const struct person *who,
			const char *method, const char *target,
			const char *body)
{
	struct reply reply = ask(w, who, method, target, body);

	reply_release(&reply);
}

/* A string of the reply, kept. */
static inline const char *keep(struct world *w, const char *s)
{
	return mh_arena_cstr(&w->arena, mh_str(s));
}

static inline const char *fmt(struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline const char *fmt(struct world *w, const char *format, ...)
{
	char buf[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(buf, sizeof(buf), format, args);
	va_end(args);
	return keep(w, buf);
}

static inline const char *make_room(struct world *w, const struct person *who,
				    const char *body)
{
	struct reply reply;
	const char *room;

	/* A room of version 12 is named by its create event's hash, and time
	 * is part of that. */
	mh_executor_advance(w->node.executor, 1);
	reply = ask(w, who, "POST", API "/createRoom", body);
	room = keep(w, reply_str(&reply, "room_id"));
	reply_release(&reply);
	return room;
}

static inline const char *say(struct world *w, const struct person *who,
			      const char *room, const char *text)
{
	static int txn;
	struct reply reply = ask(
		w, who, "PUT",
		fmt(w, API "/rooms/%s/send/m.room.message/t%d", room, ++txn),
		fmt(w, "{\"msgtype\":\"m.text\",\"body\":\"%s\"}", text));
	const char *id = keep(w, reply_str(&reply, "event_id"));

	reply_release(&reply);
	return id;
}

static inline const char *set_state(struct world *w, const struct person *who,
				    const char *room, const char *type,
				    const char *key, const char *content)
{
	struct reply reply =
		ask(w, who, "PUT",
		    fmt(w, API "/rooms/%s/state/%s/%s", room, type, key),
		    content);
	const char *id = keep(w, reply_str(&reply, "event_id"));

	reply_release(&reply);
	return id;
}

static inline void join(struct world *w, const struct person *who,
			const char *room)
{
	tell(w, who, "POST", fmt(w, API "/rooms/%s/join", room), "{}");
}

static inline void leave(struct world *w, const struct person *who,
			 const char *room)
{
	tell(w, who, "POST", fmt(w, API "/rooms/%s/leave", room), "{}");
}

static inline void invite(struct world *w, const struct person *who,
			  const char *room, const struct person *whom)
{
	tell(w, who, "POST", fmt(w, API "/rooms/%s/invite", room),
	     fmt(w, "{\"user_id\":\"%s\"}", whom->user_id));
}

/* `query` begins with '&' or is empty; `since` NULL: initial. */
static inline struct reply sync_once(struct world *w, const struct person *who,
				     const char *since, const char *query)
{
	return ask(w, who, "GET",
		   since ? fmt(w, API "/sync?since=%s%s", since, query) :
			   fmt(w, API "/sync?timeout=0%s", query),
		   NULL);
}

static inline const char *next_batch(struct world *w, struct reply *reply)
{
	return keep(w, reply_str(reply, "next_batch"));
}

/* Syncs and keeps the token alone. */
static inline const char *sync_token(struct world *w, const struct person *who,
				     const char *since)
{
	struct reply reply = sync_once(w, who, since, "");
	const char *token = next_batch(w, &reply);

	reply_release(&reply);
	return token;
}

/* rooms.<kind>.<room>, or NULL. */
static inline json_t *room_in(const struct reply *reply, const char *kind,
			      const char *room)
{
	return json_object_get(
		json_object_get(json_object_get(reply->json, "rooms"), kind),
		room);
}

/* The events of a section ("timeline", "state", ...) of a room. */
static inline json_t *events_of(json_t *room, const char *section)
{
	return json_object_get(json_object_get(room, section), "events");
}

static inline const char *str_of(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* The first event of this type (and state key, unless NULL) in a list. */
static inline json_t *event_of(json_t *events, const char *type,
			       const char *state_key)
{
	size_t i;
	json_t *event;

	json_array_foreach(events, i, event)
		if (!strcmp(str_of(event, "type"), type) &&
		    (!state_key ||
		     (json_object_get(event, "state_key") &&
		      !strcmp(str_of(event, "state_key"), state_key))))
			return event;
	return NULL;
}

/* How many events of this type there are. */
static inline size_t count_of(json_t *events, const char *type)
{
	size_t i, n = 0;
	json_t *event;

	json_array_foreach(events, i, event)
		n += !strcmp(str_of(event, "type"), type);
	return n;
}

/* content.body of the n-th event. */
static inline const char *body_at(json_t *events, size_t n)
{
	return str_of(json_object_get(json_array_get(events, n), "content"),
		      "body");
}
