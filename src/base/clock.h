/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as an interface: the real one, or a virtual one that a simulation
 * moves. Any thread may read it.
 */
#pragma once

#include <stdint.h>

struct mh_clock {
	/* Milliseconds since the Unix epoch, for origin_server_ts and expiry. */
	int64_t (*wall_ms)(struct mh_clock *clock);
	/* Milliseconds that only ever grow, for deadlines and rate limits. */
	int64_t (*mono_ms)(struct mh_clock *clock);
};

struct mh_clock *mh_clock_real(void);

static inline int64_t mh_clock_wall(struct mh_clock *clock)
{
	return clock->wall_ms(clock);
}

static inline int64_t mh_clock_mono(struct mh_clock *clock)
{
	return clock->mono_ms(clock);
}
