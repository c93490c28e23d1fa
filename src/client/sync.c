/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /sync, and the waiting of it (long polling). What waits is the request
 * and one struct wait, which is known to the notifier (news), to a timer (the
 * client's timeout) and to the transport (the client has left). Whichever comes
 * first has the request run again; the others find that it is over. Each of
 * them holds a reference.
 */
#include "client/client.h"

#include "core/filter.h"
#include "service/account_data.h"
#include "service/notifier.h"
#include "service/presence.h"
#include "service/sync.h"
#include "store/e2ee.h"

#include <stdlib.h>

struct wait {
	int refs;  /* atomic */
	bool over; /* atomic: somebody has the request run */
	bool final; /* answer now, news or not */
	struct mh_request *req;
	struct mh_filter *filter;
	struct mh_sync_query query;
	enum mh_presence_state presence;
	int64_t deadline; /* mono_ms */
	struct mh_waiter waiter;
	struct mh_timer timer;
};

static void wait_unref(struct wait *wait)
{
	if (__atomic_sub_fetch(&wait->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	mh_filter_unref(wait->filter);
	free(wait);
}

static void wait_ref(struct wait *wait)
{
	__atomic_add_fetch(&wait->refs, 1, __ATOMIC_RELAXED);
}

static void wait_unref_deferred(void *wait)
{
	wait_unref(wait);
}

static int go_on(struct mh_request *req, struct mh_error *err);

/* The first who calls this has the request run again. */
static void finish(struct wait *wait, bool final)
{
	if (__atomic_exchange_n(&wait->over, true, __ATOMIC_ACQ_REL))
		return;
	wait->final = final;
	mh_request_resume(wait->req, go_on);
}

static void news(struct mh_waiter *waiter, bool stopping)
{
	struct wait *wait = MH_CONTAINER_OF(waiter, struct wait, waiter);

	finish(wait, stopping);
	wait_unref(wait);
}

static void time_is_up(struct mh_task *task)
{
	struct wait *wait = MH_CONTAINER_OF(task, struct wait, timer.task);

	finish(wait, true);
	wait_unref(wait);
}

static void client_left(struct mh_request *req)
{
	finish(req->waiting, true);
}

/* --- building ------------------------------------------------------------------ */

/* Empty and to be waited for: 0; else 1 with the reply made, or -1. */
static int try_reply(struct mh_request *req, struct wait *wait,
		     struct mh_error *err)
{
	MH_STRBUF(body);
	bool empty;

	if (mh_sync_build(req->server, mh_request_db(req), &wait->query, &body,
			  &empty, NULL, err) < 0)
		return -1;
	if (empty && !wait->final &&
	    mh_clock_mono(req->server->clock) < wait->deadline)
		return 0;
	mh_reply_buf(req, &body);
	return 1;
}

static bool counts_as_there(const struct wait *wait)
{
	return wait->presence != MH_PRESENCE_OFFLINE;
}

/* The client has left before the wait began. */
static int reply_at_once(struct mh_request *req, struct wait *wait,
			 struct mh_error *err)
{
	if (counts_as_there(wait))
		mh_presence_waiting(req->server, wait->waiter.user, -1);
	for (int i = 0; i < 3; i++)
		wait_unref(wait);
	wait->final = true;
	return try_reply(req, wait, err) < 0 ? -1 : 0;
}

static int build_or_wait(struct mh_request *req, struct wait *wait,
			 struct mh_error *err)
{
	struct mh_server *server = req->server;
	uint64_t ticket = mh_notifier_ticket(server, req->who.user);
	int rc = try_reply(req, wait, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	/* One reference each for the waiter, the timer and this function. */
	for (int i = 0; i < 3; i++)
		wait_ref(wait);
	if (counts_as_there(wait))
		mh_presence_waiting(server, wait->waiter.user, 1);
	wait->over = false;
	req->waiting = wait;
	if (!mh_request_on_gone(req, client_left))
		return reply_at_once(req, wait, err);
	/* From here on the request may be answered, and gone, at any moment. */
	mh_timer_set(server->executor, &wait->timer, wait->deadline);
	mh_waiter_add(server, &wait->waiter, ticket);
	wait_unref(wait);
	return 0;
}

/* Runs when the wait is over: takes back what has not happened. */
static int go_on(struct mh_request *req, struct mh_error *err)
{
	struct wait *wait = req->waiting;
	struct mh_server *server = req->server;

	if (mh_waiter_remove(server, &wait->waiter))
		wait_unref(wait);
	if (mh_timer_cancel(server->executor, &wait->timer))
		wait_unref(wait);
	if (counts_as_there(wait))
		mh_presence_waiting(server, req->who.user, -1);
	return build_or_wait(req, wait, err);
}

/* --- what the client asks for ------------------------------------------------------ */

static int get_filter(struct mh_request *req, struct mh_filter **ret,
		      struct mh_error *err)
{
	struct mh_str text;

	if (mh_request_query(req, "filter", &text) && text.len)
		return mh_filter_resolve(mh_request_db(req), req->who.user,
					 text, ret, err);
	*ret = mh_filter_default();
	return 0;
}

static int get_presence(struct mh_request *req, enum mh_presence_state *ret,
			struct mh_error *err)
{
	struct mh_str text;

	*ret = MH_PRESENCE_ONLINE;
	if (mh_request_query(req, "set_presence", &text) &&
	    !mh_presence_from(text, ret))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'set_presence' must be online, unavailable or "
			       "offline");
	return 0;
}

static int get_query(struct mh_request *req, struct mh_sync_query *query,
		     struct mh_error *err)
{
	struct mh_str since;

	query->who = &req->who;
	query->has_since = mh_request_query(req, "since", &since) && since.len;
	if ((query->has_since &&
	     mh_sync_token_parse(req->server, since, &query->since, err) < 0) ||
	    mh_request_query_bool(req, "full_state", &query->full_state, err) <
		    0 ||
	    mh_request_query_bool(req, "use_state_after",
				  &query->use_state_after, err) < 0)
		return -1;
	return 0;
}

static int get_deadline(struct mh_request *req, const struct wait *wait,
			int64_t *ret, struct mh_error *err)
{
	int64_t longest = req->server->settings->limits.sync_timeout_max;
	int64_t timeout = 0;

	if (mh_request_query_int(req, "timeout", &timeout, err) < 0)
		return -1;
	if (timeout < 0 || !wait->query.has_since || wait->query.full_state)
		timeout = 0;
	if (timeout > longest)
		timeout = longest;
	*ret = mh_clock_mono(req->server->clock) + timeout;
	return 0;
}

/* --- to-device messages that have arrived ---------------------------------------- */

struct ack {
	struct mh_write_job job;
	mh_nid user, device;
	int64_t upto;
};

static int ack_run(struct mh_write_job *job, struct mh_tx *tx,
		   struct mh_error *err)
{
	struct ack *ack = MH_CONTAINER_OF(job, struct ack, job);

	return mh_to_device_ack(tx, ack->user, ack->device, ack->upto, err);
}

/* Should it fail, the next sync tries again: they are not sent twice. */
static void ack_done(struct mh_write_job *job, struct mh_error *err)
{
	if (err)
		mh_error_release(err);
	free(MH_CONTAINER_OF(job, struct ack, job));
}

/* `since` says that the device has what came up to it. */
static int acknowledge(struct mh_request *req, int64_t upto,
		       struct mh_error *err)
{
	struct mh_db *db = mh_request_db(req);
	mh_nid device = mh_name_find(db, req->who.device_id, err);
	struct ack *ack;
	int rc;

	if (device <= 0)
		return (int)device;
	rc = mh_to_device_any(db, req->who.user, device, upto, err);
	if (rc <= 0)
		return rc;
	ack = MH_NEW(struct ack);
	ack->job.run = ack_run;
	ack->job.done = ack_done;
	ack->user = req->who.user;
	ack->device = device;
	ack->upto = upto;
	mh_store_write(req->server->store, &ack->job);
	return 0;
}

int client_sync(struct mh_request *req, struct mh_error *err)
{
	struct wait *wait = MH_NEW(struct wait);

	wait->refs = 1;
	mh_arena_defer(&req->arena, wait_unref_deferred, wait);
	wait->req = req;
	wait->waiter.user = req->who.user;
	wait->waiter.wake = news;
	mh_timer_init(&wait->timer, req->server->workers, time_is_up);
	if (get_filter(req, &wait->filter, err) < 0 ||
	    get_query(req, &wait->query, err) < 0 ||
	    get_presence(req, &wait->presence, err) < 0 ||
	    get_deadline(req, wait, &wait->deadline, err) < 0)
		return -1;
	wait->query.filter = wait->filter;
	if (wait->query.has_since &&
	    acknowledge(req, wait->query.since.to_device, err) < 0)
		return -1;
	mh_presence_syncing(req->server, req->who.user, wait->presence);
	return build_or_wait(req, wait, err);
}
