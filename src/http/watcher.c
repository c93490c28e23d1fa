/* SPDX-License-Identifier: Apache-2.0 */
#include "http/watcher.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct slot {
	void *object;	     /* NULL: free */
	uint32_t generation; /* from 1 */
	uint32_t next_free;
};

struct mh_watcher {
	struct mh_watcher_options options;
	struct mh_loop_source source;
	int epoll_fd;
	pthread_mutex_t lock;
	struct slot *slots;
	uint32_t n_slots, free_slot;
};

static uint64_t number(uint32_t slot, uint32_t generation)
{
	return (uint64_t)generation << 32 | slot;
}

/* With the lock held: the slot of a watch that still stands, or NULL. */
static struct slot *find(struct mh_watcher *watcher, uint64_t watch)
{
	uint32_t i = (uint32_t)(watch & UINT32_MAX);

	if (i >= watcher->n_slots || !watcher->slots[i].object ||
	    watcher->slots[i].generation != watch >> 32)
		return NULL;
	return &watcher->slots[i];
}

static uint32_t take_slot(struct mh_watcher *watcher)
{
	uint32_t i = watcher->free_slot;

	if (i == watcher->n_slots) {
		watcher->n_slots = watcher->n_slots * 2 + 64;
		watcher->slots =
			mh_realloc_array(watcher->slots, watcher->n_slots,
					 sizeof(*watcher->slots));
		for (uint32_t j = i; j < watcher->n_slots; j++)
			watcher->slots[j] = (struct slot){
				.generation = 1,
				.next_free = j + 1,
			};
	}
	watcher->free_slot = watcher->slots[i].next_free;
	return i;
}

static void add(struct mh_watcher *watcher, int fd, void *object,
		uint64_t *watch)
{
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT };
	uint32_t i = take_slot(watcher);

	watcher->slots[i].object = object;
	*watch = number(i, watcher->slots[i].generation);
	event.data.u64 = *watch;
	if (epoll_ctl(watcher->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		mh_log_warn("http", "cannot watch a waiting client: %s",
			    strerror(errno));
}

void mh_watcher_add(struct mh_watcher *watcher, int fd, void *object,
		    uint64_t *watch)
{
	pthread_mutex_lock(&watcher->lock);
	if (!*watch)
		add(watcher, fd, object, watch);
	pthread_mutex_unlock(&watcher->lock);
}

static void drop(struct mh_watcher *watcher, int fd, uint64_t watch)
{
	struct slot *slot = find(watcher, watch);

	MH_ASSERT(slot);
	/* Fails when adding has; then there is nothing to be removed. */
	epoll_ctl(watcher->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	slot->object = NULL;
	if (++slot->generation == 0)
		slot->generation = 1;
	slot->next_free = watcher->free_slot;
	watcher->free_slot = (uint32_t)(slot - watcher->slots);
}

void mh_watcher_remove(struct mh_watcher *watcher, int fd, uint64_t *watch)
{
	pthread_mutex_lock(&watcher->lock);
	if (*watch)
		drop(watcher, fd, *watch);
	*watch = 0;
	pthread_mutex_unlock(&watcher->lock);
}

static void tell(struct mh_watcher *watcher, uint64_t watch)
{
	struct slot *slot;
	void *object = NULL;

	pthread_mutex_lock(&watcher->lock);
	slot = find(watcher, watch);
	if (slot) {
		object = slot->object;
		watcher->options.hold(object);
	}
	pthread_mutex_unlock(&watcher->lock);
	if (object)
		watcher->options.gone(object);
}

static void on_ready(struct mh_loop_source *source, uint32_t mask MH_UNUSED)
{
	struct mh_watcher *watcher =
		MH_CONTAINER_OF(source, struct mh_watcher, source);
	struct epoll_event events[64];
	int n = epoll_wait(source->fd, events, MH_ARRAY_LEN(events), 0);

	for (int i = 0; i < n; i++)
		tell(watcher, events[i].data.u64);
}

int mh_watcher_new(const struct mh_watcher_options *options,
		   struct mh_watcher **ret, struct mh_error *err)
{
	struct mh_watcher *watcher = MH_NEW(struct mh_watcher);

	watcher->options = *options;
	watcher->source.fd = -1;
	watcher->source.ready = on_ready;
	pthread_mutex_init(&watcher->lock, NULL);
	watcher->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watcher->epoll_fd < 0 ||
	    mh_loop_add(options->loop, &watcher->source, watcher->epoll_fd,
			EPOLLIN) < 0) {
		mh_watcher_free(watcher);
		return mh_fail_internal(err, "cannot make an epoll: %s",
					strerror(errno));
	}
	*ret = watcher;
	return 0;
}

void mh_watcher_free(struct mh_watcher *watcher)
{
	if (!watcher)
		return;
	mh_loop_remove(watcher->options.loop, &watcher->source);
	if (watcher->epoll_fd >= 0)
		close(watcher->epoll_fd);
	free(watcher->slots);
	pthread_mutex_destroy(&watcher->lock);
	free(watcher);
}
