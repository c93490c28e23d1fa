/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct mh_settings: what the configuration says, one field a key of
 * main/config.def. Services read it:
 *
 *	if (server->settings->registration.mode == MH_REGISTRATION_CLOSED)
 *		return mh_fail(err, MH_M_FORBIDDEN, "registration is closed");
 *
 * It does not change once the node runs; a reload puts another in its place.
 * Reading the file, its line numbers and printing are in main/config.h. Tests
 * begin with mh_settings_init() and mh_settings_set().
 */
#pragma once

#include "base/error.h"
#include "base/log.h"

/* The values of a choice stand in the order of its column in config.def. */
enum mh_registration_mode {
	MH_REGISTRATION_CLOSED,
	MH_REGISTRATION_TOKEN,
	MH_REGISTRATION_OPEN,
};

enum mh_password_cost {
	MH_PASSWORD_MINIMAL,
	MH_PASSWORD_INTERACTIVE,
	MH_PASSWORD_MODERATE,
};

struct mh_setting_list {
	char **items; /* NUL-terminated */
	size_t count;
};

/* `tokens` come back every `per_ms`; at most `burst` are saved up. */
struct mh_setting_rate {
	int64_t tokens; /* 0: no limit */
	int64_t per_ms;
	int64_t burst;
};

#define MH_SETTING_FIELD_STRING char *
#define MH_SETTING_FIELD_SECRET char *
#define MH_SETTING_FIELD_PATH char *
#define MH_SETTING_FIELD_LIST struct mh_setting_list
#define MH_SETTING_FIELD_BOOL bool
#define MH_SETTING_FIELD_INT int64_t
#define MH_SETTING_FIELD_SIZE int64_t
#define MH_SETTING_FIELD_DURATION int64_t
#define MH_SETTING_FIELD_RATE struct mh_setting_rate

struct mh_settings {
#define MH_SECTION(section, help) struct {
#define MH_SETTING(section, name, type, range, def, flags, help)               \
	MH_SETTING_FIELD_##type name;
#define MH_CHOICE(section, name, tag, choices, def, flags, help) enum tag name;
#define MH_WORD(section, name, choices, def, flags, help) char *name;
#define MH_SECTION_END(section)                                                \
	}                                                                      \
	section;
#include "main/config.def"
#undef MH_SECTION
#undef MH_SETTING
#undef MH_CHOICE
#undef MH_WORD
#undef MH_SECTION_END
};

/* The defaults; server.name is empty, and server.data_dir the packaged one. */
void mh_settings_init(struct mh_settings *settings);
void mh_settings_release(struct mh_settings *settings);
void mh_settings_copy(struct mh_settings *to, const struct mh_settings *from);

/*
 * Sets one by its text; a list is replaced. M_INVALID_PARAM with a message that
 * names the key and what it takes; the setting is then as it was.
 */
MH_NODISCARD int mh_settings_set(struct mh_settings *settings,
				 const char *section, const char *name,
				 const char *value, struct mh_error *err);

/* --- the table, for the parser and the printers ------------------------- */

enum mh_setting_type {
	MH_SETTING_STRING,
	MH_SETTING_SECRET,
	MH_SETTING_PATH,
	MH_SETTING_LIST,
	MH_SETTING_BOOL,
	MH_SETTING_INT,
	MH_SETTING_SIZE,
	MH_SETTING_DURATION,
	MH_SETTING_RATE,
	MH_SETTING_CHOICE,
	MH_SETTING_WORD,
};

enum mh_setting_flags {
	MH_RELOAD = 1 << 0,   /* taken up while the node runs */
	MH_REQUIRED = 1 << 1, /* must be set */
};

struct mh_setting {
	const char *section;
	const char *name;
	enum mh_setting_type type;
	size_t offset; /* in struct mh_settings */
	int64_t min;
	int64_t max;
	const char *choices; /* separated by spaces; CHOICE and WORD */
	const char *def;
	unsigned flags;
	const char *help;
};

extern const struct mh_setting mh_setting_table[];
extern const size_t mh_setting_count;

/* NULL when there is none. */
const struct mh_setting *mh_setting_find(const char *section, const char *name);
/* "on or off", "closed, token or open", "a duration from 1s to 1h", ... */
void mh_setting_describe(const struct mh_setting *setting,
			 struct mh_strbuf *out);
/* Sets by text; with `append`, adds to a list instead of replacing it. */
MH_NODISCARD int mh_setting_parse(const struct mh_setting *setting,
				  struct mh_settings *settings,
				  const char *value, bool append,
				  struct mh_error *err);
/* The value as the file would have it; a list's items separated by spaces. */
void mh_setting_print(const struct mh_setting *setting,
		      const struct mh_settings *settings,
		      struct mh_strbuf *out);
bool mh_setting_equal(const struct mh_setting *setting,
		      const struct mh_settings *a, const struct mh_settings *b);
void mh_setting_copy(const struct mh_setting *setting, struct mh_settings *to,
		     const struct mh_settings *from);
