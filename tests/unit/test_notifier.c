/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier: who is woken, when, and that a failed write wakes nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/notifier.h"
#include "unit/sync_helpers.h"

struct ear {
	struct mh_waiter waiter;
	int woken, stopped;
};

static void hear(struct mh_waiter *waiter, bool stopping)
{
	struct ear *ear = MH_CONTAINER_OF(waiter, struct ear, waiter);

	ear->woken++;
	ear->stopped += stopping;
}

static mh_nid nid_of(struct world *w, const struct person *who)
{
	MH_ERROR(err);
	mh_nid nid = mh_name_find(mh_store_reader(w->node.server->store),
				  mh_str(who->user_id), &err);

	assert_true(nid > 0);
	return nid;
}

static void listen(struct world *w, struct ear *ear, mh_nid user)
{
	*ear = (struct ear){ .waiter = { .user = user, .wake = hear } };
	mh_waiter_add(w->node.server, &ear->waiter,
		      mh_notifier_ticket(w->node.server, user));
}

struct job {
	struct mh_write_job job;
	struct mh_server *server;
	mh_nid user;
	bool fails;
};

static int job_run(struct mh_write_job *base, struct mh_tx *tx,
		   struct mh_error *err)
{
	struct job *job = MH_CONTAINER_OF(base, struct job, job);

	mh_tx_next_pos(tx);
	mh_notify_user(tx, job->server, job->user);
	return job->fails ? mh_fail(err, MH_M_FORBIDDEN, "no") : 0;
}

static void job_done(struct mh_write_job *base, struct mh_error *err)
{
	struct job *job = MH_CONTAINER_OF(base, struct job, job);

	assert_int_equal(job->fails, err != NULL);
}

static void write_job(struct world *w, mh_nid user, bool fails)
{
	struct job job = {
		.job = { .run = job_run, .done = job_done },
		.server = w->node.server,
		.user = user,
		.fails = fails,
	};

	mh_store_write(w->node.server->store, &job.job);
	mh_executor_run_until_idle(w->node.executor);
}

static void test_wakes_after_commit(void **state)
{
	struct world *w = *state;
	mh_nid alice = nid_of(w, &w->alice), bob = nid_of(w, &w->bob);
	struct ear hers, his;

	listen(w, &hers, alice);
	listen(w, &his, bob);
	write_job(w, alice, true);
	assert_int_equal(hers.woken, 0);
	write_job(w, alice, false);
	assert_int_equal(hers.woken, 1);
	assert_int_equal(his.woken, 0);
	/* It was taken out by waking. */
	assert_false(mh_waiter_remove(w->node.server, &hers.waiter));
	assert_true(mh_waiter_remove(w->node.server, &his.waiter));
	write_job(w, bob, false);
	assert_int_equal(his.woken, 0);
}

static void test_late_ticket(void **state)
{
	struct world *w = *state;
	mh_nid alice = nid_of(w, &w->alice);
	struct ear ear = { .waiter = { .user = alice, .wake = hear } };
	uint64_t ticket = mh_notifier_ticket(w->node.server, alice);

	write_job(w, alice, false);
	mh_waiter_add(w->node.server, &ear.waiter, ticket);
	assert_int_equal(ear.woken, 1);
}

/* Members are woken by their room, and no longer when they have left. */
static void test_rooms(void **state)
{
	struct world *w = *state;
	const char *room = make_room(w, &w->alice, "{\"preset\":"
						   "\"public_chat\"}");
	mh_nid bob = nid_of(w, &w->bob), carol = nid_of(w, &w->carol);
	struct ear his, hers;

	join(w, &w->bob, room);
	listen(w, &his, bob);
	listen(w, &hers, carol);
	say(w, &w->alice, room, "x");
	assert_int_equal(his.woken, 1);
	assert_int_equal(hers.woken, 0);
	leave(w, &w->bob, room);
	listen(w, &his, bob);
	say(w, &w->alice, room, "y");
	assert_int_equal(his.woken, 0);
	/* The one whom a membership event concerns is told. */
	invite(w, &w->alice, room, &w->carol);
	assert_int_equal(hers.woken, 1);
	mh_waiter_remove(w->node.server, &his.waiter);
}

static void test_stop(void **state)
{
	struct world *w = *state;
	mh_nid alice = nid_of(w, &w->alice);
	struct ear waits, comes;

	listen(w, &waits, alice);
	mh_notifier_stop(w->node.server->notifier);
	assert_int_equal(waits.stopped, 1);
	listen(w, &comes, alice);
	assert_int_equal(comes.stopped, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_wakes_after_commit),
		T(test_late_ticket),
		T(test_rooms),
		T(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
