/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seeded stream is xoshiro256** (Blackman and Vigna, 2018), its state
 * filled from the seed by SplitMix64 as its authors advise. Bytes come from
 * the generator's words in little-endian order on every machine, so that a
 * seed replays the same run everywhere.
 */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static void system_fill(struct mh_random *random MH_UNUSED, void *out,
			size_t len)
{
	unsigned char *to = out;

	while (len) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0) {
			/* Tokens without entropy are worse than no node. */
			MH_ASSERT(errno == EINTR);
			continue;
		}
		to += n;
		len -= (size_t)n;
	}
}

struct mh_random *mh_random_system(void)
{
	static struct mh_random system_random = { system_fill };

	return &system_random;
}

struct seeded {
	struct mh_random random;
	uint64_t state[4];
};

static uint64_t splitmix64(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static uint64_t xoshiro256ss(uint64_t s[4])
{
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

static void seeded_fill(struct mh_random *random, void *out, size_t len)
{
	struct seeded *seeded = MH_CONTAINER_OF(random, struct seeded, random);
	unsigned char *to = out;

	while (len) {
		uint64_t word = xoshiro256ss(seeded->state);

		for (unsigned i = 0; i < 8 && len; i++, len--)
			*to++ = (unsigned char)(word >> 8 * i);
	}
}

struct mh_random *mh_random_seeded_new(uint64_t seed)
{
	struct seeded *seeded = MH_NEW(struct seeded);

	seeded->random.fill = seeded_fill;
	for (unsigned i = 0; i < 4; i++)
		seeded->state[i] = splitmix64(&seed);
	return &seeded->random;
}

void mh_random_seeded_free(struct mh_random *random)
{
	if (random)
		free(MH_CONTAINER_OF(random, struct seeded, random));
}

void mh_random_bytes(struct mh_random *random, void *out, size_t len)
{
	random->fill(random, out, len);
}

uint64_t mh_random_below(struct mh_random *random, uint64_t bound)
{
	uint64_t word = 0, limit;
	unsigned char bytes[8];

	MH_ASSERT(bound > 0);
	/* Words from 2^64 mod bound on fall evenly; the few below do not. */
	limit = (UINT64_MAX - bound + 1) % bound;
	do {
		random->fill(random, bytes, sizeof(bytes));
		for (unsigned i = 0; i < 8; i++)
			word = word << 8 | bytes[i];
	} while (word < limit);
	return word % bound;
}

void mh_random_letters(struct mh_random *random, char *out, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	unsigned char bytes[32];
	size_t n = 0;

	while (n < len) {
		random->fill(random, bytes, sizeof(bytes));
		/* 208 is four times 52; larger bytes would favour some. */
		for (size_t i = 0; i < sizeof(bytes) && n < len; i++)
			if (bytes[i] < 208)
				out[n++] = letters[bytes[i] % 52];
	}
	out[len] = '\0';
}
