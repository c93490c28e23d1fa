/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as files and text. Values and their table are
 * base/settings.h and config.def.
 */
#pragma once

#include "base/settings.h"

#include <stdio.h>

struct mh_config_source {
	const char *path; /* NULL: no file, defaults and overrides */
	const char *const *overrides; /* "section.key=value", the -o options */
	size_t n_overrides;
};

/*
 * Reads the file, then the overrides, and checks the whole. Returns -1 with
 * `problems` filled, one line each: "moothall.conf:12: 'mode' in ..."; then
 * `ret` is not set. Files that settings name are opened for reading here, so
 * that `mootctl config check` finds out.
 */
int mh_config_load(const struct mh_config_source *source,
		   struct mh_settings *ret, struct mh_strbuf *problems);

/*
 * Takes over from `loaded` into `next`, a copy of `current`, what can change
 * while the node runs. `changed` and `fixed` get the names of the settings that
 * did, and of those that differ but need a restart: "log.level, limits.read".
 */
void mh_config_reload(const struct mh_settings *current,
		      const struct mh_settings *loaded,
		      struct mh_settings *next, struct mh_strbuf *changed,
		      struct mh_strbuf *fixed);

/* The effective configuration; secrets are not shown. */
void mh_config_print(const struct mh_settings *settings, struct mh_strbuf *out);
/* A configuration file with every setting as a comment. */
void mh_config_print_sample(struct mh_strbuf *out);
/* moothall.conf(5), as roff. */
void mh_config_print_man(struct mh_strbuf *out);
