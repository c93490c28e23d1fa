/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a node together, and takes it apart. */
#include "service/server.h"

#include "base/arena.h"
#include "base/log.h"
#include "service/notifier.h"
#include "service/presence.h"
#include "service/rate_limits.h"
#include "service/rooms.h"
#include "service/sessions.h"
#include "service/sync.h"
#include "service/typing.h"
#include "service/uia.h"
#include "store/accounts.h"

#include <errno.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned count_workers(const struct mh_server_options *options)
{
	long cores;

	if (options->workers)
		return options->workers;
	if (options->settings->server.workers)
		return (unsigned)options->settings->server.workers;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
}

/*
 * A third of the budget goes to SQLite's pages, a third to what the store keeps
 * in memory of names, events and state; the rest is the services', above all
 * what sync copies its responses from.
 */
static int open_store(struct mh_server *server,
		      const struct mh_server_options *options,
		      struct mh_error *err)
{
	MH_STRBUF(path);
	struct mh_store_options store = {
		.server_name = options->settings->server.name,
		.readers = server->workers_count,
		.vfs = options->vfs,
		.cache_bytes = options->settings->memory.budget / 3,
		.memory_bytes = options->settings->memory.budget / 3,
	};

	mh_strbuf_addf(&path, "%s/moothall.db",
		       options->settings->server.data_dir);
	store.path = path.data;
	return mh_store_open(&store, server->executor, &server->store, err);
}

/* --- the node's keys ---------------------------------------------------- */

/* A write job that the start waits for. */
struct first_job {
	struct mh_write_job job;
	struct mh_server *server;
	struct mh_str key_id, seed; /* a new signing key; data NULL: none */
	struct mh_error *err;
	bool failed;
	sem_t done;
};

static int first_run(struct mh_write_job *job, struct mh_tx *tx,
		     struct mh_error *err)
{
	struct first_job *first = MH_CONTAINER_OF(job, struct first_job, job);

	if (first->key_id.data &&
	    mh_signing_key_add(tx, first->key_id, first->seed,
			       mh_clock_wall(first->server->clock), err) < 0)
		return -1;
	return mh_sessions_rotate(first->server, tx, err);
}

static void first_done(struct mh_write_job *job, struct mh_error *err)
{
	struct first_job *first = MH_CONTAINER_OF(job, struct first_job, job);

	if (err) {
		mh_error_move(first->err, err);
		first->failed = true;
	}
	sem_post(&first->done);
}

/* Stores new keys, and waits until they are durable: nothing else runs yet. */
static int save_keys(struct mh_server *server, struct mh_str key_id,
		     struct mh_str seed, struct mh_error *err)
{
	struct first_job first = {
		.job = { .run = first_run, .done = first_done },
		.server = server,
		.key_id = key_id,
		.seed = seed,
		.err = err,
	};

	sem_init(&first.done, 0, 0);
	mh_store_write(server->store, &first.job);
	if (mh_executor_is_sim(server->executor))
		mh_executor_run_until_idle(server->executor);
	while (sem_wait(&first.done) < 0)
		MH_ASSERT(errno == EINTR);
	sem_destroy(&first.done);
	return first.failed ? -1 : 0;
}

/* The key of the first start is the node's identity in every room. */
static int load_keys(struct mh_server *server, struct mh_error *err)
{
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	unsigned char seed_bytes[MH_ED25519_SEED];
	struct mh_str key_id, seed, new_id = MH_STR_NONE;
	char name[7];
	int rc = mh_signing_key_get(mh_store_reader(server->store), &arena,
				    &key_id, &seed, err);

	if (rc < 0 || mh_sessions_load(server->sessions,
				       mh_store_reader(server->store), err) < 0)
		return -1;
	if (!rc) {
		MH_STRBUF(text);

		mh_random_letters(server->random, name, sizeof(name) - 1);
		mh_random_bytes(server->random, seed_bytes, sizeof(seed_bytes));
		mh_strbuf_addf(&text, "ed25519:%s", name);
		key_id = mh_arena_str(&arena, mh_strbuf_str(&text));
		seed = mh_str_n((char *)seed_bytes, sizeof(seed_bytes));
		new_id = key_id;
		mh_log_info("start", "making the signing key '%s'", text.data);
	} else if (seed.len != sizeof(seed_bytes)) {
		return mh_fail_internal(err,
					"the signing key '%.*s' is damaged",
					MH_STR_ARG(key_id));
	} else {
		memcpy(seed_bytes, seed.data, sizeof(seed_bytes));
	}
	if (save_keys(server, new_id, seed, err) < 0)
		return -1;
	server->key_id = mh_str_dup(key_id);
	mh_signer_init(&server->signer, server->name, mh_str(server->key_id),
		       seed_bytes);
	sodium_memzero(seed_bytes, sizeof(seed_bytes));
	return 0;
}

/* --- the whole ---------------------------------------------------------- */

static int start(struct mh_server *server,
		 const struct mh_server_options *options, struct mh_error *err)
{
	const struct mh_settings *settings = options->settings;

	server->settings = settings;
	server->name = mh_str(settings->server.name);
	server->executor = options->executor;
	server->clock = mh_executor_clock(options->executor);
	server->random = options->random;
	server->started_ms = mh_clock_wall(server->clock);
	mh_random_letters(server->random, server->boot_id,
			  sizeof(server->boot_id) - 1);
	server->workers_count = count_workers(options);
	server->workers = mh_executor_queue(server->executor, "worker",
					    server->workers_count);
	server->passwords =
		mh_executor_queue(server->executor, "password",
				  (unsigned)settings->auth.password_checks);
	server->sessions = mh_sessions_new(server);
	if (open_store(server, options, err) < 0 ||
	    load_keys(server, err) < 0)
		return -1;
	server->uia = mh_uia_new(server);
	server->notifier = mh_notifier_new(server);
	server->typing = mh_typing_new(server);
	server->presence = mh_presence_new(server);
	server->sync = mh_sync_new(server);
	server->rooms = mh_room_cache_new(server);
	server->limits =
		mh_rate_limits_new(settings, server->clock, server->random);
	return 0;
}

int mh_server_new(const struct mh_server_options *options,
		  struct mh_server **ret, struct mh_error *err)
{
	struct mh_server *server;

	if (sodium_init() < 0)
		return mh_fail_internal(err, "libsodium does not start");
	server = MH_NEW(struct mh_server);
	if (start(server, options, err) < 0) {
		mh_server_stop(server);
		mh_server_free(server);
		return -1;
	}
	*ret = server;
	return 0;
}

void mh_server_stop(struct mh_server *server)
{
	if (server->notifier)
		mh_notifier_stop(server->notifier);
	if (mh_executor_is_sim(server->executor))
		mh_executor_run_until_idle(server->executor);
	else
		mh_executor_stop(server->executor);
}

void mh_server_free(struct mh_server *server)
{
	if (!server)
		return;
	mh_rate_limits_free(server->limits);
	mh_uia_free(server->uia);
	mh_room_cache_free(server->rooms);
	mh_sync_free(server->sync);
	mh_presence_free(server->presence);
	mh_typing_free(server->typing);
	mh_notifier_free(server->notifier);
	mh_sessions_free(server->sessions);
	mh_signer_release(&server->signer);
	mh_store_close(server->store);
	free(server->key_id);
	free(server);
}
