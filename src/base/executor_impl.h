/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two executors share. Private to src/base/executor*.c: others include
 * base/executor.h.
 */
#pragma once

#include "base/executor.h"

struct mh_executor_ops {
	void (*free)(struct mh_executor *executor);
	void (*stop)(struct mh_executor *executor);
	/* Allocates; the caller fills the common fields, then starts it. */
	struct mh_queue *(*queue_new)(struct mh_executor *executor);
	void (*queue_start)(struct mh_queue *queue);
	void (*submit)(struct mh_queue *queue, struct mh_task *task);
	size_t (*length)(struct mh_queue *queue);
	void (*timer_set)(struct mh_executor *executor, struct mh_timer *timer,
			  int64_t due);
	bool (*timer_cancel)(struct mh_executor *executor,
			     struct mh_timer *timer);
};

/* A binary heap of timers, the earliest on top; slots count from 1. */
struct mh_timer_heap {
	struct mh_timer **slots;
	size_t count;
	size_t cap;
};

struct mh_executor {
	const struct mh_executor_ops *ops;
	struct mh_clock *clock;
	struct mh_timer_heap timers;
	struct mh_queue *queues;
};

struct mh_queue {
	struct mh_executor *executor;
	struct mh_queue *next; /* the executor's list */
	const char *name;
	unsigned threads;
	size_t max; /* of a batch queue; 0 otherwise */
	void (*run_batch)(void *context, struct mh_task *list);
	void *context;
	struct mh_task *head;
	struct mh_task **tail;
	size_t length;
};

/* What mh_queue_thread_index() answers. */
extern _Thread_local int mh_queue_current_index;

/* Appends; false when the task waits here already. */
bool mh_queue_push(struct mh_queue *queue, struct mh_task *task);
/* Takes out the task `index` places behind the head. */
struct mh_task *mh_queue_take(struct mh_queue *queue, size_t index);
/* Takes the first tasks, at most queue->max, as a NULL-terminated list. */
struct mh_task *mh_queue_take_batch(struct mh_queue *queue, size_t *ret_count);

void mh_timer_heap_release(struct mh_timer_heap *heap);
/* Inserts the timer, or moves it when it is set already. */
void mh_timer_heap_set(struct mh_timer_heap *heap, struct mh_timer *timer,
		       int64_t due);
/* False when the timer was not set. */
bool mh_timer_heap_remove(struct mh_timer_heap *heap, struct mh_timer *timer);
/* The earliest, or NULL. */
static inline struct mh_timer *
mh_timer_heap_top(const struct mh_timer_heap *heap)
{
	return heap->count ? heap->slots[1] : NULL;
}
