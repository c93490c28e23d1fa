/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of settings: from text, to text, compared and copied. What a type
 * is stands in one switch for each of these.
 */
#include "base/settings.h"

#include <stdlib.h>

#define MH_ANY 0, 0
#define MH_RANGE(min, max) (min), (max)

/* MH_ANY and MH_RANGE() are two columns, hence the second step. */
#define ROW(...) ROW_(__VA_ARGS__)
#define ROW_(section, name, type, min, max, choices, def, flags, help)         \
	{ #section,                                                            \
	  #name,                                                               \
	  MH_SETTING_##type,                                                   \
	  offsetof(struct mh_settings, section.name),                          \
	  min,                                                                 \
	  max,                                                                 \
	  choices,                                                             \
	  def,                                                                 \
	  flags,                                                               \
	  help },

const struct mh_setting mh_setting_table[] = {
#define MH_SECTION(section, help)
#define MH_SETTING(section, name, type, range, def, flags, help)               \
	ROW(section, name, type, range, NULL, def, flags, help)
#define MH_CHOICE(section, name, tag, choices, def, flags, help)               \
	ROW(section, name, CHOICE, MH_ANY, choices, def, flags, help)
#define MH_WORD(section, name, choices, def, flags, help)                      \
	ROW(section, name, WORD, MH_ANY, choices, def, flags, help)
#define MH_SECTION_END(section)
#include "main/config.def"
#undef MH_SECTION
#undef MH_SETTING
#undef MH_CHOICE
#undef MH_WORD
#undef MH_SECTION_END
};

const size_t mh_setting_count = MH_ARRAY_LEN(mh_setting_table);

struct unit {
	const char *name;
	int64_t factor;
};

/* The largest first: the printer takes the first that divides. */
static const struct unit size_units[] = {
	{ "G", 1 << 30 }, { "M", 1 << 20 }, { "k", 1 << 10 },
	{ "", 1 },	  { NULL, 0 },
};
static const struct unit duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
	{ "s", 1000 },	   { "ms", 1 },	     { NULL, 0 },
};

const struct mh_setting *mh_setting_find(const char *section, const char *name)
{
	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];

		if (!strcmp(setting->section, section) &&
		    !strcmp(setting->name, name))
			return setting;
	}
	return NULL;
}

/* --- fields ------------------------------------------------------------- */

static void *field(const struct mh_setting *setting,
		   struct mh_settings *settings)
{
	return (char *)settings + setting->offset;
}

static const void *field_const(const struct mh_setting *setting,
			       const struct mh_settings *settings)
{
	return (const char *)settings + setting->offset;
}

static bool is_text(const struct mh_setting *setting)
{
	return setting->type == MH_SETTING_STRING ||
	       setting->type == MH_SETTING_SECRET ||
	       setting->type == MH_SETTING_PATH ||
	       setting->type == MH_SETTING_WORD;
}

static void set_text(char **slot, struct mh_str value)
{
	free(*slot);
	*slot = mh_str_dup(value);
}

static void list_clear(struct mh_setting_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct mh_setting_list){ 0 };
}

static void list_add(struct mh_setting_list *list, struct mh_str item)
{
	list->items =
		mh_realloc_array(list->items, list->count + 1, sizeof(char *));
	list->items[list->count++] = mh_str_dup(item);
}

/* --- from text ---------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct mh_str trim(struct mh_str s)
{
	while (s.len && is_blank(s.data[0]))
		s = mh_str_from(s, 1);
	while (s.len && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Cuts the next item off `rest`; false when none is left. */
static bool next_item(struct mh_str *rest, const char *separators,
		      struct mh_str *ret_item)
{
	size_t len = 0;

	while (rest->len && strchr(separators, rest->data[0]))
		*rest = mh_str_from(*rest, 1);
	if (!rest->len)
		return false;
	while (len < rest->len && !strchr(separators, rest->data[len]))
		len++;
	*ret_item = mh_str_first(*rest, len);
	*rest = mh_str_from(*rest, len);
	return true;
}

/* The position among the choices, or -1. */
static int find_choice(const struct mh_setting *setting, struct mh_str value)
{
	struct mh_str rest = mh_str(setting->choices);
	struct mh_str choice;

	for (int i = 0; next_item(&rest, " ", &choice); i++) {
		if (mh_str_eq(choice, value))
			return i;
	}
	return -1;
}

static struct mh_str choice_at(const struct mh_setting *setting, int index)
{
	struct mh_str rest = mh_str(setting->choices);
	struct mh_str choice = MH_STR_NONE;

	for (int i = 0; i <= index; i++)
		(void)next_item(&rest, " ", &choice);
	MH_ASSERT(choice.len > 0);
	return choice;
}

/* A whole number and one of the units. */
static bool parse_units(struct mh_str value, const struct unit *units,
			int64_t *ret)
{
	size_t digits = 0;
	int64_t number;

	while (digits < value.len && value.data[digits] >= '0' &&
	       value.data[digits] <= '9')
		digits++;
	if (!mh_str_to_int(mh_str_first(value, digits), &number))
		return false;
	for (; units->name; units++) {
		if (mh_str_is(trim(mh_str_from(value, digits)), units->name))
			return !__builtin_mul_overflow(number, units->factor,
						       ret);
	}
	return false;
}

static bool parse_bool(struct mh_str value, bool *ret)
{
	*ret = mh_str_is(value, "on");
	return *ret || mh_str_is(value, "off");
}

/* "10/s burst 50", "10/s", "off" */
static bool parse_rate(struct mh_str value, struct mh_setting_rate *ret)
{
	static const struct unit units[] = { { "s", 1000 },
					     { "m", 60000 },
					     { "h", 3600000 },
					     { "d", 86400000 } };
	struct mh_setting_rate rate = { 0 };
	struct mh_str number;
	struct mh_str word;
	ptrdiff_t slash = mh_str_find(value, '/');

	if (mh_str_is(value, "off")) {
		*ret = rate;
		return true;
	}
	if (slash < 0)
		return false;
	number = trim(mh_str_first(value, (size_t)slash));
	value = mh_str_from(value, (size_t)slash + 1);
	if (!mh_str_to_int(number, &rate.tokens) || rate.tokens < 1 ||
	    rate.tokens > 1000000000 || !next_item(&value, " \t", &word))
		return false;
	for (size_t i = 0; i < MH_ARRAY_LEN(units); i++) {
		if (mh_str_is(word, units[i].name))
			rate.per_ms = units[i].factor;
	}
	rate.burst = rate.tokens;
	if (next_item(&value, " \t", &word) &&
	    (!mh_str_is(word, "burst") || !next_item(&value, " \t", &word) ||
	     !mh_str_to_int(word, &rate.burst)))
		return false;
	if (!rate.per_ms || rate.burst < 1 || rate.burst > 1000000000 ||
	    next_item(&value, " \t", &word))
		return false;
	*ret = rate;
	return true;
}

static int bad_value(const struct mh_setting *setting, struct mh_str value,
		     struct mh_error *err)
{
	MH_STRBUF(what);

	mh_setting_describe(setting, &what);
	return mh_fail(err, MH_M_INVALID_PARAM,
		       "'%s' in [%s] must be %s, not '%.*s'", setting->name,
		       setting->section, what.data,
		       MH_STR_ARG(mh_str_first(value, 60)));
}

static int parse_number(const struct mh_setting *setting, struct mh_str value,
			int64_t *slot, struct mh_error *err)
{
	int64_t number;
	bool ok;

	switch (setting->type) {
	case MH_SETTING_SIZE:
		ok = parse_units(value, size_units, &number);
		break;
	case MH_SETTING_DURATION:
		ok = parse_units(value, duration_units, &number);
		break;
	default:
		ok = mh_str_to_int(value, &number);
		break;
	}
	if (!ok || number < setting->min || number > setting->max)
		return bad_value(setting, value, err);
	*slot = number;
	return 0;
}

static void parse_list(struct mh_str value, bool append,
		       struct mh_setting_list *list)
{
	struct mh_str item;

	if (!append)
		list_clear(list);
	while (next_item(&value, " \t,", &item))
		list_add(list, item);
}

int mh_setting_parse(const struct mh_setting *setting,
		     struct mh_settings *settings, const char *text,
		     bool append, struct mh_error *err)
{
	struct mh_str value = trim(mh_str(text));
	void *slot = field(setting, settings);
	int choice;

	switch (setting->type) {
	case MH_SETTING_WORD:
	case MH_SETTING_CHOICE:
		choice = find_choice(setting, value);
		if (choice < 0)
			return bad_value(setting, value, err);
		if (setting->type == MH_SETTING_WORD)
			set_text(slot, value);
		else
			/* Every enum of the table is as large as an int. */
			memcpy(slot, &choice, sizeof(choice));
		return 0;
	case MH_SETTING_STRING:
	case MH_SETTING_SECRET:
	case MH_SETTING_PATH:
		set_text(slot, value);
		return 0;
	case MH_SETTING_LIST:
		parse_list(value, append, slot);
		return 0;
	case MH_SETTING_BOOL: {
		bool on;

		if (!parse_bool(value, &on))
			return bad_value(setting, value, err);
		*(bool *)slot = on;
		return 0;
	}
	case MH_SETTING_RATE:
		return parse_rate(value, slot) ? 0
					       : bad_value(setting, value, err);
	case MH_SETTING_INT:
	case MH_SETTING_SIZE:
	case MH_SETTING_DURATION:
		return parse_number(setting, value, slot, err);
	}
	return bad_value(setting, value, err);
}

int mh_settings_set(struct mh_settings *settings, const char *section,
		    const char *name, const char *value, struct mh_error *err)
{
	const struct mh_setting *setting = mh_setting_find(section, name);

	if (!setting)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "there is no '%s' in [%s]", name, section);
	return mh_setting_parse(setting, settings, value, false, err);
}

/* --- to text ------------------------------------------------------------ */

static void print_units(int64_t value, const struct unit *units,
			struct mh_strbuf *out)
{
	if (!value) /* "0s" rather than "0d" */
		units = units == duration_units ? &duration_units[3]
						: &size_units[3];
	while (value % units->factor)
		units++;
	mh_strbuf_addint(out, value / units->factor);
	mh_strbuf_add(out, units->name, strlen(units->name));
}

static void print_rate(const struct mh_setting_rate *rate,
		       struct mh_strbuf *out)
{
	if (!rate->tokens) {
		mh_strbuf_addlit(out, "off");
		return;
	}
	mh_strbuf_addf(out, "%lld/%s burst %lld", (long long)rate->tokens,
		       rate->per_ms == 1000	 ? "s"
		       : rate->per_ms == 60000	 ? "m"
		       : rate->per_ms == 3600000 ? "h"
						 : "d",
		       (long long)rate->burst);
}

static void print_list(const struct mh_setting_list *list,
		       struct mh_strbuf *out)
{
	for (size_t i = 0; i < list->count; i++)
		mh_strbuf_addf(out, "%s%s", i ? " " : "", list->items[i]);
}

void mh_setting_print(const struct mh_setting *setting,
		      const struct mh_settings *settings, struct mh_strbuf *out)
{
	const void *slot = field_const(setting, settings);
	int choice;

	switch (setting->type) {
	case MH_SETTING_SECRET:
		if (**(char *const *)slot)
			mh_strbuf_addlit(out, "(secret)");
		break;
	case MH_SETTING_STRING:
	case MH_SETTING_PATH:
	case MH_SETTING_WORD:
		mh_strbuf_addstr(out, mh_str(*(char *const *)slot));
		break;
	case MH_SETTING_LIST:
		print_list(slot, out);
		break;
	case MH_SETTING_BOOL:
		mh_strbuf_addf(out, "%s", *(const bool *)slot ? "on" : "off");
		break;
	case MH_SETTING_RATE:
		print_rate(slot, out);
		break;
	case MH_SETTING_INT:
		mh_strbuf_addint(out, *(const int64_t *)slot);
		break;
	case MH_SETTING_SIZE:
		print_units(*(const int64_t *)slot, size_units, out);
		break;
	case MH_SETTING_DURATION:
		print_units(*(const int64_t *)slot, duration_units, out);
		break;
	case MH_SETTING_CHOICE:
		memcpy(&choice, slot, sizeof(choice));
		mh_strbuf_addstr(out, choice_at(setting, choice));
		break;
	}
}

static void describe_range(const struct mh_setting *setting, const char *what,
			   const struct unit *units, struct mh_strbuf *out)
{
	mh_strbuf_addf(out, "%s from ", what);
	print_units(setting->min, units, out);
	mh_strbuf_addlit(out, " to ");
	print_units(setting->max, units, out);
}

static void describe_choices(const struct mh_setting *setting,
			     struct mh_strbuf *out)
{
	struct mh_str rest = mh_str(setting->choices);
	struct mh_str choice;
	bool first = true;

	while (next_item(&rest, " ", &choice)) {
		if (!first)
			mh_strbuf_addf(out, "%s", rest.len ? ", " : " or ");
		mh_strbuf_addstr(out, choice);
		first = false;
	}
}

void mh_setting_describe(const struct mh_setting *setting,
			 struct mh_strbuf *out)
{
	switch (setting->type) {
	case MH_SETTING_STRING:
		mh_strbuf_addlit(out, "text");
		break;
	case MH_SETTING_SECRET:
		mh_strbuf_addlit(out, "a secret, or file: and the path of a "
				      "file that holds it");
		break;
	case MH_SETTING_PATH:
		mh_strbuf_addlit(out, "a path");
		break;
	case MH_SETTING_LIST:
		mh_strbuf_addlit(out, "items separated by spaces or commas");
		break;
	case MH_SETTING_BOOL:
		mh_strbuf_addlit(out, "on or off");
		break;
	case MH_SETTING_RATE:
		mh_strbuf_addlit(out,
				 "a rate such as 10/s, 10/m, 10/h or 10/d, "
				 "with or without \"burst 50\" after it, "
				 "or off");
		break;
	case MH_SETTING_INT:
		mh_strbuf_addf(out, "a whole number from %lld to %lld",
			       (long long)setting->min,
			       (long long)setting->max);
		break;
	case MH_SETTING_SIZE:
		describe_range(setting, "a size in bytes, k, M or G,",
			       size_units, out);
		break;
	case MH_SETTING_DURATION:
		describe_range(setting, "a duration in ms, s, m, h or d,",
			       duration_units, out);
		break;
	case MH_SETTING_CHOICE:
	case MH_SETTING_WORD:
		describe_choices(setting, out);
		break;
	}
}

/* --- whole settings ----------------------------------------------------- */

bool mh_setting_equal(const struct mh_setting *setting,
		      const struct mh_settings *a, const struct mh_settings *b)
{
	MH_STRBUF(text_a);
	MH_STRBUF(text_b);

	if (is_text(setting)) /* secrets print alike */
		return !strcmp(*(char *const *)field_const(setting, a),
			       *(char *const *)field_const(setting, b));
	mh_setting_print(setting, a, &text_a);
	mh_setting_print(setting, b, &text_b);
	return mh_str_eq(mh_strbuf_str(&text_a), mh_strbuf_str(&text_b));
}

void mh_setting_copy(const struct mh_setting *setting, struct mh_settings *to,
		     const struct mh_settings *from)
{
	const void *source = field_const(setting, from);
	void *slot = field(setting, to);
	const struct mh_setting_list *list = source;

	switch (setting->type) {
	case MH_SETTING_STRING:
	case MH_SETTING_SECRET:
	case MH_SETTING_PATH:
	case MH_SETTING_WORD:
		set_text(slot, mh_str(*(char *const *)source));
		break;
	case MH_SETTING_LIST:
		list_clear(slot);
		for (size_t i = 0; i < list->count; i++)
			list_add(slot, mh_str(list->items[i]));
		break;
	case MH_SETTING_BOOL:
		memcpy(slot, source, sizeof(bool));
		break;
	case MH_SETTING_RATE:
		memcpy(slot, source, sizeof(struct mh_setting_rate));
		break;
	case MH_SETTING_INT:
	case MH_SETTING_SIZE:
	case MH_SETTING_DURATION:
		memcpy(slot, source, sizeof(int64_t));
		break;
	case MH_SETTING_CHOICE:
		memcpy(slot, source, sizeof(int));
		break;
	}
}

void mh_settings_init(struct mh_settings *settings)
{
	*settings = (struct mh_settings){ 0 };
	for (size_t i = 0; i < mh_setting_count; i++) {
		MH_ERROR(err);
		int rc = mh_setting_parse(&mh_setting_table[i], settings,
					  mh_setting_table[i].def, false, &err);

		MH_ASSERT(rc == 0); /* the table's own defaults */
	}
}

void mh_settings_release(struct mh_settings *settings)
{
	for (size_t i = 0; i < mh_setting_count; i++) {
		void *slot = field(&mh_setting_table[i], settings);

		if (mh_setting_table[i].type == MH_SETTING_LIST)
			list_clear(slot);
		else if (is_text(&mh_setting_table[i]))
			mh_freep(slot);
	}
	*settings = (struct mh_settings){ 0 };
}

void mh_settings_copy(struct mh_settings *to, const struct mh_settings *from)
{
	mh_settings_init(to);
	for (size_t i = 0; i < mh_setting_count; i++)
		mh_setting_copy(&mh_setting_table[i], to, from);
}
