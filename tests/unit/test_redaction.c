/* SPDX-License-Identifier: Apache-2.0 */
/* Redactions: of one's own, of others', in every version, in either order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"
#include "unit/write_helpers.h"

static const char *redact_path(struct world *w, const char *room,
			       const char *event, const char *txn)
{
	return fmt(w, API "/rooms/%s/redact/%s/%s", room, part(w, event),
		   txn);
}

static const char *redact(struct world *w, const struct person *who,
			  const char *room, const char *event)
{
	static int txn;
	struct reply reply =
		ask(w, who, "PUT",
		    redact_path(w, room, event, fmt(w, "r%d", ++txn)),
		    "{\"reason\":\"spam\"}");
	const char *id = keep(w, reply_str(&reply, "event_id"));

	reply_release(&reply);
	return id;
}

static void expect_redacted(struct world *w, const char *room, const char *id,
			    const char *by)
{
	json_t *event = event_by_id(w, &w->alice, room, id);
	json_t *because = json_object_get(json_object_get(event, "unsigned"),
					  "redacted_because");

	assert_int_equal(json_object_size(json_object_get(event, "content")),
			 0);
	assert_string_equal(str_of(because, "event_id"), by);
}

static void expect_whole(struct world *w, const char *room, const char *id)
{
	json_t *event = event_by_id(w, &w->alice, room, id);

	assert_true(json_object_size(json_object_get(event, "content")) > 0);
}

static void test_every_version(void **state)
{
	struct world *w = *state;
	const struct mh_room_rules *rules;

	for (size_t i = 0; (rules = mh_room_rules_at(i)); i++) {
		const char *room = make_room(
			w, &w->alice,
			fmt(w,
			    "{\"room_version\":\"%s\",\"preset\":"
			    "\"public_chat\"}",
			    rules->version));
		const char *one, *two, *redaction;
		struct reply reply;
		json_t *event;

		join(w, &w->bob, room);
		one = say(w, &w->bob, room, "one");
		two = say(w, &w->bob, room, "two");
		redaction = redact(w, &w->alice, room, one);
		expect_redacted(w, room, one, redaction);
		event = event_by_id(w, &w->bob, room, redaction);
		assert_string_equal(str_of(event, "redacts"), one);
		/* PUT send does the same, whatever the version. */
		reply = ask(w, &w->bob, "PUT",
			    fmt(w, API "/rooms/%s/send/m.room.redaction/s",
				room),
			    fmt(w, "{\"redacts\":\"%s\",\"reason\":\"x\"}",
				two));
		redaction = keep(w, reply_str(&reply, "event_id"));
		reply_release(&reply);
		expect_redacted(w, room, two, redaction);
		event = event_by_id(w, &w->bob, room, redaction);
		assert_string_equal(str_of(event, "redacts"), two);
		assert_string_equal(str_of(json_object_get(event, "content"),
					   "reason"),
				    "x");
	}
}

static void test_permissions(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice,
				     "{\"preset\":\"public_chat\"}");
	const char *other = make_room(w, &w->alice, "{}");
	const char *alices = say(w, &w->alice, room, "mine");
	const char *elsewhere = say(w, &w->alice, other, "there");
	const char *own;
	json_t *create;

	join(w, &w->bob, room);
	own = say(w, &w->bob, room, "own");
	refuse(w, &w->bob, "PUT", redact_path(w, room, alices, "1"), "{}", 403,
	       "M_FORBIDDEN");
	expect_whole(w, room, alices);
	refuse(w, &w->carol, "PUT", redact_path(w, room, own, "1"), "{}", 403,
	       "M_FORBIDDEN");
	refuse(w, &w->alice, "PUT", redact_path(w, room, elsewhere, "2"), "{}",
	       404, "M_NOT_FOUND");
	refuse(w, &w->alice, "PUT", redact_path(w, room, "$none", "3"), "{}",
	       404, "M_NOT_FOUND");
	refuse(w, &w->alice, "PUT", redact_path(w, room, own, "4"),
	       "{\"reason\":1}", 400, "M_BAD_JSON");
	create = get(w, &w->alice,
		     act(w, room, "state/m.room.create?format=event"));
	refuse(w, &w->alice, "PUT",
	       redact_path(w, room, str_of(create, "event_id"), "5"), "{}", 403,
	       "M_FORBIDDEN");
	refuse_state(w, &w->alice, room, "m.room.redaction",
		     fmt(w, "{\"redacts\":\"%s\"}", own), 403, "M_FORBIDDEN");
	expect_redacted(w, room, own, redact(w, &w->bob, room, own));
}

static void test_idempotent(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{}");
	const char *id = say(w, &w->alice, room, "x");
	struct reply one = ask(w, &w->alice, "PUT",
			       redact_path(w, room, id, "same"), "{}");
	struct reply two = ask(w, &w->alice, "PUT",
			       redact_path(w, room, id, "same"), "{}");

	assert_string_equal(reply_str(&one, "event_id"),
			    reply_str(&two, "event_id"));
	reply_release(&one);
	reply_release(&two);
}

/* A state event keeps its place, without what may go. */
static void test_state_event(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice,
				     "{\"preset\":\"public_chat\"}");
	const char *member, *name;

	join(w, &w->bob, room);
	name = set_state(w, &w->alice, room, "m.room.name", "",
			 "{\"name\":\"rude\"}");
	redact(w, &w->alice, room, name);
	assert_int_equal(json_object_size(state_of(w, &w->alice, room,
						   "m.room.name", "")),
			 0);
	member = set_state(w, &w->bob, room, "m.room.member", w->bob.user_id,
			   "{\"membership\":\"join\",\"displayname\":\"rude\"}");
	redact(w, &w->alice, room, member);
	assert_int_equal(json_object_size(state_of(w, &w->alice, room,
						   "m.room.member",
						   w->bob.user_id)),
			 1);
	say(w, &w->bob, room, "still here");
}

/* --- the redaction comes first ------------------------------------------------- */

static void test_before_its_target(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice,
				     "{\"preset\":\"public_chat\"}");
	struct made_event target, redaction;
	const char *since;
	struct reply reply;
	json_t *timeline;

	make_event(w, room, &w->alice, "m.room.message", NULL,
		   "{\"body\":\"secret\"}", NULL, &target);
	make_event(w, room, &w->alice, "m.room.redaction", NULL, "{}",
		   target.id, &redaction);
	since = sync_token(w, &w->alice, NULL);
	persist_event(w, &redaction);
	cannot_see(w, &w->alice, room, redaction.id);
	reply = sync_once(w, &w->alice, since, "");
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	persist_event(w, &target);
	expect_redacted(w, room, target.id, redaction.id);
	event_by_id(w, &w->alice, room, redaction.id);
	reply = sync_once(w, &w->alice, since, "");
	timeline = events_of(room_in(&reply, "join", room), "timeline");
	assert_int_equal(count_of(timeline, "m.room.redaction"), 1);
	assert_int_equal(json_object_size(json_object_get(
				 event_of(timeline, "m.room.message", NULL),
				 "content")),
			 0);
	assert_null(strstr(reply.text, "secret"));
	reply_release(&reply);
	made_event_release(&target);
	made_event_release(&redaction);
}

/* --- every statement failing ------------------------------------------------------ */

struct redacting {
	const char *room, *id, *since;
};

static const char *next_target(struct world *w, int n, void *context)
{
	struct redacting *r = context;

	return redact_path(w, r->room, r->id, fmt(w, "f%d", n));
}

static const char *no_body(struct world *w, int n, void *context)
{
	(void)w, (void)n, (void)context;
	return "{}";
}

static void not_redacted(struct world *w, int n, void *context)
{
	struct redacting *r = context;
	struct reply reply = sync_once(w, &w->alice, r->since, "");

	(void)n;
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
	expect_whole(w, r->room, r->id);
}

static void redacted(struct world *w, int n, const struct reply *reply,
		     void *context)
{
	struct redacting *r = context;

	(void)n;
	expect_redacted(w, r->room, r->id, reply_str(reply, "event_id"));
	r->id = say(w, &w->alice, r->room, "next");
	r->since = sync_token(w, &w->alice, r->since);
}

static void test_each_statement_failing(void **state)
{
	struct world *w = *state;
	struct redacting r = { .room = make_room(w, &w->alice, "{}") };
	struct attempts attempts = {
		.w = w,
		.who = &w->alice,
		.method = "PUT",
		.target = next_target,
		.body = no_body,
		.unchanged = not_redacted,
		.changed = redacted,
		.context = &r,
	};

	r.id = say(w, &w->alice, r.room, "first");
	r.since = sync_token(w, &w->alice, NULL);
	attempt_all(&attempts);
}

#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_version),	TEST(test_permissions),
		TEST(test_idempotent),		TEST(test_state_event),
		TEST(test_before_its_target),	TEST(test_each_statement_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
