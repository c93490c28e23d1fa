/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of ordinary size, on jansson: request bodies, account data, event
 * content that is inspected. Large things and PDUs never become a DOM: see
 * canonical_json.h.
 *
 * Reading is strict: no duplicate keys, at most MH_JSON_MAX_DEPTH levels, valid
 * UTF-8, no unpaired surrogates, nothing after the value.
 *
 * A json_t stays in the thread that parsed it.
 */
#pragma once

#include "base/error.h"

#include <jansson.h>

#define MH_JSON_MAX_DEPTH 64

/* jansson brings json_decrefp itself: MH_CLEANUP(json_decrefp) json_t *body. */

/* M_NOT_JSON when `text` is not JSON. */
int mh_json_parse(struct mh_str text, json_t **ret, struct mh_error *err);
/* The same, and M_BAD_JSON unless it is an object. */
int mh_json_parse_object(struct mh_str text, json_t **ret, struct mh_error *err);

/*
 * Members of a request body. Each returns 1 when the member is there with the
 * right type, 0 when it is absent (null counts as absent), and -1 with
 * M_BAD_JSON when its type is wrong. Results borrow from `object`.
 */
int mh_json_get_str(const json_t *object, const char *key, struct mh_str *ret,
		    struct mh_error *err);
int mh_json_get_int(const json_t *object, const char *key, int64_t *ret,
		    struct mh_error *err);
int mh_json_get_bool(const json_t *object, const char *key, bool *ret,
		     struct mh_error *err);
int mh_json_get_object(const json_t *object, const char *key, json_t **ret,
		       struct mh_error *err);
int mh_json_get_array(const json_t *object, const char *key, json_t **ret,
		      struct mh_error *err);
/* The same, and M_MISSING_PARAM when it is absent: 0 or -1. */
int mh_json_need_str(const json_t *object, const char *key, struct mh_str *ret,
		     struct mh_error *err);
int mh_json_need_object(const json_t *object, const char *key, json_t **ret,
			struct mh_error *err);

/* The string value, or MH_STR_NONE (data NULL) when `value` is no string. */
struct mh_str mh_json_str(const json_t *value);
/* A new string from bytes that are known to be UTF-8. */
json_t *mh_json_new_str(struct mh_str s);

/* --- writing ------------------------------------------------------------ */

/* Appends `s` as a JSON string with quotes, minimally escaped. */
void mh_json_add_str(struct mh_strbuf *out, struct mh_str s);
/* Appends `"key":` with a comma before it unless `out` ends in '{' or '['. */
void mh_json_add_key(struct mh_strbuf *out, struct mh_str key);
/* Appends a compact serialisation of `value`. */
void mh_json_add(struct mh_strbuf *out, const json_t *value);
/* Appends ',' unless `out` ends in '{' or '[': between array elements. */
void mh_json_add_comma(struct mh_strbuf *out);
