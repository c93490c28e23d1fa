/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches, on the loop, for clients that close their side of a connection from
 * which nobody reads at the moment.
 *
 * Adding and removing happen on any thread, the telling on the loop's. A watch is
 * a slot with a generation, and epoll carries their numbers, not pointers: what
 * epoll still reports after the removal finds the slot in other hands, and
 * nothing is told.
 */
#pragma once

#include "http/loop.h"

struct mh_watcher;

struct mh_watcher_options {
	struct mh_loop *loop; /* not started yet */
	/* Takes a reference; called with the watcher's lock held. */
	void (*hold)(void *object);
	/* The client has left; gives the reference back. On the loop. */
	void (*gone)(void *object);
};

int mh_watcher_new(const struct mh_watcher_options *options,
		   struct mh_watcher **ret, struct mh_error *err);
/* With the loop stopped. */
void mh_watcher_free(struct mh_watcher *watcher);

/*
 * Sets `watch`, which is the object's and was 0, before anybody can be told;
 * does nothing when it stands already. `fd` must stay open until the removal.
 */
void mh_watcher_add(struct mh_watcher *watcher, int fd, void *object,
		    uint64_t *watch);
/* Sets `watch` to 0; does nothing when it is. */
void mh_watcher_remove(struct mh_watcher *watcher, int fd, uint64_t *watch);
