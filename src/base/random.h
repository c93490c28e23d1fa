/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness as an interface: the operating system's, or a seeded one so that
 * a simulation replays exactly. Any thread may draw from the system's; a
 * seeded one belongs to its single-threaded simulation.
 */
#pragma once

#include "base/cleanup.h"

struct mh_random {
	void (*fill)(struct mh_random *random, void *out, size_t len);
};

struct mh_random *mh_random_system(void);

/* A reproducible stream (not secret!); free with mh_random_seeded_free(). */
struct mh_random *mh_random_seeded_new(uint64_t seed);
void mh_random_seeded_free(struct mh_random *random);

void mh_random_bytes(struct mh_random *random, void *out, size_t len);
uint64_t mh_random_below(struct mh_random *random, uint64_t bound);
/* Writes `len` characters of [A-Za-z] and a NUL: `out` holds len + 1. */
void mh_random_letters(struct mh_random *random, char *out, size_t len);
