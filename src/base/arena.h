/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: many small allocations, freed together. One per request. Not
 * thread-safe: it belongs to whoever works on the request at the moment.
 */
#pragma once

#include "base/str.h"

struct mh_arena_chunk;

struct mh_arena {
	struct mh_arena_chunk *chunks;
};

void mh_arena_init(struct mh_arena *arena);
void mh_arena_release(struct mh_arena *arena);

/* Zeroed and aligned for any type. */
void *mh_arena_alloc(struct mh_arena *arena, size_t size)
	__attribute__((returns_nonnull));
void *mh_arena_alloc_array(struct mh_arena *arena, size_t n, size_t size)
	__attribute__((returns_nonnull));
#define MH_ARENA_NEW(arena, type)                                              \
	((type *)mh_arena_alloc((arena), sizeof(type)))

/* A copy of `s` that lives as long as the arena, NUL-terminated. */
struct mh_str mh_arena_str(struct mh_arena *arena, struct mh_str s);
char *mh_arena_cstr(struct mh_arena *arena, struct mh_str s);
struct mh_str mh_arena_printf(struct mh_arena *arena, const char *format, ...)
	MH_PRINTF(2, 3);

/* Has `fn(object)` called when the arena is released, latest first. */
void mh_arena_defer(struct mh_arena *arena, void (*fn)(void *), void *object);
