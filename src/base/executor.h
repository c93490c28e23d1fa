/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that waits goes through here: queues, timers, completion. There
 * are two executors with the same behaviour:
 *
 *   threads      a queue is a locked list served by its own threads; timers
 *                run on one timer thread that hands them to their queues
 *   simulated    single-threaded; mh_executor_run_until_idle() picks the next
 *                task from the queues in an order drawn from a seed, and moves
 *                a virtual clock to the next timer when nothing else is left
 *
 * A task is a struct embedded in the object that waits:
 *
 *	struct login { struct mh_task task; ... };
 *	static void login_run(struct mh_task *task)
 *	{
 *		struct login *login = MH_CONTAINER_OF(task, struct login, task);
 *	}
 *	login->task.run = login_run;
 *	mh_queue_submit(server->workers, &login->task);
 *
 * Whoever submits a task must keep it alive until it has run, and must have
 * zeroed it before its first use. A task may be submitted again from within its
 * own run(). Submitting one that still waits in the same queue changes nothing:
 * it runs once, after both submissions, which makes a task a good wake-up.
 *
 * A task belongs to one queue at a time.
 */
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <stdbool.h>

struct mh_executor;
struct mh_queue;

struct mh_task {
	void (*run)(struct mh_task *task);
	struct mh_task *next; /* the queue's */
	bool queued;	      /* the queue's */
};

/* --- executors ---------------------------------------------------------- */

struct mh_executor *mh_executor_threads_new(struct mh_clock *clock);
/*
 * `seed` decides the order of tasks. The executor owns a virtual clock that
 * starts at `wall_ms`.
 */
struct mh_executor *mh_executor_sim_new(uint64_t seed, int64_t wall_ms);
/* All queues must be idle; frees them. Stops the threads if need be. */
void mh_executor_free(struct mh_executor *executor);

struct mh_clock *mh_executor_clock(struct mh_executor *executor);
bool mh_executor_is_sim(const struct mh_executor *executor);

/*
 * Simulated only. run_until_idle() runs every runnable task but moves no time;
 * advance() moves the virtual clock by `ms`, running timers as they fall due
 * and everything they start. Both return how many tasks ran.
 */
size_t mh_executor_run_until_idle(struct mh_executor *executor);
size_t mh_executor_advance(struct mh_executor *executor, int64_t ms);

/*
 * Threads only: runs what is queued and all that it submits, then joins all
 * threads. Timers that are not due do not run any more; tasks submitted after
 * it has returned never run and stay their submitter's.
 */
void mh_executor_stop(struct mh_executor *executor);

/* --- queues ------------------------------------------------------------- */

/* `name` is borrowed and names the threads (at most 15 characters). */
struct mh_queue *mh_executor_queue(struct mh_executor *executor,
				   const char *name, unsigned threads);

/*
 * A queue of one thread that takes everything that is queued at once, up to
 * `max` tasks, as a NULL-terminated list in order of submission: the store's
 * group commit. `run` is called instead of the tasks' own run(); it reads a
 * task's `next` before it completes the task, which may then be gone.
 */
struct mh_queue *mh_executor_batch_queue(
	struct mh_executor *executor, const char *name, size_t max,
	void (*run)(void *context, struct mh_task *list), void *context);

/* Any thread. */
void mh_queue_submit(struct mh_queue *queue, struct mh_task *task);
/* Tasks waiting now, for back-pressure. Any thread. */
size_t mh_queue_length(struct mh_queue *queue);
/*
 * Which of its queue's threads runs the caller, from 0; -1 outside of queues
 * of mh_executor_queue(). Workers find their read connection by it.
 */
int mh_queue_thread_index(void);

/* --- timers ------------------------------------------------------------- */

struct mh_timer {
	struct mh_task task; /* run() is called on `queue` when due */
	struct mh_queue *queue;
	int64_t due;	  /* mono_ms; the executor's */
	size_t heap_slot; /* 1-based; 0 means not set; the executor's */
};

void mh_timer_init(struct mh_timer *timer, struct mh_queue *queue,
		   void (*run)(struct mh_task *task));
/*
 * Sets or moves the deadline (mh_clock_mono milliseconds). When it falls due
 * while an earlier firing still waits in the queue, the two become one run().
 * Any thread.
 */
void mh_timer_set(struct mh_executor *executor, struct mh_timer *timer,
		  int64_t due);
/*
 * True when the timer was set and now will not run; false when it was not set,
 * or has been handed to its queue already. Any thread.
 */
bool mh_timer_cancel(struct mh_executor *executor, struct mh_timer *timer);
