/* SPDX-License-Identifier: Apache-2.0 */
/* More for conversations: refusals, state, and writes that fail. */
#pragma once

#include "service/rooms.h"
#include "unit/sync_helpers.h"

/* The request gets this status and error code. */
static inline void refuse(struct world *w, const struct person *who,
			  const char *method, const char *target,
			  const char *body, int status, const char *errcode)
{
	struct reply reply =
		node_request(&w->node, method, target, who->token, body);

	if (reply.status != status || strcmp(reply.errcode, errcode))
		print_error("%s %s %s: %d %s\n", method, target, body ? body : "",
			    reply.status, reply.text);
	assert_int_equal(reply.status, status);
	assert_string_equal(reply.errcode, errcode);
	reply_release(&reply);
}

/* The reply's body, kept as long as the test. */
static inline json_t *get(struct world *w, const struct person *who,
			  const char *target)
{
	struct reply reply = ask(w, who, "GET", target, NULL);
	json_t *json = json_incref(reply.json);

	reply_release(&reply);
	mh_arena_defer(&w->arena, (void (*)(void *))json_decref, json);
	return json;
}

/* The content of a state event. */
static inline json_t *state_of(struct world *w, const struct person *who,
			       const char *room, const char *type,
			       const char *key)
{
	return get(w, who, fmt(w, API "/rooms/%s/state/%s/%s", room, type, key));
}

/* A part of a path: event IDs of version 3 hold slashes. */
static inline const char *part(struct world *w, const char *s)
{
	MH_STRBUF(out);

	for (; *s; s++)
		if (*s == '/' || *s == '%' || *s == '#' || *s == '?')
			mh_strbuf_addf(&out, "%%%02X", (unsigned char)*s);
		else
			mh_strbuf_addch(&out, *s);
	return keep(w, out.data);
}

static inline json_t *event_by_id(struct world *w, const struct person *who,
				  const char *room, const char *id)
{
	return get(w, who, fmt(w, API "/rooms/%s/event/%s", room,
			 part(w, id)));
}

static inline void cannot_see(struct world *w, const struct person *who,
			      const char *room, const char *id)
{
	refuse(w, who, "GET",
	       fmt(w, API "/rooms/%s/event/%s", room, part(w, id)), NULL, 404,
	       "M_NOT_FOUND");
}

static inline void refuse_state(struct world *w, const struct person *who,
				const char *room, const char *type,
				const char *content, int status,
				const char *errcode)
{
	refuse(w, who, "PUT", fmt(w, API "/rooms/%s/state/%s", room, type),
	       content, status, errcode);
}

static inline const char *membership_of(struct world *w,
					const struct person *asking,
					const char *room,
					const struct person *whom)
{
	return str_of(state_of(w, asking, room, "m.room.member", whom->user_id),
		      "membership");
}

/* POST rooms/{room}/{verb} about somebody. */
static inline const char *act(struct world *w, const char *room,
			      const char *verb)
{
	return fmt(w, API "/rooms/%s/%s", room, verb);
}

static inline const char *about(struct world *w, const struct person *whom)
{
	return fmt(w, "{\"user_id\":\"%s\"}", whom->user_id);
}

/*
 * A write that is tried with its first statement failing, then its second, until
 * no failure is left to happen. Whenever the reply is a failure, `unchanged`
 * must find nothing changed. A reply may be a success although a statement
 * failed, where the node can do without it; so every attempt is a new request.
 */
struct attempts {
	struct world *w;
	const struct person *who;
	const char *method;
	/* The n-th attempt. */
	const char *(*target)(struct world *w, int n, void *context);
	const char *(*body)(struct world *w, int n, void *context);
	void (*unchanged)(struct world *w, int n, void *context);
	void (*changed)(struct world *w, int n, const struct reply *reply,
			void *context);
	void *context;
};

static inline void attempt_all(const struct attempts *a)
{
	struct mh_db *writer = mh_store_writer(a->w->node.server->store);
	bool reached = true;
	int failed = 0;

	for (int n = 1; reached; n++) {
		const char *target = a->target(a->w, n, a->context);
		const char *body = a->body(a->w, n, a->context);
		struct reply reply;

		assert_true(n < 2000);
		mh_db_fail_after(writer, n);
		reply = node_request(&a->w->node, a->method, target,
				     a->who->token, body);
		reached = !mh_db_failing(writer);
		mh_db_fail_after(writer, 0);
		if (reply.status == 200) {
			a->changed(a->w, n, &reply, a->context);
			/* What was made lengthens the lists that are read. */
			n += 2;
		} else {
			assert_true(reached);
			assert_int_equal(reply.status, 500);
			a->unchanged(a->w, n, a->context);
			failed++;
		}
		reply_release(&reply);
	}
	assert_true(failed > 5);
}
