/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread with an epoll: what the transports have to do with bare sockets,
 * besides what libmicrohttpd and libwebsockets do in their own threads. It
 * accepts, peeks, relays, watches for clients that left and keeps deadlines.
 * Nothing on it blocks or computes for long.
 *
 * A source is embedded in the object that it is about:
 *
 *	struct relay { struct mh_loop_source source; ... };
 *	relay->source.ready = relay_ready;
 *	mh_loop_add(loop, &relay->source, fd, EPOLLIN);
 *
 * Everything but mh_loop_call() belongs to the loop's thread, or to the time
 * before it is started. An object with sources is freed by mh_loop_free_later(),
 * for the events in hand may still name it.
 */
#pragma once

#include "base/error.h"

#include <stdint.h>

struct mh_loop;

struct mh_loop_source {
	void (*ready)(struct mh_loop_source *source, uint32_t events);
	int fd;		 /* -1 when it is not added */
	uint32_t events; /* of epoll_ctl(2) */
};

struct mh_loop_timer {
	void (*expired)(struct mh_loop_timer *timer);
	int64_t due; /* milliseconds of mh_loop_now(); 0: not set */
	struct mh_loop_timer *next;
	bool known; /* in the loop's list, for ever */
};

/* Something to be run on the loop's thread; may be reused once it has run. */
struct mh_loop_call {
	void (*run)(struct mh_loop_call *call);
	struct mh_loop_call *next;
	bool queued;
};

/* `name` names the thread (at most 15 characters). */
int mh_loop_new(const char *name, struct mh_loop **ret, struct mh_error *err);
int mh_loop_start(struct mh_loop *loop, struct mh_error *err);
/* Joins the thread, after it has run what was called. Sources stay. */
void mh_loop_stop(struct mh_loop *loop);
void mh_loop_free(struct mh_loop *loop);

int64_t mh_loop_now(const struct mh_loop *loop);

/* -1 when the kernel refuses (errno). The descriptor stays the caller's. */
int mh_loop_add(struct mh_loop *loop, struct mh_loop_source *source, int fd,
		uint32_t events);
void mh_loop_modify(struct mh_loop *loop, struct mh_loop_source *source,
		    uint32_t events);
/* Does nothing when it is not added. Call before the descriptor is closed. */
void mh_loop_remove(struct mh_loop *loop, struct mh_loop_source *source);

/* A timer belongs to something that lives as long as the loop runs. */
void mh_loop_timer_set(struct mh_loop *loop, struct mh_loop_timer *timer,
		       int64_t due);

/* free(object) once the events in hand are done with. */
void mh_loop_free_later(struct mh_loop *loop, void *object);

/* Any thread. Calling again what has not yet run changes nothing. */
void mh_loop_call(struct mh_loop *loop, struct mh_loop_call *call);
