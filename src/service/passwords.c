/* SPDX-License-Identifier: Apache-2.0 */
#include "service/passwords.h"

#include <sodium.h>

/* A hash that no password has, so that an unknown user takes as long. */
#define DUMMY_PASSWORD "no one chooses this"

struct password_job {
	struct mh_task task;
	struct mh_request *req;
	struct mh_str password, hash;
	int (*checked)(struct mh_request *req, bool right, void *context,
		       struct mh_error *err);
	int (*hashed)(struct mh_request *req, struct mh_str hash, void *context,
		      struct mh_error *err);
	void *context;
	bool right, failed;
	char result[crypto_pwhash_STRBYTES];
};

static void cost(const struct mh_server *server, unsigned long long *ops,
		 size_t *memory)
{
	switch (server->settings->auth.password_cost) {
	case MH_PASSWORD_MINIMAL:
		*ops = crypto_pwhash_OPSLIMIT_MIN;
		*memory = crypto_pwhash_MEMLIMIT_MIN;
		return;
	case MH_PASSWORD_MODERATE:
		*ops = crypto_pwhash_OPSLIMIT_MODERATE;
		*memory = crypto_pwhash_MEMLIMIT_MODERATE;
		return;
	case MH_PASSWORD_INTERACTIVE:
		break;
	}
	*ops = crypto_pwhash_OPSLIMIT_INTERACTIVE;
	*memory = crypto_pwhash_MEMLIMIT_INTERACTIVE;
}

static bool make_hash(const struct mh_server *server, struct mh_str password,
		      char out[crypto_pwhash_STRBYTES])
{
	unsigned long long ops;
	size_t memory;

	cost(server, &ops, &memory);
	return crypto_pwhash_str(out, password.data ? password.data : "",
				 password.len, ops, memory) == 0;
}

static int go_on(struct mh_request *req, struct mh_error *err)
{
	struct password_job *job = req->waiting;

	if (job->failed)
		return mh_fail_internal(err, "no memory to hash a password");
	if (job->checked)
		return job->checked(req, job->right, job->context, err);
	return job->hashed(req, mh_str(job->result), job->context, err);
}

static void run(struct mh_task *task)
{
	struct password_job *job =
		MH_CONTAINER_OF(task, struct password_job, task);
	struct mh_request *req = job->req;

	if (job->hashed) {
		job->failed = !make_hash(req->server, job->password,
					 job->result);
	} else if (job->hash.len) {
		job->right = crypto_pwhash_str_verify(
				     job->hash.data, job->password.data,
				     job->password.len) == 0;
	} else {
		job->failed = !make_hash(req->server, MH_STR(DUMMY_PASSWORD),
					 job->result);
	}
	req->waiting = job;
	mh_request_resume(req, go_on);
}

static int submit(struct mh_request *req, struct password_job *job,
		  struct mh_error *err)
{
	struct mh_queue *queue = req->server->passwords;

	if (job->password.len > MH_PASSWORD_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a password has at most %d bytes",
			       MH_PASSWORD_MAX);
	if (mh_queue_length(queue) >= MH_PASSWORD_QUEUE)
		return mh_fail_rate_limited(err, 1000);
	job->req = req;
	job->task.run = run;
	mh_queue_submit(queue, &job->task);
	return 0;
}

int mh_password_check(struct mh_request *req, struct mh_str password,
		      struct mh_str hash,
		      int (*then)(struct mh_request *req, bool right,
				  void *context, struct mh_error *err),
		      void *context, struct mh_error *err)
{
	struct password_job *job =
		MH_ARENA_NEW(&req->arena, struct password_job);

	job->password = password;
	/* libsodium wants a NUL behind its string. */
	job->hash = mh_arena_str(&req->arena, hash);
	job->checked = then;
	job->context = context;
	return submit(req, job, err);
}

int mh_password_hash(struct mh_request *req, struct mh_str password,
		     int (*then)(struct mh_request *req, struct mh_str hash,
				 void *context, struct mh_error *err),
		     void *context, struct mh_error *err)
{
	struct password_job *job =
		MH_ARENA_NEW(&req->arena, struct password_job);

	job->password = password;
	job->hashed = then;
	job->context = context;
	return submit(req, job, err);
}

int mh_password_hash_now(struct mh_server *server, struct mh_str password,
			 struct mh_strbuf *out, struct mh_error *err)
{
	char result[crypto_pwhash_STRBYTES];

	if (!make_hash(server, password, result))
		return mh_fail_internal(err, "no memory to hash a password");
	mh_strbuf_addstr(out, mh_str(result));
	return 0;
}

int mh_password_acceptable(const struct mh_server *server,
			   struct mh_str password, struct mh_error *err)
{
	int64_t least = server->settings->auth.password_min_length;

	if (password.len > MH_PASSWORD_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "a password has at most %d bytes",
			       MH_PASSWORD_MAX);
	if ((int64_t)password.len < least)
		return mh_fail(err, MH_M_WEAK_PASSWORD,
			       "a password has at least %lld bytes",
			       (long long)least);
	return 0;
}
