/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct mh_server: one homeserver, put together. There are no globals: whoever
 * needs something of the node gets this. A simulation has several in one
 * process.
 *
 * Start-up order (mh_server_new): store, signing key, services in the order
 * of the fields, router. main/ then starts the transports, and stops them
 * before mh_server_stop().
 */
#pragma once

#include "base/executor.h"
#include "base/settings.h"
#include "core/signing.h"
#include "store/store.h"

struct mh_notifier;
struct mh_sessions;
struct mh_room_cache;
struct mh_router;
struct mh_rate_limits;
struct mh_uia;
struct mh_typing;
struct mh_presence;
struct mh_sync;
struct mh_push;
struct mh_live;

struct mh_server {
	/* Borrowed. A reload puts others here; read it again each time. */
	const struct mh_settings *_Atomic settings;
	struct mh_str name;		    /* server name: "example.org" */
	struct mh_clock *clock;
	struct mh_random *random;
	struct mh_executor *executor;
	struct mh_queue *workers;   /* as many threads as cores */
	struct mh_queue *passwords; /* Argon2id: few at once */
	struct mh_store *store;
	struct mh_signer signer;
	unsigned workers_count;

	struct mh_notifier *notifier;	  /* notifier.h */
	struct mh_sessions *sessions;	  /* sessions.h */
	struct mh_room_cache *rooms;	  /* rooms.h */
	struct mh_uia *uia;		  /* uia.h */
	struct mh_typing *typing;	  /* typing.h */
	struct mh_presence *presence;	  /* presence.h */
	struct mh_sync *sync;		  /* sync.h */
	struct mh_push *push;		  /* push.h */
	struct mh_rate_limits *limits;	  /* rate_limits.h */
	struct mh_router *router;	  /* http/router.h; main's wiring */
	int64_t started_ms;		  /* wall time */
	char *key_id;			  /* of the signing key */
	char boot_id[9]; /* letters; in the ephemeral part of sync tokens */
};

struct mh_server_options {
	const struct mh_settings *settings; /* must outlive the server */
	struct mh_executor *executor;
	struct mh_random *random;
	unsigned workers; /* threads; 0: one a core */
	const char *vfs;  /* for tests: see store.h */
};

/* M_UNKNOWN with a message for the operator. */
int mh_server_new(const struct mh_server_options *options,
		  struct mh_server **ret, struct mh_error *err);
/*
 * Wakes everyone who waits (their requests are answered), then waits for the
 * queues. Transports must not deliver anything new.
 */
void mh_server_stop(struct mh_server *server);
void mh_server_free(struct mh_server *server);

/* True for an ID of this server: "@x:our.name". */
static inline bool mh_server_owns(const struct mh_server *server,
				  struct mh_str id)
{
	ptrdiff_t colon = mh_str_find(id, ':');

	return colon >= 0 &&
	       mh_str_eq(mh_str_from(id, (size_t)colon + 1), server->name);
}
