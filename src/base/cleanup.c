/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void mh_assert_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "moothall: bug: %s:%d: %s does not hold\n", file, line,
		cond);
	abort();
}

static _Noreturn void out_of_memory(void)
{
	fputs("moothall: out of memory\n", stderr);
	abort();
}

void *mh_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mh_alloc0(size_t size)
{
	return mh_alloc_array(1, size);
}

void *mh_alloc_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mh_realloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *mh_realloc_array(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory();
	return mh_realloc(p, total);
}

char *mh_strdup(const char *s)
{
	return mh_memdup(s, strlen(s));
}

char *mh_memdup(const void *p, size_t len)
{
	char *copy = mh_alloc(len + 1);

	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

void mh_freep(void *p)
{
	free(*(void **)p);
}
