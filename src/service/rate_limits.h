/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits: a token bucket for each (kind of request, who asks), where "who"
 * is a user, a device, an account that somebody tries to log in to, or an
 * address.
 *
 * A bucket is one number, the time at which it would be full again (the
 * generic cell rate algorithm), so nothing needs to be refilled and a bucket
 * that is full need not be remembered. All buckets live in a table of fixed
 * size, four in a set; where a set is full the bucket that owes least
 * is forgotten. So an attacker with a million addresses costs no memory, and at
 * best makes the node forget those who are nearly within their limits.
 *
 * The limits of [limits] are a device's, an account's or an address's. A user,
 * who may have several devices, may do three times as much.
 *
 * Any thread.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/settings.h"

/* Which limit of [limits] a request draws from. */
enum mh_rate {
	MH_RATE_NONE,
	MH_RATE_READ,	  /* ordinary requests of a device */
	MH_RATE_WRITE,	  /* account data, receipts, profile, ... */
	MH_RATE_MESSAGE,  /* events into rooms */
	MH_RATE_LOGIN,	  /* by address and by account */
	MH_RATE_REGISTER, /* by address */
	MH_RATE_JOIN,
	MH_RATE_INVITE,
	MH_RATE_CREATE_ROOM,
	MH_RATE_KEYS,
	MH_RATE_N,
};

enum mh_rate_scope {
	MH_RATE_BY_DEVICE, /* key: user ID, NUL, device ID */
	MH_RATE_BY_USER,   /* key: user ID */
	MH_RATE_BY_ACCOUNT, /* key: the user ID somebody claims to be */
	MH_RATE_BY_ADDRESS, /* key: the address as text */
};

struct mh_rate_key {
	enum mh_rate_scope scope;
	struct mh_str key;
};

struct mh_rate_limits;

/* Copies what it needs of the settings; `clock` is borrowed. */
struct mh_rate_limits *mh_rate_limits_new(const struct mh_settings *settings,
					  struct mh_clock *clock,
					  struct mh_random *random);
void mh_rate_limits_free(struct mh_rate_limits *limits);
/* For a reload. Debts are kept. */
void mh_rate_limits_configure(struct mh_rate_limits *limits,
			      const struct mh_settings *settings);

/*
 * Draws one from all of the buckets, or, where one of them is empty, from none:
 * M_LIMIT_EXCEEDED with the time to wait. `limits` may be NULL: no limits.
 */
int mh_rate_limits_take(struct mh_rate_limits *limits, enum mh_rate kind,
			const struct mh_rate_key *keys, size_t n_keys,
			struct mh_error *err);
