/* SPDX-License-Identifier: Apache-2.0 */
#include "service/rate_limits.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#define N_SETS 8192 /* a power of two; 64 bytes each */
#define SET_SIZE 4
#define MAX_KEYS 4
#define USER_SHARE 3

struct bucket {
	uint64_t key;	 /* keyed hash of kind, scope and who */
	int64_t full_at; /* microseconds; at or before now: full */
};

struct mh_rate_limits {
	pthread_mutex_t lock;
	struct mh_clock *clock;
	bool on;
	struct mh_setting_rate rates[MH_RATE_N];
	unsigned char hash_key[crypto_shorthash_KEYBYTES];
	struct bucket buckets[N_SETS][SET_SIZE];
};

/* What one draw would do to one bucket. */
struct draw {
	struct bucket *bucket;
	uint64_t key;
	int64_t full_at; /* afterwards */
	int64_t wait;	 /* microseconds until it is possible; 0: now */
};

static void configure(struct mh_rate_limits *limits,
		      const struct mh_settings *settings)
{
	limits->on = settings->limits.rate_limits;
	limits->rates[MH_RATE_READ] = settings->limits.read;
	limits->rates[MH_RATE_WRITE] = settings->limits.write;
	limits->rates[MH_RATE_MESSAGE] = settings->limits.message;
	limits->rates[MH_RATE_LOGIN] = settings->limits.login;
	limits->rates[MH_RATE_REGISTER] = settings->limits.registration;
	limits->rates[MH_RATE_JOIN] = settings->limits.join;
	limits->rates[MH_RATE_INVITE] = settings->limits.invite;
	limits->rates[MH_RATE_CREATE_ROOM] = settings->limits.create_room;
	limits->rates[MH_RATE_KEYS] = settings->limits.keys;
}

struct mh_rate_limits *mh_rate_limits_new(const struct mh_settings *settings,
					  struct mh_clock *clock,
					  struct mh_random *random)
{
	struct mh_rate_limits *limits = MH_NEW(struct mh_rate_limits);

	pthread_mutex_init(&limits->lock, NULL);
	limits->clock = clock;
	configure(limits, settings);
	mh_random_bytes(random, limits->hash_key, sizeof(limits->hash_key));
	return limits;
}

void mh_rate_limits_free(struct mh_rate_limits *limits)
{
	if (!limits)
		return;
	pthread_mutex_destroy(&limits->lock);
	free(limits);
}

void mh_rate_limits_configure(struct mh_rate_limits *limits,
			      const struct mh_settings *settings)
{
	pthread_mutex_lock(&limits->lock);
	configure(limits, settings);
	pthread_mutex_unlock(&limits->lock);
}

/* Keyed, so that nobody can aim at another's bucket. */
static uint64_t hash(const struct mh_rate_limits *limits, enum mh_rate kind,
		     const struct mh_rate_key *key)
{
	unsigned char who[crypto_shorthash_BYTES + 2];
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t ret;

	crypto_shorthash(who, (const unsigned char *)key->key.data,
			 key->key.len, limits->hash_key);
	who[sizeof(who) - 2] = (unsigned char)kind;
	who[sizeof(who) - 1] = (unsigned char)key->scope;
	crypto_shorthash(out, who, sizeof(who), limits->hash_key);
	memcpy(&ret, out, sizeof(ret));
	return ret ? ret : 1;
}

/* The bucket of `key`, or the one of its set that is the least loss. */
static struct bucket *find(struct mh_rate_limits *limits, uint64_t key)
{
	struct bucket *set = limits->buckets[key & (N_SETS - 1)];
	struct bucket *least = &set[0];

	for (size_t i = 0; i < SET_SIZE; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_at < least->full_at)
			least = &set[i];
	}
	return least;
}

static struct draw prepare(struct mh_rate_limits *limits, enum mh_rate kind,
			   const struct mh_rate_key *key, int64_t now)
{
	const struct mh_setting_rate *rate = &limits->rates[kind];
	/* Microseconds that one request weighs, and that may be owed. */
	double weight = (double)rate->per_ms * 1000 / (double)rate->tokens;
	int64_t owed =
		(int64_t)(weight * (double)(rate->burst > 0 ? rate->burst : 1));
	int64_t cost =
		(int64_t)(weight /
			  (key->scope == MH_RATE_BY_USER ? USER_SHARE : 1));
	uint64_t hashed = hash(limits, kind, key);
	struct bucket *bucket = find(limits, hashed);
	int64_t full_at = now;
	struct draw draw;

	if (bucket->key == hashed && bucket->full_at > now)
		full_at = bucket->full_at;
	full_at += cost > 0 ? cost : 1;
	draw = (struct draw){
		.bucket = bucket,
		.key = hashed,
		.full_at = full_at,
		.wait = full_at - now > owed ? full_at - now - owed : 0,
	};
	return draw;
}

int mh_rate_limits_take(struct mh_rate_limits *limits, enum mh_rate kind,
			const struct mh_rate_key *keys, size_t n_keys,
			struct mh_error *err)
{
	struct draw draws[MAX_KEYS];
	int64_t wait = 0;
	int64_t now;

	MH_ASSERT(n_keys <= MAX_KEYS && kind < MH_RATE_N);
	if (!limits)
		return 0;

	pthread_mutex_lock(&limits->lock);
	if (!limits->on || limits->rates[kind].tokens <= 0) {
		pthread_mutex_unlock(&limits->lock);
		return 0;
	}
	now = mh_clock_mono(limits->clock) * 1000;
	for (size_t i = 0; i < n_keys; i++) {
		draws[i] = prepare(limits, kind, &keys[i], now);
		if (draws[i].wait > wait)
			wait = draws[i].wait;
	}
	for (size_t i = 0; wait == 0 && i < n_keys; i++) {
		draws[i].bucket->key = draws[i].key;
		draws[i].bucket->full_at = draws[i].full_at;
	}
	pthread_mutex_unlock(&limits->lock);

	if (wait > 0)
		return mh_fail_rate_limited(err, (wait + 999) / 1000);
	return 0;
}
