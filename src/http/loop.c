/* SPDX-License-Identifier: Apache-2.0 */
#include "http/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128

struct mh_loop {
	const char *name;
	int epoll_fd;
	struct mh_loop_source wake;
	pthread_t thread;
	bool started;
	bool stopping; /* atomic */
	struct mh_loop_timer *timers;

	pthread_mutex_t lock; /* guards what follows */
	struct mh_loop_call *calls, **last_call;

	void **trash; /* freed after each batch */
	size_t n_trash, trash_cap;
};

int64_t mh_loop_now(const struct mh_loop *loop MH_UNUSED)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- sources ------------------------------------------------------------ */

int mh_loop_add(struct mh_loop *loop, struct mh_loop_source *source, int fd,
		uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	source->fd = fd;
	source->events = events;
	return 0;
}

void mh_loop_modify(struct mh_loop *loop, struct mh_loop_source *source,
		    uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (source->fd < 0 || source->events == events)
		return;
	source->events = events;
	MH_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd,
			    &event) == 0);
}

void mh_loop_remove(struct mh_loop *loop, struct mh_loop_source *source)
{
	if (source->fd < 0)
		return;
	MH_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL) ==
		  0);
	source->fd = -1;
}

void mh_loop_free_later(struct mh_loop *loop, void *object)
{
	if (loop->n_trash == loop->trash_cap) {
		loop->trash_cap = loop->trash_cap * 2 + 16;
		loop->trash = mh_realloc_array(loop->trash, loop->trash_cap,
					       sizeof(*loop->trash));
	}
	loop->trash[loop->n_trash++] = object;
}

static void empty_trash(struct mh_loop *loop)
{
	for (size_t i = 0; i < loop->n_trash; i++)
		free(loop->trash[i]);
	loop->n_trash = 0;
}

/* --- timers ------------------------------------------------------------- */

void mh_loop_timer_set(struct mh_loop *loop, struct mh_loop_timer *timer,
		       int64_t due)
{
	timer->due = due;
	if (timer->known)
		return;
	timer->known = true;
	timer->next = loop->timers;
	loop->timers = timer;
}

/* There are a handful, so that looking at all of them is cheapest. */
static void run_timers(struct mh_loop *loop)
{
	int64_t now = mh_loop_now(loop);

	for (struct mh_loop_timer *timer = loop->timers; timer;
	     timer = timer->next) {
		if (!timer->due || timer->due > now)
			continue;
		timer->due = 0;
		timer->expired(timer);
	}
}

static int time_to_wait(struct mh_loop *loop)
{
	int64_t first = 0;
	int64_t wait;

	for (struct mh_loop_timer *timer = loop->timers; timer;
	     timer = timer->next)
		if (timer->due && (!first || timer->due < first))
			first = timer->due;
	if (!first)
		return -1;
	wait = first - mh_loop_now(loop);
	return wait < 0 ? 0 : wait > 3600000 ? 3600000 : (int)wait;
}

/* --- calls -------------------------------------------------------------- */

static void wake_up(struct mh_loop *loop)
{
	static const uint64_t one = 1;

	/* Full means that it is awake already. */
	MH_ASSERT(write(loop->wake.fd, &one, sizeof(one)) == sizeof(one) ||
		  errno == EAGAIN);
}

void mh_loop_call(struct mh_loop *loop, struct mh_loop_call *call)
{
	bool first;

	pthread_mutex_lock(&loop->lock);
	if (call->queued) {
		pthread_mutex_unlock(&loop->lock);
		return;
	}
	first = !loop->calls;
	call->queued = true;
	call->next = NULL;
	*loop->last_call = call;
	loop->last_call = &call->next;
	pthread_mutex_unlock(&loop->lock);
	if (first)
		wake_up(loop);
}

static void run_calls(struct mh_loop *loop)
{
	for (;;) {
		struct mh_loop_call *call;

		pthread_mutex_lock(&loop->lock);
		call = loop->calls;
		if (call) {
			loop->calls = call->next;
			if (!loop->calls)
				loop->last_call = &loop->calls;
			call->queued = false;
		}
		pthread_mutex_unlock(&loop->lock);
		if (!call)
			return;
		call->run(call);
	}
}

static void on_wake(struct mh_loop_source *source, uint32_t events MH_UNUSED)
{
	struct mh_loop *loop = MH_CONTAINER_OF(source, struct mh_loop, wake);
	uint64_t count;

	/* Before the calls are taken, so that none is left without a wake. */
	MH_ASSERT(read(source->fd, &count, sizeof(count)) == sizeof(count) ||
		  errno == EAGAIN);
	run_calls(loop);
}

/* --- the thread --------------------------------------------------------- */

static void *run(void *context)
{
	struct mh_loop *loop = context;
	struct epoll_event events[BATCH];

	pthread_setname_np(pthread_self(), loop->name);
	while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(loop->epoll_fd, events, BATCH,
				   time_to_wait(loop));

		MH_ASSERT(n >= 0 || errno == EINTR);
		for (int i = 0; i < n; i++) {
			struct mh_loop_source *source = events[i].data.ptr;

			if (source->fd >= 0)
				source->ready(source, events[i].events);
		}
		run_timers(loop);
		empty_trash(loop);
	}
	run_calls(loop);
	empty_trash(loop);
	return NULL;
}

int mh_loop_new(const char *name, struct mh_loop **ret, struct mh_error *err)
{
	struct mh_loop *loop = MH_NEW(struct mh_loop);
	int fd;

	loop->name = name;
	loop->last_call = &loop->calls;
	loop->wake.fd = -1;
	loop->wake.ready = on_wake;
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || fd < 0 ||
	    mh_loop_add(loop, &loop->wake, fd, EPOLLIN) < 0) {
		mh_fail_internal(err, "cannot make an epoll: %s",
				 strerror(errno));
		if (fd >= 0)
			close(fd);
		mh_loop_free(loop);
		return -1;
	}
	*ret = loop;
	return 0;
}

int mh_loop_start(struct mh_loop *loop, struct mh_error *err)
{
	int rc = pthread_create(&loop->thread, NULL, run, loop);

	if (rc != 0)
		return mh_fail_internal(err, "cannot start the thread '%s': %s",
					loop->name, strerror(rc));
	loop->started = true;
	return 0;
}

void mh_loop_stop(struct mh_loop *loop)
{
	if (!loop || !loop->started)
		return;
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	wake_up(loop);
	pthread_join(loop->thread, NULL);
	loop->started = false;
}

void mh_loop_free(struct mh_loop *loop)
{
	if (!loop)
		return;
	mh_loop_stop(loop);
	empty_trash(loop);
	free(loop->trash);
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
