/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor of the daemon: each queue is a locked list with its own threads,
 * and one more thread waits for the earliest timer and hands it to its queue.
 *
 * Locks: a queue's `lock` guards its list, `timer_lock` the heap; the timer
 * thread takes a queue's lock while it holds timer_lock, never the other way
 * round. `busy` counts tasks submitted and not yet finished, so that stop()
 * knows when everything that leads on to more work has come to rest.
 */
#include <config.h>

#include "base/executor_impl.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct threads_queue;

struct threads {
	struct mh_executor base;

	pthread_mutex_t timer_lock;
	pthread_cond_t timer_wake; /* waits by CLOCK_MONOTONIC */
	pthread_t timer_thread;
	bool timer_started;
	bool timer_stop;

	atomic_size_t busy;
	atomic_bool stopping;
	bool stopped; /* stop() has joined all threads */
	pthread_mutex_t idle_lock;
	pthread_cond_t idle;
};

struct worker {
	pthread_t thread;
	struct threads_queue *queue;
	int index;
};

struct threads_queue {
	struct mh_queue base;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned waiting; /* threads in pthread_cond_wait() */
	bool stop;
	struct worker *workers;
};

static struct threads *threads_of(struct mh_executor *executor)
{
	return MH_CONTAINER_OF(executor, struct threads, base);
}

static struct threads_queue *queue_of(struct mh_queue *queue)
{
	return MH_CONTAINER_OF(queue, struct threads_queue, base);
}

/* Starts a thread that leaves signals to the main thread. */
static void start_thread(pthread_t *thread, const char *name,
			 void *(*run)(void *), void *context)
{
	sigset_t all;
	sigset_t before;
	int rc;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		fprintf(stderr, "moothall: cannot start thread '%s'\n", name);
		abort();
	}
	pthread_setname_np(*thread, name);
}

/* --- queues ------------------------------------------------------------- */

static void finished(struct threads *threads, size_t count)
{
	if (atomic_fetch_sub(&threads->busy, count) != count ||
	    !atomic_load(&threads->stopping))
		return;
	pthread_mutex_lock(&threads->idle_lock);
	pthread_cond_signal(&threads->idle);
	pthread_mutex_unlock(&threads->idle_lock);
}

static void *serve(void *context)
{
	struct worker *worker = context;
	struct threads_queue *queue = worker->queue;
	struct threads *threads = threads_of(queue->base.executor);
	bool batch = queue->base.max > 0;

	mh_queue_current_index = batch ? -1 : worker->index;
	pthread_mutex_lock(&queue->lock);
	for (;;) {
		struct mh_task *task;
		size_t count = 1;

		if (!queue->base.length) {
			if (queue->stop)
				break;
			queue->waiting++;
			pthread_cond_wait(&queue->wake, &queue->lock);
			queue->waiting--;
			continue;
		}
		task = batch ? mh_queue_take_batch(&queue->base, &count)
			     : mh_queue_take(&queue->base, 0);
		pthread_mutex_unlock(&queue->lock);
		if (batch)
			queue->base.run_batch(queue->base.context, task);
		else
			task->run(task);
		finished(threads, count);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

static struct mh_queue *
threads_queue_new(struct mh_executor *executor MH_UNUSED)
{
	struct threads_queue *queue = MH_NEW(struct threads_queue);

	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->wake, NULL);
	return &queue->base;
}

static void threads_queue_start(struct mh_queue *base)
{
	struct threads_queue *queue = queue_of(base);
	char name[16];

	queue->workers = mh_alloc_array(base->threads, sizeof(struct worker));
	for (unsigned i = 0; i < base->threads; i++) {
		struct worker *worker = &queue->workers[i];

		worker->queue = queue;
		worker->index = (int)i;
		if (base->threads == 1)
			snprintf(name, sizeof(name), "%.15s", base->name);
		else
			snprintf(name, sizeof(name), "%.11s-%u", base->name,
				 i % 1000);
		start_thread(&worker->thread, name, serve, worker);
	}
}

static void threads_submit(struct mh_queue *base, struct mh_task *task)
{
	struct threads_queue *queue = queue_of(base);
	struct threads *threads = threads_of(base->executor);

	pthread_mutex_lock(&queue->lock);
	if (!queue->stop && mh_queue_push(base, task)) {
		/* Counted before a thread can finish it: the lock is held. */
		atomic_fetch_add(&threads->busy, 1);
		if (queue->waiting)
			pthread_cond_signal(&queue->wake);
	}
	pthread_mutex_unlock(&queue->lock);
}

static size_t threads_length(struct mh_queue *base)
{
	struct threads_queue *queue = queue_of(base);
	size_t length;

	pthread_mutex_lock(&queue->lock);
	length = base->length;
	pthread_mutex_unlock(&queue->lock);
	return length;
}

static void queue_join(struct threads_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_broadcast(&queue->wake);
	pthread_mutex_unlock(&queue->lock);
	for (unsigned i = 0; i < queue->base.threads; i++)
		pthread_join(queue->workers[i].thread, NULL);
}

static void queue_free(struct threads_queue *queue)
{
	pthread_cond_destroy(&queue->wake);
	pthread_mutex_destroy(&queue->lock);
	free(queue->workers);
	free(queue);
}

/* --- timers ------------------------------------------------------------- */

/* Waits for a change, or until `ms` milliseconds are over. */
static void timer_wait(struct threads *threads, int64_t ms)
{
	struct timespec until;

	/* Bounded, so that the sum stays in range whatever was asked for. */
	if (ms > 3600 * 1000)
		ms = 3600 * 1000;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&threads->timer_wake, &threads->timer_lock,
			       &until);
}

static void *serve_timers(void *context)
{
	struct threads *threads = context;

	pthread_mutex_lock(&threads->timer_lock);
	while (!threads->timer_stop) {
		struct mh_timer *timer =
			mh_timer_heap_top(&threads->base.timers);
		int64_t now;

		if (!timer) {
			pthread_cond_wait(&threads->timer_wake,
					  &threads->timer_lock);
			continue;
		}
		now = mh_clock_mono(threads->base.clock);
		if (timer->due > now) {
			timer_wait(threads, timer->due - now);
			continue;
		}
		mh_timer_heap_remove(&threads->base.timers, timer);
		threads_submit(timer->queue, &timer->task);
	}
	pthread_mutex_unlock(&threads->timer_lock);
	return NULL;
}

static void threads_timer_set(struct mh_executor *executor,
			      struct mh_timer *timer, int64_t due)
{
	struct threads *threads = threads_of(executor);

	pthread_mutex_lock(&threads->timer_lock);
	mh_timer_heap_set(&executor->timers, timer, due);
	if (!threads->timer_started && !threads->timer_stop) {
		threads->timer_started = true;
		start_thread(&threads->timer_thread, "timers", serve_timers,
			     threads);
	} else if (mh_timer_heap_top(&executor->timers) == timer) {
		/* The thread sleeps until what was the earliest before. */
		pthread_cond_signal(&threads->timer_wake);
	}
	pthread_mutex_unlock(&threads->timer_lock);
}

static bool threads_timer_cancel(struct mh_executor *executor,
				 struct mh_timer *timer)
{
	struct threads *threads = threads_of(executor);
	bool was_set;

	pthread_mutex_lock(&threads->timer_lock);
	was_set = mh_timer_heap_remove(&executor->timers, timer);
	pthread_mutex_unlock(&threads->timer_lock);
	return was_set;
}

/* --- the executor ------------------------------------------------------- */

static void threads_stop(struct mh_executor *executor)
{
	struct threads *threads = threads_of(executor);
	struct mh_queue *queue;
	bool timers;

	if (threads->stopped)
		return;

	/* 1. Nothing more comes from timers. */
	pthread_mutex_lock(&threads->timer_lock);
	threads->timer_stop = true;
	timers = threads->timer_started;
	pthread_cond_signal(&threads->timer_wake);
	pthread_mutex_unlock(&threads->timer_lock);
	if (timers)
		pthread_join(threads->timer_thread, NULL);

	/* 2. What is queued runs, and what it submits to whichever queue. */
	atomic_store(&threads->stopping, true);
	pthread_mutex_lock(&threads->idle_lock);
	while (atomic_load(&threads->busy))
		pthread_cond_wait(&threads->idle, &threads->idle_lock);
	pthread_mutex_unlock(&threads->idle_lock);

	/* 3. The threads end. */
	for (queue = executor->queues; queue; queue = queue->next)
		queue_join(queue_of(queue));
	threads->stopped = true;
}

static void threads_free(struct mh_executor *executor)
{
	struct threads *threads = threads_of(executor);
	struct mh_queue *queue;

	threads_stop(executor);
	while ((queue = executor->queues)) {
		executor->queues = queue->next;
		queue_free(queue_of(queue));
	}
	mh_timer_heap_release(&executor->timers);
	pthread_cond_destroy(&threads->idle);
	pthread_mutex_destroy(&threads->idle_lock);
	pthread_cond_destroy(&threads->timer_wake);
	pthread_mutex_destroy(&threads->timer_lock);
	free(threads);
}

static const struct mh_executor_ops threads_ops = {
	.free = threads_free,
	.stop = threads_stop,
	.queue_new = threads_queue_new,
	.queue_start = threads_queue_start,
	.submit = threads_submit,
	.length = threads_length,
	.timer_set = threads_timer_set,
	.timer_cancel = threads_timer_cancel,
};

struct mh_executor *mh_executor_threads_new(struct mh_clock *clock)
{
	struct threads *threads = MH_NEW(struct threads);
	pthread_condattr_t attr;

	threads->base.ops = &threads_ops;
	threads->base.clock = clock;
	pthread_mutex_init(&threads->timer_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&threads->timer_wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&threads->idle_lock, NULL);
	pthread_cond_init(&threads->idle, NULL);
	return &threads->base;
}
