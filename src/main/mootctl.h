/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of mootctl, as rows of one table. */
#pragma once

#include "main/config.h"

#include "core/json.h"

enum mootctl_exit {
	MOOTCTL_DONE = 0,
	MOOTCTL_FAILED = 1,	 /* refused, or it went wrong */
	MOOTCTL_USAGE = 2,	 /* bad options or arguments */
	MOOTCTL_UNREACHABLE = 3, /* no daemon at the socket */
};

struct mootctl_options {
	const char *config;
	const char *socket; /* NULL: the configuration says */
	bool json;
	bool help;
	bool version;
};

enum mootctl_param_kind {
	MOOTCTL_POSITIONAL, /* required, in order */
	MOOTCTL_FLAG,	    /* --name */
	MOOTCTL_TEXT,	    /* --name VALUE */
	MOOTCTL_NUMBER,	    /* --name N */
};

struct mootctl_param {
	const char *name; /* the member of `args`, and the option's name */
	enum mootctl_param_kind kind;
	const char *metavar;
	const char *help;
};

struct mootctl_command {
	const char *name;    /* "user add", the daemon's word for it as well */
	const char *summary; /* for --help, without the full stop */
	const struct mootctl_param *params; /* ends in a row without a name */
	bool needs_password;
	/* Prints a result for people; NULL: there is nothing to say. */
	void (*show)(const json_t *result);
	/*
	 * Done without the daemon: returns an exit status, and sets
	 * `ret_result` to what is to be shown.
	 */
	int (*local)(const struct mootctl_options *options, const json_t *args,
		     json_t **ret_result);
};

extern const struct mootctl_command mootctl_commands[];
extern const size_t mootctl_command_count;

/* Reads the configuration, and prints what is wrong with it. */
int mootctl_load_config(const struct mootctl_options *options,
			struct mh_settings *ret);
