/* SPDX-License-Identifier: Apache-2.0 */
/* Both executors: queues, batches, timers, and the order that a seed draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/executor.h"
#include "base/strbuf.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

/* --- simulated ---------------------------------------------------------- */

struct note {
	struct mh_task task;
	struct mh_strbuf *out;
	char c;
};

static void note_run(struct mh_task *task)
{
	struct note *note = MH_CONTAINER_OF(task, struct note, task);

	mh_strbuf_addch(note->out, note->c);
}

/* 26 tasks over three queues; returns the order in which they ran. */
static void record_order(uint64_t seed, unsigned threads, struct mh_strbuf *out)
{
	struct mh_executor *executor = mh_executor_sim_new(seed, 0);
	struct mh_queue *queues[3];
	struct note notes[26] = { 0 };

	for (size_t i = 0; i < 3; i++)
		queues[i] = mh_executor_queue(executor, "q", threads);
	for (size_t i = 0; i < 26; i++) {
		notes[i] = (struct note){ { .run = note_run },
					  out,
					  (char)('a' + i) };
		mh_queue_submit(queues[i % 3], &notes[i].task);
	}
	assert_int_equal(mh_executor_run_until_idle(executor), 26);
	assert_int_equal(mh_executor_run_until_idle(executor), 0);
	mh_executor_free(executor);
}

static void test_a_seed_decides_the_order(void **state MH_UNUSED)
{
	MH_STRBUF(first);
	MH_STRBUF(again);
	MH_STRBUF(other);

	record_order(7, 2, &first);
	record_order(7, 2, &again);
	record_order(8, 2, &other);
	assert_string_equal(first.data, again.data);
	assert_string_not_equal(first.data, other.data);
}

static void test_one_thread_keeps_order(void **state MH_UNUSED)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		MH_STRBUF(order);
		char last[3] = { 0, 0, 0 };

		record_order(seed, 1, &order);
		for (size_t i = 0; i < order.len; i++) {
			size_t queue = (size_t)(order.data[i] - 'a') % 3;

			assert_true(order.data[i] > last[queue]);
			last[queue] = order.data[i];
		}
	}
}

struct loop {
	struct mh_task task;
	struct mh_queue *queue;
	int left;
	int index_min;
	int index_max;
};

static void loop_run(struct mh_task *task)
{
	struct loop *loop = MH_CONTAINER_OF(task, struct loop, task);
	int index = mh_queue_thread_index();

	if (index < loop->index_min)
		loop->index_min = index;
	if (index > loop->index_max)
		loop->index_max = index;
	if (--loop->left)
		mh_queue_submit(loop->queue, task);
}

static void test_a_task_may_submit_itself(void **state MH_UNUSED)
{
	struct mh_executor *executor = mh_executor_sim_new(1, 0);
	struct loop loop = { .task.run = loop_run,
			     .left = 200,
			     .index_min = 99,
			     .index_max = -99 };

	loop.queue = mh_executor_queue(executor, "q", 3);
	assert_int_equal(mh_queue_thread_index(), -1);
	mh_queue_submit(loop.queue, &loop.task);
	mh_queue_submit(loop.queue, &loop.task); /* still waits: no change */
	assert_int_equal(mh_queue_length(loop.queue), 1);
	assert_int_equal(mh_executor_run_until_idle(executor), 200);
	assert_int_equal(loop.index_min, 0);
	assert_int_equal(loop.index_max, 2);
	assert_int_equal(mh_queue_thread_index(), -1);
	mh_executor_free(executor);
}

static void batch_run(void *context, struct mh_task *list)
{
	struct mh_strbuf *out = context;

	mh_strbuf_addch(out, '[');
	for (; list; list = list->next)
		list->run(list);
	mh_strbuf_addch(out, ']');
}

static void test_a_batch_takes_all_up_to_its_limit(void **state MH_UNUSED)
{
	struct mh_executor *executor = mh_executor_sim_new(1, 0);
	MH_STRBUF(out);
	struct note notes[5];
	struct mh_queue *queue =
		mh_executor_batch_queue(executor, "writer", 3, batch_run, &out);

	for (size_t i = 0; i < 5; i++) {
		notes[i] = (struct note){ { .run = note_run },
					  &out,
					  (char)('a' + i) };
		mh_queue_submit(queue, &notes[i].task);
	}
	assert_int_equal(mh_executor_run_until_idle(executor), 5);
	assert_string_equal(out.data, "[abc][de]");
	assert_int_equal(mh_queue_length(queue), 0);
	mh_queue_submit(queue, &notes[0].task);
	mh_executor_run_until_idle(executor);
	assert_string_equal(out.data, "[abc][de][a]");
	mh_executor_free(executor);
}

struct alarm {
	struct mh_timer timer;
	struct mh_executor *executor;
	struct mh_strbuf *out;
	int64_t every;
};

static void alarm_run(struct mh_task *task)
{
	struct alarm *alarm = MH_CONTAINER_OF(task, struct alarm, timer.task);
	int64_t now = mh_clock_mono(mh_executor_clock(alarm->executor));

	mh_strbuf_addf(alarm->out, "%lld ", (long long)now);
	if (alarm->every)
		mh_timer_set(alarm->executor, &alarm->timer,
			     now + alarm->every);
}

static void test_advance_fires_timers_when_due(void **state MH_UNUSED)
{
	struct mh_executor *executor = mh_executor_sim_new(1, 5000000);
	struct mh_clock *clock = mh_executor_clock(executor);
	struct mh_queue *queue = mh_executor_queue(executor, "q", 1);
	int64_t start = mh_clock_mono(clock);
	struct alarm once = { .executor = executor };
	struct alarm tick = { .executor = executor, .every = 10 };
	MH_STRBUF(expected);
	MH_STRBUF(once_out);
	MH_STRBUF(tick_out);

	once.out = &once_out;
	tick.out = &tick_out;
	mh_timer_init(&once.timer, queue, alarm_run);
	mh_timer_init(&tick.timer, queue, alarm_run);
	mh_timer_set(executor, &once.timer, start + 500);
	mh_timer_set(executor, &once.timer, start + 15); /* moved earlier */
	mh_timer_set(executor, &tick.timer, start + 10);

	assert_int_equal(mh_executor_run_until_idle(executor), 0);
	assert_int_equal(mh_executor_advance(executor, 35), 4);
	assert_int_equal(mh_clock_mono(clock), start + 35);
	assert_int_equal(mh_clock_wall(clock), 5000035);
	mh_strbuf_addf(&expected, "%lld ", (long long)(start + 15));
	assert_string_equal(once_out.data, expected.data);

	assert_true(mh_timer_cancel(executor, &tick.timer));
	assert_false(mh_timer_cancel(executor, &tick.timer));
	assert_int_equal(mh_executor_advance(executor, 1000), 0);
	mh_executor_free(executor);
}

static void test_a_due_timer_needs_no_advance(void **state MH_UNUSED)
{
	struct mh_executor *executor = mh_executor_sim_new(1, 0);
	struct mh_queue *queue = mh_executor_queue(executor, "q", 1);
	struct alarm alarm = { .executor = executor };
	MH_STRBUF(out);

	alarm.out = &out;
	mh_timer_init(&alarm.timer, queue, alarm_run);
	mh_timer_set(executor, &alarm.timer, 0);
	assert_int_equal(mh_executor_run_until_idle(executor), 1);
	mh_executor_free(executor);
}

/* Many timers set, moved and cancelled: they fire in order of deadline. */
static void test_the_heap_keeps_order(void **state MH_UNUSED)
{
	enum { N = 500 };
	struct mh_executor *executor = mh_executor_sim_new(1, 0);
	struct mh_clock *clock = mh_executor_clock(executor);
	struct mh_queue *queue = mh_executor_queue(executor, "q", 1);
	struct mh_random *random = mh_random_seeded_new(42);
	struct alarm *alarms = mh_alloc_array(N, sizeof(*alarms));
	int64_t start = mh_clock_mono(clock);
	size_t expected = 0;
	MH_STRBUF(out);
	int64_t last = 0;
	char *p;

	for (size_t i = 0; i < N; i++) {
		alarms[i].executor = executor;
		alarms[i].out = &out;
		mh_timer_init(&alarms[i].timer, queue, alarm_run);
	}
	for (size_t round = 0; round < 4 * N; round++) {
		struct alarm *alarm = &alarms[mh_random_below(random, N)];

		if (mh_random_below(random, 4) == 0)
			mh_timer_cancel(executor, &alarm->timer);
		else
			mh_timer_set(executor, &alarm->timer,
				     start + (int64_t)mh_random_below(random,
								      9999));
	}
	for (size_t i = 0; i < N; i++)
		expected += alarms[i].timer.heap_slot != 0;
	assert_true(expected > N / 4);
	assert_int_equal(mh_executor_advance(executor, 10000), expected);
	for (p = out.data; *p;) {
		long long at = strtoll(p, &p, 10);

		assert_true(at >= last);
		last = at;
		p++;
	}
	free(alarms);
	mh_random_seeded_free(random);
	mh_executor_free(executor);
}

/* --- threads ------------------------------------------------------------ */

struct count {
	struct mh_task task;
	struct mh_queue *then;
	struct count *other;
	atomic_int *total;
	char name[16];
	int index;
};

static void count_run(struct mh_task *task)
{
	struct count *count = MH_CONTAINER_OF(task, struct count, task);

	prctl(PR_GET_NAME, count->name);
	count->index = mh_queue_thread_index();
	atomic_fetch_add(count->total, 1);
	if (count->then)
		mh_queue_submit(count->then, &count->other->task);
}

/* stop() waits for what queued tasks lead on to, in other queues too. */
static void test_stop_runs_everything(void **state MH_UNUSED)
{
	enum { N = 300 };
	struct mh_executor *executor = mh_executor_threads_new(mh_clock_real());
	struct mh_queue *first = mh_executor_queue(executor, "first", 2);
	struct mh_queue *second = mh_executor_queue(executor, "second", 1);
	struct count *counts = mh_alloc_array(2 * N, sizeof(*counts));
	atomic_int total = 0;

	for (size_t i = 0; i < N; i++) {
		counts[i].task.run = count_run;
		counts[i].total = &total;
		counts[i].then = second;
		counts[i].other = &counts[N + i];
		counts[N + i].task.run = count_run;
		counts[N + i].total = &total;
		mh_queue_submit(first, &counts[i].task);
	}
	mh_executor_stop(executor);
	assert_int_equal(atomic_load(&total), 2 * N);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(strncmp(counts[i].name, "first-", 6), 0);
		assert_in_range(counts[i].index, 0, 1);
		assert_string_equal(counts[N + i].name, "second");
		assert_int_equal(counts[N + i].index, 0);
	}
	/* Afterwards a task stays its submitter's. */
	mh_queue_submit(first, &counts[0].task);
	assert_int_equal(mh_queue_length(first), 0);
	mh_executor_free(executor);
	free(counts);
}

struct gate {
	struct mh_task task;
	sem_t *entered;
	sem_t *open;
};

static void gate_run(struct mh_task *task)
{
	struct gate *gate = MH_CONTAINER_OF(task, struct gate, task);

	sem_post(gate->entered);
	sem_wait(gate->open);
}

static void run_each(void *context, struct mh_task *list)
{
	struct mh_strbuf *sizes = context;
	struct mh_task *next;
	int size = 0;

	assert_int_equal(mh_queue_thread_index(), -1);
	for (; list; list = next) {
		next = list->next;
		list->run(list);
		size++;
	}
	mh_strbuf_addf(sizes, "%d ", size);
}

/* What comes in while a batch runs makes up the next one. */
static void test_batches_group_what_waits(void **state MH_UNUSED)
{
	struct mh_executor *executor = mh_executor_threads_new(mh_clock_real());
	struct count counts[5] = { 0 };
	atomic_int total = 0;
	MH_STRBUF(sizes);
	sem_t entered;
	sem_t open;
	struct gate gate = { { .run = gate_run }, &entered, &open };
	struct mh_queue *queue = mh_executor_batch_queue(executor, "writer", 4,
							 run_each, &sizes);

	sem_init(&entered, 0, 0);
	sem_init(&open, 0, 0);
	mh_queue_submit(queue, &gate.task);
	sem_wait(&entered);
	for (size_t i = 0; i < 5; i++) {
		counts[i].task.run = count_run;
		counts[i].total = &total;
		mh_queue_submit(queue, &counts[i].task);
	}
	assert_int_equal(mh_queue_length(queue), 5);
	sem_post(&open);
	mh_executor_stop(executor);
	assert_int_equal(atomic_load(&total), 5);
	assert_string_equal(sizes.data, "1 4 1 ");
	assert_string_equal(counts[0].name, "writer");
	mh_executor_free(executor);
	sem_destroy(&entered);
	sem_destroy(&open);
}

struct ring {
	struct mh_timer timer;
	sem_t *rang;
	int64_t due;
	int64_t at;
};

static void ring_run(struct mh_task *task)
{
	struct ring *ring = MH_CONTAINER_OF(task, struct ring, timer.task);

	ring->at = mh_clock_mono(mh_clock_real());
	sem_post(ring->rang);
}

static void test_timers_of_threads(void **state MH_UNUSED)
{
	struct mh_clock *clock = mh_clock_real();
	struct mh_executor *executor = mh_executor_threads_new(clock);
	struct mh_queue *queue = mh_executor_queue(executor, "q", 1);
	int64_t now = mh_clock_mono(clock);
	sem_t rang;
	struct ring late = { .rang = &rang, .due = now + 3600 * 1000 };
	struct ring soon = { .rang = &rang, .due = now + 20 };
	struct ring moved = { .rang = &rang, .due = now + 5 };

	sem_init(&rang, 0, 0);
	mh_timer_init(&late.timer, queue, ring_run);
	mh_timer_init(&soon.timer, queue, ring_run);
	mh_timer_init(&moved.timer, queue, ring_run);
	mh_timer_set(executor, &late.timer, late.due);
	mh_timer_set(executor, &moved.timer, late.due);
	mh_timer_set(executor, &soon.timer, soon.due); /* earlier than all */
	mh_timer_set(executor, &moved.timer, moved.due);
	sem_wait(&rang);
	sem_wait(&rang);
	assert_true(soon.at >= soon.due);
	assert_true(moved.at >= moved.due);
	assert_false(mh_timer_cancel(executor, &soon.timer));
	assert_true(mh_timer_cancel(executor, &late.timer));
	mh_timer_set(executor, &late.timer, late.due);
	mh_executor_free(executor); /* with a timer still set */
	assert_int_equal(late.at, 0);
	sem_destroy(&rang);
}

/* A timer that fires again before its first run was served runs once. */
static void test_a_busy_queue_merges_firings(void **state MH_UNUSED)
{
	struct mh_clock *clock = mh_clock_real();
	struct mh_executor *executor = mh_executor_threads_new(clock);
	struct mh_queue *busy = mh_executor_queue(executor, "busy", 1);
	struct mh_queue *free_queue = mh_executor_queue(executor, "free", 1);
	sem_t entered;
	sem_t open;
	sem_t rang;
	sem_t passed;
	struct gate gate = { { .run = gate_run }, &entered, &open };
	struct ring twice = { .rang = &rang };
	struct ring pass = { .rang = &passed };
	int left;

	sem_init(&entered, 0, 0);
	sem_init(&open, 0, 0);
	sem_init(&rang, 0, 0);
	sem_init(&passed, 0, 0);
	mh_timer_init(&twice.timer, busy, ring_run);
	mh_timer_init(&pass.timer, free_queue, ring_run);
	mh_queue_submit(busy, &gate.task);
	sem_wait(&entered);
	for (int i = 0; i < 2; i++) {
		int64_t now = mh_clock_mono(clock);

		/* `pass` is due later, so `twice` was handed over before it. */
		mh_timer_set(executor, &twice.timer, now - 1);
		mh_timer_set(executor, &pass.timer, now);
		sem_wait(&passed);
	}
	assert_int_equal(mh_queue_length(busy), 1);
	sem_post(&open);
	mh_executor_free(executor);
	sem_getvalue(&rang, &left);
	assert_int_equal(left, 1);
	sem_destroy(&entered);
	sem_destroy(&open);
	sem_destroy(&rang);
	sem_destroy(&passed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_decides_the_order),
		cmocka_unit_test(test_one_thread_keeps_order),
		cmocka_unit_test(test_a_task_may_submit_itself),
		cmocka_unit_test(test_a_batch_takes_all_up_to_its_limit),
		cmocka_unit_test(test_advance_fires_timers_when_due),
		cmocka_unit_test(test_a_due_timer_needs_no_advance),
		cmocka_unit_test(test_the_heap_keeps_order),
		cmocka_unit_test(test_stop_runs_everything),
		cmocka_unit_test(test_batches_group_what_waits),
		cmocka_unit_test(test_timers_of_threads),
		cmocka_unit_test(test_a_busy_queue_merges_firings),
	};

	return cmocka_run_group_tests_name("executor", tests, NULL, NULL);
}
