/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_SIZE 4096

/* A chunk either holds allocations, or (fn set) a deferred destructor. */
struct mh_arena_chunk {
	struct mh_arena_chunk *next;
	void (*fn)(void *);
	void *object;
	size_t used, size;
	alignas(max_align_t) char data[];
};

void mh_arena_init(struct mh_arena *arena)
{
	arena->chunks = NULL;
}

void mh_arena_release(struct mh_arena *arena)
{
	struct mh_arena_chunk *chunk, *next, *storage = NULL;

	/* Destructors first: their objects may live in this very arena. */
	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		if (chunk->fn)
			chunk->fn(chunk->object);
		chunk->next = storage;
		storage = chunk;
	}
	for (chunk = storage; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	arena->chunks = NULL;
}

static struct mh_arena_chunk *push_chunk(struct mh_arena *arena, size_t size)
{
	struct mh_arena_chunk *chunk =
		mh_alloc0(sizeof(struct mh_arena_chunk) + size);

	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *mh_arena_alloc(struct mh_arena *arena, size_t size)
{
	struct mh_arena_chunk *chunk = arena->chunks;
	size_t need;
	void *p;

	MH_ASSERT(size < SIZE_MAX / 2);
	need = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!chunk || chunk->size - chunk->used < need)
		chunk = push_chunk(arena, need > CHUNK_SIZE / 4 ? need :
								  CHUNK_SIZE);
	p = chunk->data + chunk->used;
	chunk->used += need;
	return p;
}

void *mh_arena_alloc_array(struct mh_arena *arena, size_t n, size_t size)
{
	size_t total;

	MH_ASSERT(!__builtin_mul_overflow(n, size, &total));
	return mh_arena_alloc(arena, total);
}

char *mh_arena_cstr(struct mh_arena *arena, struct mh_str s)
{
	char *copy = mh_arena_alloc(arena, s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return copy;
}

struct mh_str mh_arena_str(struct mh_arena *arena, struct mh_str s)
{
	return (struct mh_str){ mh_arena_cstr(arena, s), s.len };
}

struct mh_str mh_arena_printf(struct mh_arena *arena, const char *format, ...)
{
	va_list args, again;
	char *text;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	MH_ASSERT(n >= 0);
	text = mh_arena_alloc(arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return (struct mh_str){ text, (size_t)n };
}

void mh_arena_defer(struct mh_arena *arena, void (*fn)(void *), void *object)
{
	struct mh_arena_chunk *chunk = push_chunk(arena, 0);

	chunk->fn = fn;
	chunk->object = object;
}
