/* SPDX-License-Identifier: Apache-2.0 */
/* Sending, aliases, the directory; and forks of the DAG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/room_helpers.h"
#include "unit/write_helpers.h"

#define PUBLIC "{\"preset\":\"public_chat\"}"

static const char *message_path(struct world *w, const char *room,
				const char *txn)
{
	return fmt(w, API "/rooms/%s/send/m.room.message/%s", room, txn);
}

static const char *put(struct world *w, const struct person *who,
		       const char *path, const char *body)
{
	struct reply reply = ask(w, who, "PUT", path, body);
	const char *id = keep(w, reply_str(&reply, "event_id"));

	reply_release(&reply);
	return id;
}

/* --- transactions ------------------------------------------------------------ */

static void test_transactions(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *other = make_room(w, &w->alice, PUBLIC);
	const char *first = put(w, &w->alice, message_path(w, room, "1"),
				"{\"body\":\"a\"}");
	const char *path = message_path(w, room, "1");
	json_t *event;

	assert_string_equal(put(w, &w->alice, path, "{\"body\":\"a\"}"), first);
	assert_string_equal(put(w, &w->alice, path, "{\"body\":\"b\"}"), first);
	/* Another path, person or ID is another transaction. */
	assert_string_not_equal(put(w, &w->alice, message_path(w, other, "1"),
				    "{}"),
				first);
	assert_string_not_equal(put(w, &w->alice, message_path(w, room, "2"),
				    "{}"),
				first);
	assert_string_not_equal(put(w, &w->alice,
				    fmt(w, API "/rooms/%s/send/x/1", room),
				    "{}"),
				first);
	join(w, &w->bob, room);
	assert_string_not_equal(put(w, &w->bob, path, "{}"), first);
	node_restart(&w->node);
	assert_string_equal(put(w, &w->alice, path, "{}"), first);
	event = event_by_id(w, &w->alice, room, first);
	assert_string_equal(str_of(json_object_get(event, "unsigned"),
				   "transaction_id"),
			    "1");
	event = event_by_id(w, &w->bob, room, first);
	assert_null(json_object_get(json_object_get(event, "unsigned"),
				    "transaction_id"));
	say(w, &w->alice, room, "the room is loaded anew");
}

/* --- what is refused ------------------------------------------------------------ */

static void test_refusals(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *path = message_path(w, room, "1");
	MH_STRBUF(big);

	refuse(w, &w->bob, "PUT", path, "{}", 403, "M_FORBIDDEN");
	refuse(w, &w->alice, "PUT", message_path(w, "!none:a.example", "1"),
	       "{}", 403, "M_FORBIDDEN");
	refuse(w, &w->alice, "PUT", path, "[]", 400, "M_BAD_JSON");
	refuse(w, &w->alice, "PUT", path, "{", 400, "M_NOT_JSON");
	refuse(w, &w->alice, "PUT", path, "", 400, "M_NOT_JSON");
	refuse(w, &w->alice, "PUT", path, "{\"a\":1.5}", 400, "M_BAD_JSON");
	refuse(w, &w->alice, "PUT", path, "{\"a\":9007199254740992}", 400,
	       "M_BAD_JSON");
	refuse(w, &w->alice, "PUT", path, "{\"a\":1,\"a\":2}", 400,
	       "M_BAD_JSON");
	mh_strbuf_addlit(&big, "{\"body\":\"");
	for (int i = 0; i < 65536; i++)
		mh_strbuf_addch(&big, 'x');
	mh_strbuf_addlit(&big, "\"}");
	refuse(w, &w->alice, "PUT", path, big.data, 413, "M_TOO_LARGE");
	refuse(w, &w->alice, "PUT",
	       fmt(w, API "/rooms/%s/send/m.room.redaction/1", room), "{}", 400,
	       "M_MISSING_PARAM");
	refuse_state(w, &w->alice, room, "m.room.create", "{}", 403,
		     "M_FORBIDDEN");
	join(w, &w->bob, room);
	refuse_state(w, &w->bob, room, "m.room.name", "{\"name\":\"b\"}", 403,
		     "M_FORBIDDEN");
	/* After all of it the room works, and the ID was not used up. */
	put(w, &w->alice, path, "{}");
}

static void test_power_levels(void **state)
{
	struct world *w = *state;
	const char *type = "m.room.power_levels";
	static const char *const bad[] = {
		"{\"ban\":\"50\"}",
		"{\"users\":[]}",
		"{\"users\":{\"@bob:a.example\":\"50\"}}",
		"{\"events\":{\"m.room.name\":null}}",
		"{\"notifications\":{\"room\":true}}",
	};

	for (int v = 9; v <= 12; v++) {
		const char *room = make_room(
			w, &w->alice, fmt(w, "{\"room_version\":\"%d\"}", v));

		for (size_t i = 0; i < MH_ARRAY_LEN(bad); i++)
			refuse_state(w, &w->alice, room, type, bad[i], 400,
				     "M_BAD_JSON");
	}
}

static void test_same_state(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *body = "{\"name\":\"n\",\"x\":{\"b\":1,\"a\":2}}";
	const char *id = set_state(w, &w->alice, room, "m.room.name", "", body);
	const char *other;

	assert_string_equal(set_state(w, &w->alice, room, "m.room.name", "",
				      "{\"x\":{\"a\":2,\"b\":1},"
				      "\"name\":\"n\"}"),
			    id);
	other = set_state(w, &w->alice, room, "m.room.name", "",
			  "{\"name\":\"m\"}");
	assert_string_not_equal(other, id);
	assert_string_not_equal(set_state(w, &w->alice, room, "m.room.name", "",
					  body),
				id);
	leave(w, &w->alice, room);
	refuse_state(w, &w->alice, room, "m.room.name", body, 403,
		     "M_FORBIDDEN");
}

static void test_annotations(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *id = say(w, &w->alice, room, "x");
	const char *body = fmt(w,
			       "{\"m.relates_to\":{\"rel_type\":"
			       "\"m.annotation\",\"event_id\":\"%s\","
			       "\"key\":\"+\"}}",
			       id);
	const char *reaction;

	reaction = put(w, &w->alice,
		       fmt(w, API "/rooms/%s/send/m.reaction/1", room), body);
	refuse(w, &w->alice, "PUT",
	       fmt(w, API "/rooms/%s/send/m.reaction/2", room), body, 400,
	       "M_DUPLICATE_ANNOTATION");
	join(w, &w->bob, room);
	put(w, &w->bob, fmt(w, API "/rooms/%s/send/m.reaction/2", room), body);
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/rooms/%s/redact/%s/3", room, reaction), "{}");
	put(w, &w->alice, fmt(w, API "/rooms/%s/send/m.reaction/4", room),
	    body);
}

/* --- aliases ------------------------------------------------------------------------ */

static void test_aliases(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *other = make_room(w, &w->bob, PUBLIC);
	const char *one = API "/directory/room/%23one:a.example";
	const char *body = fmt(w, "{\"room_id\":\"%s\"}", room);
	json_t *json;

	refuse(w, &w->carol, "PUT", one, body, 403, "M_FORBIDDEN");
	tell(w, &w->alice, "PUT", one, body);
	refuse(w, &w->bob, "PUT", one, fmt(w, "{\"room_id\":\"%s\"}", other),
	       409, "M_UNKNOWN");
	refuse(w, &w->alice, "PUT", API "/directory/room/%23x:b.example", body,
	       400, "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", API "/directory/room/nonsense", body, 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->alice, "PUT", API "/directory/room/%23y:a.example", "{}",
	       400, "M_MISSING_PARAM");
	refuse(w, &w->alice, "PUT", API "/directory/room/%23y:a.example",
	       "{\"room_id\":\"x\"}", 400, "M_INVALID_PARAM");

	json = get(w, &w->carol, one);
	assert_string_equal(str_of(json, "room_id"), room);
	assert_int_equal(json_array_size(json_object_get(json, "servers")), 1);
	json = get(w, &w->alice, act(w, room, "aliases"));
	assert_int_equal(json_array_size(json_object_get(json, "aliases")), 1);

	/* In the room's state only those that point to it. */
	refuse_state(w, &w->alice, room, "m.room.canonical_alias",
		     "{\"alias\":\"#two:a.example\"}", 400, "M_BAD_ALIAS");
	refuse_state(w, &w->bob, other, "m.room.canonical_alias",
		     "{\"alt_aliases\":[\"#one:a.example\"]}", 400,
		     "M_BAD_ALIAS");
	refuse_state(w, &w->alice, room, "m.room.canonical_alias",
		     "{\"alias\":\"nonsense\"}", 400, "M_INVALID_PARAM");
	refuse_state(w, &w->alice, room, "m.room.canonical_alias",
		     "{\"alt_aliases\":\"#one:a.example\"}", 400,
		     "M_BAD_JSON");
	set_state(w, &w->alice, room, "m.room.canonical_alias", "",
		  "{\"alias\":\"#one:a.example\",\"alt_aliases\":"
		  "[\"#one:a.example\"]}");

	refuse(w, &w->bob, "DELETE", one, NULL, 403, "M_FORBIDDEN");
	tell(w, &w->alice, "DELETE", one, NULL);
	refuse(w, &w->alice, "DELETE", one, NULL, 404, "M_NOT_FOUND");
	refuse(w, &w->alice, "GET", one, NULL, 404, "M_NOT_FOUND");
	json = state_of(w, &w->alice, room, "m.room.canonical_alias", "");
	assert_null(json_object_get(json, "alias"));
	assert_int_equal(json_array_size(json_object_get(json, "alt_aliases")),
			 0);
}

/* --- the directory ----------------------------------------------------------------------- */

static size_t listed(struct world *w, const char *body, json_t **ret)
{
	struct reply reply = ask(w, &w->bob, "POST", API "/publicRooms", body);
	json_t *json = json_incref(reply.json);

	reply_release(&reply);
	mh_arena_defer(&w->arena, (void (*)(void *))json_decref, json);
	*ret = json;
	return json_array_size(json_object_get(json, "chunk"));
}

static void test_public_rooms(void **state)
{
	struct world *w = *state;
	const char *rooms[5], *next, *private;
	json_t *page;

	for (int i = 0; i < 5; i++)
		rooms[i] = make_room(
			w, &w->alice,
			fmt(w,
			    "{\"visibility\":\"public\",\"name\":\"Room %d\","
			    "\"topic\":\"About Numbers\",\"creation_content\":"
			    "{%s}}",
			    i, i == 4 ? "\"type\":\"m.space\"" : ""));
	private = make_room(w, &w->alice, "{\"name\":\"Room 6\"}");
	join(w, &w->bob, rooms[2]);

	assert_int_equal(listed(w, "{}", &page), 5);
	assert_string_equal(str_of(json_array_get(json_object_get(page,
								  "chunk"),
						  0),
				   "room_id"),
			    rooms[2]);
	assert_int_equal(listed(w, "{\"limit\":2}", &page), 2);
	assert_null(json_object_get(page, "prev_batch"));
	assert_int_equal(json_integer_value(json_object_get(
				 page, "total_room_count_estimate")),
			 5);
	next = str_of(page, "next_batch");
	assert_int_equal(listed(w,
				fmt(w, "{\"limit\":2,\"since\":\"%s\"}", next),
				&page),
			 2);
	next = str_of(page, "next_batch");
	assert_int_equal(listed(w,
				fmt(w, "{\"limit\":2,\"since\":\"%s\"}", next),
				&page),
			 1);
	assert_null(json_object_get(page, "next_batch"));
	next = str_of(page, "prev_batch");
	assert_int_equal(listed(w,
				fmt(w, "{\"limit\":2,\"since\":\"%s\"}", next),
				&page),
			 2);

	assert_int_equal(listed(w,
				"{\"filter\":{\"generic_search_term\":"
				"\"rOOM 3\"}}",
				&page),
			 1);
	assert_int_equal(listed(w,
				"{\"filter\":{\"generic_search_term\":"
				"\"numbers\"}}",
				&page),
			 5);
	assert_int_equal(listed(w, "{\"filter\":{\"room_types\":[null]}}",
				&page),
			 4);
	assert_int_equal(listed(w,
				"{\"filter\":{\"room_types\":[\"m.space\"]}}",
				&page),
			 1);
	assert_int_equal(listed(w, "{\"filter\":{\"room_types\":[]}}", &page),
			 0);
	assert_int_equal(listed(w, "{\"third_party_instance_id\":\"irc\"}",
				&page),
			 0);
	refuse(w, &w->bob, "POST", API "/publicRooms", "{\"since\":\"x\"}", 400,
	       "M_INVALID_PARAM");
	refuse(w, &w->bob, "POST", API "/publicRooms",
	       "{\"include_all_networks\":true,\"third_party_instance_id\":"
	       "\"irc\"}",
	       400, "M_INVALID_PARAM");
	refuse(w, &w->bob, "GET", API "/publicRooms?server=b.example", NULL,
	       502, "M_CONNECTION_FAILED");
	refuse(w, &w->bob, "GET", API "/publicRooms?limit=-1", NULL, 400,
	       "M_INVALID_PARAM");

	refuse(w, &w->bob, "PUT",
	       fmt(w, API "/directory/list/room/%s", rooms[0]),
	       "{\"visibility\":\"private\"}", 403, "M_FORBIDDEN");
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/directory/list/room/%s", rooms[0]),
	     "{\"visibility\":\"private\"}");
	tell(w, &w->alice, "PUT",
	     fmt(w, API "/directory/list/room/%s", private), "{}");
	page = get(w, &w->bob, API "/publicRooms?server=a.example");
	assert_int_equal(json_array_size(json_object_get(page, "chunk")), 5);
	refuse(w, &w->alice, "GET", API "/directory/list/room/!none", NULL, 404,
	       "M_NOT_FOUND");
}

/* --- forks ----------------------------------------------------------------------------------- */

static struct mh_event_row latest(struct world *w, const char *id)
{
	struct mh_event_row row = { 0 };
	MH_ERROR(err);

	assert_int_equal(mh_events_get(world_db(w), mh_str(id), &row, &err), 1);
	return row;
}

static size_t count_leaves(struct world *w, mh_nid room)
{
	struct mh_extremity *leaves;
	size_t n;
	MH_ERROR(err);

	assert_int_equal(mh_extremities_get(world_db(w), room, &w->arena,
					    &leaves, &n, &err),
			 0);
	return n;
}

/* Two branches set what one of them may not: the next event joins them. */
static void test_fork(void **state)
{
	struct world *w = *state;
	static const char *const versions[] = { "1", "2", "11", "12" };

	for (size_t i = 0; i < MH_ARRAY_LEN(versions); i++) {
		const char *room = make_room(
			w, &w->alice,
			fmt(w,
			    "{\"room_version\":\"%s\",\"preset\":"
			    "\"public_chat\"}",
			    versions[i]));
		struct made_event ban, topic;
		struct mh_event_row base;

		join(w, &w->bob, room);
		base = latest(w, say(w, &w->alice, room, "base"));
		make_event_on(w, room, &base, &w->alice, "m.room.member",
			      w->bob.user_id, "{\"membership\":\"ban\"}", NULL,
			      &ban);
		make_event_on(w, room, &base, &w->alice, "m.room.topic", "",
			      "{\"topic\":\"fork\"}", NULL, &topic);
		persist_event(w, &ban);
		assert_int_equal(count_leaves(w, ban.room), 1);
		persist_event(w, &topic);
		assert_int_equal(count_leaves(w, ban.room), 2);
		assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
				    "ban");
		assert_string_equal(str_of(state_of(w, &w->alice, room,
						    "m.room.topic", ""),
					   "topic"),
				    "fork");
		refuse(w, &w->bob, "PUT", message_path(w, room, "1"), "{}", 403,
		       "M_FORBIDDEN");
		say(w, &w->alice, room, "together again");
		assert_int_equal(count_leaves(w, ban.room), 1);
		assert_string_equal(membership_of(w, &w->alice, room, &w->bob),
				    "ban");
		mh_event_row_release(&base);
		made_event_release(&ban);
		made_event_release(&topic);
	}
}

/* A fork with two values of one key has the same winner in either order. */
static void test_fork_order(void **state)
{
	struct world *w = *state;
	const char *topics[2];

	for (int order = 0; order < 2; order++) {
		const char *room = make_room(w, &w->alice, PUBLIC);
		struct made_event one, two;
		struct mh_event_row base =
			latest(w, say(w, &w->alice, room, "base"));

		make_event_on(w, room, &base, &w->alice, "m.room.topic", "",
			      "{\"topic\":\"one\"}", NULL, &one);
		mh_executor_advance(w->node.executor, 1000);
		make_event_on(w, room, &base, &w->alice, "m.room.topic", "",
			      "{\"topic\":\"two\"}", NULL, &two);
		persist_event(w, order ? &one : &two);
		persist_event(w, order ? &two : &one);
		topics[order] = str_of(state_of(w, &w->alice, room,
						"m.room.topic", ""),
				       "topic");
		mh_event_row_release(&base);
		made_event_release(&one);
		made_event_release(&two);
	}
	assert_string_equal(topics[0], "two");
	assert_string_equal(topics[1], "two");
}

/* A large room's fork is resolved before the write job, by a worker. */
static void test_large_fork(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	struct mh_room_resolved resolved;
	struct made_event one, two, three;
	struct mh_event_row base, row = { 0 };
	MH_ERROR(err);

	for (int i = 0; i <= MH_RESOLVE_INLINE_MAX; i++)
		set_state(w, &w->alice, room, "x", fmt(w, "k%d", i), "{}");
	base = latest(w, say(w, &w->alice, room, "base"));
	make_event_on(w, room, &base, &w->alice, "m.room.topic", "",
		      "{\"topic\":\"one\"}", NULL, &one);
	make_event_on(w, room, &base, &w->alice, "new.type", "new key",
		      "{\"a\":1}", NULL, &two);
	make_event_on(w, room, &base, &w->alice, "m.room.message", NULL, "{}",
		      NULL, &three);
	persist_event(w, &one);
	assert_int_equal(persist_with(w, &two, 0, NULL, NULL), 1);
	cannot_see(w, &w->alice, room, two.id);

	row = (struct mh_event_row){
		.room = two.room,
		.state_before = two.state_before,
		.event = two.event,
	};
	assert_int_equal(mh_room_resolve_after(world_db(w), &row, &w->arena,
					       &resolved, &err),
			 0);
	/* In the meantime the leaves changed: once more. */
	say(w, &w->alice, room, "meanwhile");
	assert_int_equal(persist_with(w, &two, 0, &resolved, NULL), 1);
	assert_int_equal(mh_room_resolve_after(world_db(w), &row, &w->arena,
					       &resolved, &err),
			 0);
	assert_int_equal(persist_with(w, &two, 0, &resolved, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(
				 state_of(w, &w->alice, room, "new.type",
					  "new%20key"),
				 "a")),
			 1);
	assert_string_equal(str_of(state_of(w, &w->alice, room, "m.room.topic",
					    ""),
				   "topic"),
			    "one");
	node_restart(&w->node);
	say(w, &w->alice, room, "one again");
	assert_int_equal(count_leaves(w, two.room), 1);
	mh_event_row_release(&base);
	made_event_release(&one);
	made_event_release(&two);
	made_event_release(&three);
}

/* Rejected and soft-failed events change nothing that anybody sees. */
static void test_set_aside(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, PUBLIC);
	const char *since = sync_token(w, &w->alice, NULL);
	static const unsigned flags[] = { MH_EVENT_REJECTED,
					  MH_EVENT_SOFT_FAILED };

	for (size_t i = 0; i < MH_ARRAY_LEN(flags); i++) {
		struct made_event made;
		struct mh_event_row row;
		struct reply reply;

		make_event(w, room, &w->alice, "m.room.topic", "",
			   "{\"topic\":\"never\"}", NULL, &made);
		assert_int_equal(persist_with(w, &made, flags[i], NULL, &row),
				 0);
		assert_int_equal(row.state_after != row.state_before,
				 flags[i] == MH_EVENT_SOFT_FAILED);
		cannot_see(w, &w->alice, room, made.id);
		refuse(w, &w->alice, "GET", act(w, room, "state/m.room.topic"),
		       NULL, 404, "M_NOT_FOUND");
		reply = sync_once(w, &w->alice, since, "");
		assert_null(json_object_get(reply.json, "rooms"));
		reply_release(&reply);
		mh_event_row_release(&row);
		made_event_release(&made);
		mh_executor_advance(w->node.executor, 10);
	}
	assert_int_equal(count_leaves(w, mh_name_find(world_db(w), mh_str(room),
						      NULL)),
			 1);
}

/* --- every statement failing ----------------------------------------------------------------- */

struct sending {
	const char *room, *since;
	bool is_state;
};

static const char *send_target(struct world *w, int n, void *context)
{
	struct sending *s = context;

	if (s->is_state)
		return act(w, s->room, "state/m.room.topic");
	return message_path(w, s->room, fmt(w, "f%d", n));
}

static const char *send_body(struct world *w, int n, void *context)
{
	(void)context;
	return fmt(w, "{\"topic\":\"t%d\"}", n);
}

static void not_sent(struct world *w, int n, void *context)
{
	struct sending *s = context;
	struct reply reply = sync_once(w, &w->alice, s->since, "");

	(void)n;
	assert_null(json_object_get(reply.json, "rooms"));
	reply_release(&reply);
}

static void sent(struct world *w, int n, const struct reply *reply,
		 void *context)
{
	struct sending *s = context;
	struct reply sync = sync_once(w, &w->alice, s->since, "");
	json_t *events = events_of(room_in(&sync, "join", s->room), "timeline");

	(void)n;
	assert_int_equal(json_array_size(events), 1);
	assert_string_equal(str_of(json_array_get(events, 0), "event_id"),
			    reply_str(reply, "event_id"));
	s->since = next_batch(w, &sync);
	reply_release(&sync);
}

static void test_each_statement_failing(void **state)
{
	struct world *w = *state;
	struct sending s = { .room = make_room(w, &w->alice, PUBLIC) };
	struct attempts attempts = {
		.w = w,
		.who = &w->alice,
		.method = "PUT",
		.target = send_target,
		.body = send_body,
		.unchanged = not_sent,
		.changed = sent,
		.context = &s,
	};

	s.since = sync_token(w, &w->alice, NULL);
	attempt_all(&attempts);
	s.is_state = true;
	attempt_all(&attempts);
}

#define TEST(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_transactions), TEST(test_refusals),
		TEST(test_power_levels), TEST(test_same_state),
		TEST(test_annotations),	 TEST(test_aliases),
		TEST(test_public_rooms), TEST(test_fork),
		TEST(test_fork_order),	 TEST(test_large_fork),
		TEST(test_set_aside),	 TEST(test_each_statement_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
