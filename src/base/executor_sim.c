/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated executor: one thread, virtual time, and an order of tasks that
 * the seed decides. Which queue goes next is drawn among those that have work.
 * A queue of one thread keeps its order, as its thread would; in a queue of n
 * threads any of the first n tasks may come to run first, as any of its threads
 * may be the faster one. A task runs to its end before the next begins: races
 * inside of a task are the business of the thread sanitizer, not of this.
 */
#include "base/executor_impl.h"

#include <stdlib.h>

struct sim {
	struct mh_executor base;
	struct mh_clock clock;
	struct mh_random *random;
	int64_t wall_start;
	int64_t mono;
	bool running;
};

/* Not 0: a deadline of 0 often stands for none. */
#define MONO_START 1000

static struct sim *sim_of(struct mh_executor *executor)
{
	return MH_CONTAINER_OF(executor, struct sim, base);
}

static int64_t sim_wall(struct mh_clock *clock)
{
	struct sim *sim = MH_CONTAINER_OF(clock, struct sim, clock);

	return sim->wall_start + (sim->mono - MONO_START);
}

static int64_t sim_mono(struct mh_clock *clock)
{
	return MH_CONTAINER_OF(clock, struct sim, clock)->mono;
}

static void sim_free(struct mh_executor *executor)
{
	struct sim *sim = sim_of(executor);
	struct mh_queue *queue;

	while ((queue = executor->queues)) {
		executor->queues = queue->next;
		free(queue);
	}
	mh_timer_heap_release(&executor->timers);
	mh_random_seeded_free(sim->random);
	free(sim);
}

static void sim_stop(struct mh_executor *executor)
{
	mh_executor_run_until_idle(executor);
}

static struct mh_queue *sim_queue_new(struct mh_executor *executor MH_UNUSED)
{
	return MH_NEW(struct mh_queue);
}

static void sim_queue_start(struct mh_queue *queue MH_UNUSED)
{
}

static void sim_submit(struct mh_queue *queue, struct mh_task *task)
{
	mh_queue_push(queue, task);
}

static size_t sim_length(struct mh_queue *queue)
{
	return queue->length;
}

static void sim_timer_set(struct mh_executor *executor, struct mh_timer *timer,
			  int64_t due)
{
	mh_timer_heap_set(&executor->timers, timer, due);
}

static bool sim_timer_cancel(struct mh_executor *executor,
			     struct mh_timer *timer)
{
	return mh_timer_heap_remove(&executor->timers, timer);
}

static const struct mh_executor_ops sim_ops = {
	.free = sim_free,
	.stop = sim_stop,
	.queue_new = sim_queue_new,
	.queue_start = sim_queue_start,
	.submit = sim_submit,
	.length = sim_length,
	.timer_set = sim_timer_set,
	.timer_cancel = sim_timer_cancel,
};

struct mh_executor *mh_executor_sim_new(uint64_t seed, int64_t wall_ms)
{
	struct sim *sim = MH_NEW(struct sim);

	sim->base.ops = &sim_ops;
	sim->base.clock = &sim->clock;
	sim->clock.wall_ms = sim_wall;
	sim->clock.mono_ms = sim_mono;
	sim->random = mh_random_seeded_new(seed);
	sim->wall_start = wall_ms;
	sim->mono = MONO_START;
	return &sim->base;
}

bool mh_executor_is_sim(const struct mh_executor *executor)
{
	return executor->ops == &sim_ops;
}

static struct mh_queue *draw_queue(struct sim *sim)
{
	struct mh_queue *queue;
	uint64_t ready = 0;
	uint64_t pick;

	for (queue = sim->base.queues; queue; queue = queue->next)
		ready += queue->length > 0;
	if (!ready)
		return NULL;
	pick = ready > 1 ? mh_random_below(sim->random, ready) : 0;
	for (queue = sim->base.queues; queue; queue = queue->next) {
		if (queue->length > 0 && pick-- == 0)
			return queue;
	}
	return NULL;
}

/* Runs one task, or one batch, and says how many tasks that were. */
static size_t run_queue(struct sim *sim, struct mh_queue *queue)
{
	struct mh_task *task;
	size_t index = 0;
	size_t count;

	if (queue->max) {
		task = mh_queue_take_batch(queue, &count);
		queue->run_batch(queue->context, task);
		return count;
	}
	if (queue->threads > 1) {
		size_t window = queue->length < queue->threads ? queue->length
							       : queue->threads;

		index = mh_random_below(sim->random, window);
		mh_queue_current_index =
			(int)mh_random_below(sim->random, queue->threads);
	} else {
		mh_queue_current_index = 0;
	}
	task = mh_queue_take(queue, index);
	task->run(task);
	mh_queue_current_index = -1;
	return 1;
}

/* Hands every timer that is due to its queue. */
static void fire_timers(struct sim *sim)
{
	struct mh_timer *timer;

	while ((timer = mh_timer_heap_top(&sim->base.timers)) &&
	       timer->due <= sim->mono) {
		mh_timer_heap_remove(&sim->base.timers, timer);
		mh_queue_push(timer->queue, &timer->task);
	}
}

size_t mh_executor_run_until_idle(struct mh_executor *executor)
{
	struct sim *sim = sim_of(executor);
	struct mh_queue *queue;
	size_t count = 0;

	MH_ASSERT(mh_executor_is_sim(executor));
	MH_ASSERT(!sim->running); /* never from within a task */
	sim->running = true;
	for (;;) {
		fire_timers(sim);
		queue = draw_queue(sim);
		if (!queue)
			break;
		count += run_queue(sim, queue);
	}
	sim->running = false;
	return count;
}

size_t mh_executor_advance(struct mh_executor *executor, int64_t ms)
{
	struct sim *sim = sim_of(executor);
	int64_t target = sim->mono + ms;
	size_t count = mh_executor_run_until_idle(executor);
	struct mh_timer *timer;

	while ((timer = mh_timer_heap_top(&executor->timers)) &&
	       timer->due <= target) {
		/* What was due already has run: this one is in the future. */
		sim->mono = timer->due;
		count += mh_executor_run_until_idle(executor);
	}
	sim->mono = target;
	return count;
}
