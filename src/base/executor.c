/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an executor that do not depend on how tasks come to run: the
 * lists of waiting tasks and the heap of timers. None of them locks; the
 * executors do.
 */
#include "base/executor_impl.h"

#include <stdlib.h>

_Thread_local int mh_queue_current_index = -1;

/* --- the public functions ----------------------------------------------- */

void mh_executor_free(struct mh_executor *executor)
{
	if (executor)
		executor->ops->free(executor);
}

struct mh_clock *mh_executor_clock(struct mh_executor *executor)
{
	return executor->clock;
}

void mh_executor_stop(struct mh_executor *executor)
{
	executor->ops->stop(executor);
}

static struct mh_queue *queue_new(struct mh_executor *executor,
				  const char *name, unsigned threads)
{
	struct mh_queue *queue = executor->ops->queue_new(executor);

	queue->executor = executor;
	queue->name = name;
	queue->threads = threads;
	queue->tail = &queue->head;
	queue->next = executor->queues;
	executor->queues = queue;
	return queue;
}

struct mh_queue *mh_executor_queue(struct mh_executor *executor,
				   const char *name, unsigned threads)
{
	struct mh_queue *queue;

	MH_ASSERT(threads > 0);
	queue = queue_new(executor, name, threads);
	executor->ops->queue_start(queue);
	return queue;
}

struct mh_queue *mh_executor_batch_queue(
	struct mh_executor *executor, const char *name, size_t max,
	void (*run)(void *context, struct mh_task *list), void *context)
{
	struct mh_queue *queue;

	MH_ASSERT(max > 0);
	queue = queue_new(executor, name, 1);
	queue->max = max;
	queue->run_batch = run;
	queue->context = context;
	executor->ops->queue_start(queue);
	return queue;
}

void mh_queue_submit(struct mh_queue *queue, struct mh_task *task)
{
	queue->executor->ops->submit(queue, task);
}

size_t mh_queue_length(struct mh_queue *queue)
{
	return queue->executor->ops->length(queue);
}

int mh_queue_thread_index(void)
{
	return mh_queue_current_index;
}

void mh_timer_init(struct mh_timer *timer, struct mh_queue *queue,
		   void (*run)(struct mh_task *task))
{
	*timer = (struct mh_timer){ .task = { .run = run }, .queue = queue };
}

void mh_timer_set(struct mh_executor *executor, struct mh_timer *timer,
		  int64_t due)
{
	executor->ops->timer_set(executor, timer, due);
}

bool mh_timer_cancel(struct mh_executor *executor, struct mh_timer *timer)
{
	return executor->ops->timer_cancel(executor, timer);
}

/* --- lists of waiting tasks --------------------------------------------- */

bool mh_queue_push(struct mh_queue *queue, struct mh_task *task)
{
	if (task->queued)
		return false;
	task->queued = true;
	task->next = NULL;
	*queue->tail = task;
	queue->tail = &task->next;
	queue->length++;
	return true;
}

struct mh_task *mh_queue_take(struct mh_queue *queue, size_t index)
{
	struct mh_task **link = &queue->head;
	struct mh_task *task;

	MH_ASSERT(index < queue->length);
	while (index--)
		link = &(*link)->next;
	task = *link;
	*link = task->next;
	if (!task->next)
		queue->tail = link;
	queue->length--;
	task->next = NULL;
	task->queued = false;
	return task;
}

struct mh_task *mh_queue_take_batch(struct mh_queue *queue, size_t *ret_count)
{
	struct mh_task *list = queue->head;
	struct mh_task **link = &queue->head;
	size_t count = 0;

	while (*link && count < queue->max) {
		(*link)->queued = false;
		link = &(*link)->next;
		count++;
	}
	queue->head = *link;
	if (!queue->head)
		queue->tail = &queue->head;
	*link = NULL;
	queue->length -= count;
	*ret_count = count;
	return list;
}

/* --- the heap of timers ------------------------------------------------- */

void mh_timer_heap_release(struct mh_timer_heap *heap)
{
	free(heap->slots);
	*heap = (struct mh_timer_heap){ 0 };
}

static void place(struct mh_timer_heap *heap, size_t slot,
		  struct mh_timer *timer)
{
	heap->slots[slot] = timer;
	timer->heap_slot = slot;
}

/* Moves a timer to where it belongs, from a slot that nobody else holds. */
static void sift(struct mh_timer_heap *heap, size_t slot,
		 struct mh_timer *timer)
{
	while (slot > 1 && timer->due < heap->slots[slot / 2]->due) {
		place(heap, slot, heap->slots[slot / 2]);
		slot /= 2;
	}
	for (;;) {
		size_t child = 2 * slot;

		if (child > heap->count)
			break;
		if (child < heap->count &&
		    heap->slots[child + 1]->due < heap->slots[child]->due)
			child++;
		if (timer->due <= heap->slots[child]->due)
			break;
		place(heap, slot, heap->slots[child]);
		slot = child;
	}
	place(heap, slot, timer);
}

void mh_timer_heap_set(struct mh_timer_heap *heap, struct mh_timer *timer,
		       int64_t due)
{
	timer->due = due;
	if (timer->heap_slot) {
		sift(heap, timer->heap_slot, timer);
		return;
	}
	if (heap->count + 2 > heap->cap) {
		heap->cap = heap->cap ? 2 * heap->cap : 64;
		heap->slots = mh_realloc_array(heap->slots, heap->cap,
					       sizeof(struct mh_timer *));
	}
	heap->count++;
	sift(heap, heap->count, timer);
}

bool mh_timer_heap_remove(struct mh_timer_heap *heap, struct mh_timer *timer)
{
	size_t slot = timer->heap_slot;
	struct mh_timer *last;

	if (!slot)
		return false;
	last = heap->slots[heap->count--];
	timer->heap_slot = 0;
	if (last != timer)
		sift(heap, slot, last);
	return true;
}
