/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a folder of its own, on a simulated executor, for unit tests:
 *
 *	struct fixture f;
 *	fixture_open(&f);
 *	assert_int_equal(fixture_write(&f, insert_something, &what), 0);
 *	fixture_close(&f);
 *
 * Include it after cmocka.h.
 */
#pragma once

#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	char folder[32];
	char path[64];
	struct mh_executor *executor;
	struct mh_store *store;
	struct mh_db *db; /* a reader */
	const char *vfs;
};

/* One job that runs a function. */
struct fixture_job {
	struct mh_write_job job;
	int (*fn)(struct mh_tx *tx, void *context, struct mh_error *err);
	void *context;
	bool done;
	int result;
	char message[256];
};

static int MH_UNUSED fixture_job_run(struct mh_write_job *job,
				     struct mh_tx *tx, struct mh_error *err)
{
	struct fixture_job *self =
		MH_CONTAINER_OF(job, struct fixture_job, job);

	return self->fn(tx, self->context, err);
}

static void MH_UNUSED fixture_job_done(struct mh_write_job *job,
				       struct mh_error *err)
{
	struct fixture_job *self =
		MH_CONTAINER_OF(job, struct fixture_job, job);

	self->done = true;
	self->result = err ? -1 : 0;
	if (err)
		memcpy(self->message, err->message, sizeof(self->message));
}

static void MH_UNUSED fixture_submit(struct fixture *f, struct fixture_job *job,
				     int (*fn)(struct mh_tx *tx, void *context,
					       struct mh_error *err),
				     void *context)
{
	*job = (struct fixture_job){ .job = { .run = fixture_job_run,
					      .done = fixture_job_done },
				     .fn = fn,
				     .context = context };
	mh_store_write(f->store, &job->job);
}

/* Runs `fn` as a job in a batch of its own: 0, or -1 when it failed. */
static int MH_UNUSED fixture_write(struct fixture *f,
				   int (*fn)(struct mh_tx *tx, void *context,
					     struct mh_error *err),
				   void *context)
{
	struct fixture_job job;

	fixture_submit(f, &job, fn, context);
	mh_executor_run_until_idle(f->executor);
	assert_true(job.done);
	return job.result;
}

static int MH_UNUSED fixture_try_open(struct fixture *f, const char *name,
				      struct mh_error *err)
{
	struct mh_store_options options = { .path = f->path,
					    .server_name = name,
					    .readers = 1,
					    .vfs = f->vfs };

	f->executor = mh_executor_sim_new(1, 1700000000000);
	if (mh_store_open(&options, f->executor, &f->store, err) < 0) {
		mh_executor_free(f->executor);
		f->executor = NULL;
		f->store = NULL;
		return -1;
	}
	f->db = mh_store_reader(f->store);
	return 0;
}

static void MH_UNUSED fixture_shut(struct fixture *f)
{
	mh_store_close(f->store);
	mh_executor_free(f->executor);
	f->store = NULL;
	f->executor = NULL;
}

static void MH_UNUSED fixture_reopen(struct fixture *f)
{
	MH_ERROR(err);

	if (f->store)
		fixture_shut(f);
	if (fixture_try_open(f, "a.example", &err) < 0)
		fail_msg("%s", err.message);
}

static void MH_UNUSED fixture_folder(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->folder, sizeof(f->folder), "/tmp/mh-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/test.db", f->folder);
}

static void MH_UNUSED fixture_open(struct fixture *f)
{
	fixture_folder(f);
	fixture_reopen(f);
}

static int fixture_remove(const char *path, const struct stat *st, int flag,
			  struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void MH_UNUSED fixture_close(struct fixture *f)
{
	if (f->store)
		fixture_shut(f);
	nftw(f->folder, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
}
