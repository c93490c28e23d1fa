/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership in the type system, as far as C allows.
 *
 *   MH_CLEANUP(mh_event_unrefp) struct mh_event *event = NULL;
 *   ...
 *   *ret_event = MH_TAKE(event);
 *
 * A variable marked MH_CLEANUP is handed to its destructor when it leaves
 * scope; MH_TAKE moves the value out and leaves NULL behind.
 *
 * Lifetime words, always meaning the same:
 *   _init/_release   storage is the caller's, contents are the object's
 *   _clear           contents are gone, the storage may be used again
 *   _new/_free       storage and contents belong to whoever holds the pointer
 *   _ref/_unref      shared; the last _unref frees
 *
 * `const T *` is borrowed. `T **ret_x` gives ownership and is set on success
 * only. Destroyers take NULL and half-built objects.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MH_CLEANUP(fn) __attribute__((cleanup(fn)))
#define MH_NODISCARD __attribute__((warn_unused_result))
#define MH_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define MH_UNUSED __attribute__((unused))

/* Moves an owned pointer out of a variable. */
#define MH_TAKE(p)                                                             \
	__extension__({                                                        \
		__typeof__(p) mh_taken_ = (p);                                 \
		(p) = NULL;                                                    \
		mh_taken_;                                                     \
	})

/* Defines `name##p(T **)`, the form that MH_CLEANUP wants, from `name(T *)`. */
#define MH_DEFINE_CLEANUP(type, name)                                          \
	static inline void MH_UNUSED name##p(type *p)                          \
	{                                                                      \
		if (*p)                                                        \
			name(*p);                                              \
	}

#define MH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of which `ptr` is the member called `member`. */
#define MH_CONTAINER_OF(ptr, type, member)                                     \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/*
 * A bug: a condition that no input can make false. Stays on in release
 * builds, for a homeserver that goes on with a broken invariant corrupts rooms.
 */
#define MH_ASSERT(cond)                                                        \
	((cond) ? (void)0 : mh_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void mh_assert_failed(const char *cond, const char *file, int line);

/*
 * Allocation that cannot fail: running out of memory for a small object ends
 * the process. Sizes that a peer controls are bounded before they come here.
 */
void *mh_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mh_alloc0(size_t size) __attribute__((malloc, returns_nonnull));
void *mh_alloc_array(size_t n, size_t size) /* zeroed; aborts on overflow */
	__attribute__((malloc, returns_nonnull));
void *mh_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void *mh_realloc_array(void *p, size_t n, size_t size)
	__attribute__((returns_nonnull));
char *mh_strdup(const char *s) __attribute__((malloc, returns_nonnull));
/* Copies `len` bytes and adds a NUL. */
char *mh_memdup(const void *p, size_t len)
	__attribute__((malloc, returns_nonnull));

/* Frees a malloc'ed pointer through its variable: MH_CLEANUP(mh_freep). */
void mh_freep(void *p);

#define MH_NEW(type) ((type *)mh_alloc0(sizeof(type)))
