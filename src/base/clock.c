/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/cleanup.h"

#include <time.h>

static int64_t read_ms(clockid_t id)
{
	struct timespec now;

	MH_ASSERT(clock_gettime(id, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t real_wall_ms(struct mh_clock *clock MH_UNUSED)
{
	return read_ms(CLOCK_REALTIME);
}

static int64_t real_mono_ms(struct mh_clock *clock MH_UNUSED)
{
	return read_ms(CLOCK_MONOTONIC);
}

struct mh_clock *mh_clock_real(void)
{
	static struct mh_clock real = { real_wall_ms, real_mono_ms };

	return &real;
}
