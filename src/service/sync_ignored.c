/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ignored users (client-server API, "Ignoring Users"): the m.ignored_user_list
 * of those who sync, kept until their account data changes.
 */
#include "service/sync_impl.h"

#include "store/account_data.h"

#include <stdlib.h>
#include <uthash.h>

#define USERS_MAX 50000 /* lists that are kept; most are empty */

struct mh_sync_user {
	mh_nid user;
	int64_t at; /* read at this position */
	struct mh_strbuf ids; /* NUL-terminated, one after another, sorted */
	size_t n;
	UT_hash_handle hh;
};

static void free_user(struct mh_sync *sync, struct mh_sync_user *user)
{
	HASH_DEL(sync->users, user);
	mh_strbuf_release(&user->ids);
	free(user);
}

void mh_sync_users_free(struct mh_sync *sync)
{
	struct mh_sync_user *user, *next;

	HASH_ITER(hh, sync->users, user, next)
		free_user(sync, user);
}

static int compare(const void *a, const void *b)
{
	return mh_str_cmp(*(const struct mh_str *)a, *(const struct mh_str *)b);
}

/* Copies the list into the arena of the job. */
static void take_list(struct mh_sync_job *job, const struct mh_sync_user *user)
{
	const char *at;
	struct mh_str *list;

	if (user->n == 0)
		return;
	list = mh_arena_alloc_array(&job->arena, user->n, sizeof(*list));
	at = mh_arena_str(&job->arena, mh_strbuf_str(&user->ids)).data;
	for (size_t i = 0; i < user->n; i++) {
		list[i] = mh_str(at);
		at += list[i].len + 1;
	}
	job->ignored = list;
	job->n_ignored = user->n;
}

static bool from_memory(struct mh_sync_job *job, int64_t user_pos)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_user *user;
	bool found;

	pthread_mutex_lock(&sync->mutex);
	HASH_FIND(hh, sync->users, &job->user, sizeof(job->user), user);
	found = user && user->at >= user_pos;
	if (found)
		take_list(job, user);
	pthread_mutex_unlock(&sync->mutex);
	return found;
}

/* {"ignored_users":{"@a:b":{},..}}; anything else ignores nobody. */
static void parse_list(struct mh_sync_job *job, struct mh_str content)
{
	MH_ERROR(err);
	MH_CLEANUP(json_decrefp) json_t *root = NULL;
	struct mh_str *list;
	json_t *users, *value;
	const char *key;
	size_t len;

	if (mh_json_parse_object(content, &root, &err) < 0)
		return;
	users = json_object_get(root, "ignored_users");
	list = mh_arena_alloc_array(&job->arena, json_object_size(users) + 1,
				    sizeof(*list));
	json_object_keylen_foreach(users, key, len, value)
		if (!memchr(key, 0, len))
			list[job->n_ignored++] =
				mh_arena_str(&job->arena, mh_str_n(key, len));
	qsort(list, job->n_ignored, sizeof(*list), compare);
	job->ignored = list;
}

static void keep_list(struct mh_sync_job *job)
{
	struct mh_sync *sync = job->server->sync;
	struct mh_sync_user *user;

	pthread_mutex_lock(&sync->mutex);
	HASH_FIND(hh, sync->users, &job->user, sizeof(job->user), user);
	if (user)
		free_user(sync, user);
	else if (HASH_COUNT(sync->users) >= USERS_MAX)
		free_user(sync, sync->users);
	user = MH_NEW(struct mh_sync_user);
	user->user = job->user;
	user->at = job->to;
	user->n = job->n_ignored;
	mh_strbuf_init(&user->ids);
	for (size_t i = 0; i < job->n_ignored; i++) {
		mh_strbuf_addstr(&user->ids, job->ignored[i]);
		mh_strbuf_addch(&user->ids, '\0');
	}
	HASH_ADD(hh, sync->users, user, sizeof(user->user), user);
	pthread_mutex_unlock(&sync->mutex);
}

int mh_sync_load_ignored(struct mh_sync_job *job, int64_t user_pos,
			 struct mh_error *err)
{
	MH_STRBUF(content);
	int rc;

	if (from_memory(job, user_pos))
		return 0;
	if (mh_sync_need_db(job, err) < 0)
		return -1;
	rc = mh_account_data_get(job->db, job->user, 0,
				 MH_STR("m.ignored_user_list"), &content, err);
	if (rc < 0)
		return -1;
	if (rc > 0)
		parse_list(job, mh_strbuf_str(&content));
	keep_list(job);
	return 0;
}

bool mh_sync_is_ignored(const struct mh_sync_job *job, struct mh_str user_id)
{
	return job->n_ignored && bsearch(&user_id, job->ignored, job->n_ignored,
					 sizeof(*job->ignored), compare);
}
