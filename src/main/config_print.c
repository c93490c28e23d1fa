/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings as text: effective, as a sample file, as a manual. */
#include "main/config.h"

/* Sections have a help of their own; the table of settings does not hold it. */
static const struct {
	const char *name;
	const char *help;
} sections[] = {
#define MH_SECTION(section, help) { #section, help },
#define MH_SETTING(section, name, type, range, def, flags, help)
#define MH_CHOICE(section, name, tag, choices, def, flags, help)
#define MH_WORD(section, name, choices, def, flags, help)
#define MH_SECTION_END(section)
#include "main/config.def"
#undef MH_SECTION
#undef MH_SETTING
#undef MH_CHOICE
#undef MH_WORD
#undef MH_SECTION_END
};

static void add(struct mh_strbuf *out, const char *text)
{
	mh_strbuf_add(out, text, strlen(text));
}

void mh_config_print(const struct mh_settings *settings, struct mh_strbuf *out)
{
	const char *section = "";

	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];
		MH_STRBUF(value);

		if (strcmp(section, setting->section)) {
			mh_strbuf_addf(out, "%s[%s]\n", *section ? "\n" : "",
				       setting->section);
			section = setting->section;
		}
		mh_setting_print(setting, settings, &value);
		mh_strbuf_addf(out, "%s =%s%s\n", setting->name,
			       value.len ? " " : "", value.data);
	}
}

/* --- the sample --------------------------------------------------------- */

/* Fills lines of at most 78 columns, each behind "# ". */
static void add_comment(struct mh_strbuf *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > 78) {
			add(out, "\n");
			column = 0;
		}
		add(out, column ? " " : "# ");
		column += column ? 1 : 2;
		mh_strbuf_add(out, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	add(out, "\n");
}

static void sample_setting(const struct mh_setting *setting,
			   struct mh_strbuf *out)
{
	MH_STRBUF(text);

	add(out, "\n");
	add_comment(out, setting->help);
	add(&text, "Takes ");
	mh_setting_describe(setting, &text);
	add(&text,
	    setting->flags & MH_RELOAD ? "." : ". A change needs a restart.");
	add_comment(out, text.data);
	mh_strbuf_addf(out, "%s%s =%s%s\n",
		       setting->flags & MH_REQUIRED ? "" : "#", setting->name,
		       *setting->def ? " " : "", setting->def);
}

void mh_config_print_sample(struct mh_strbuf *out)
{
	add(out,
	    "# The configuration of moothalld; see moothall.conf(5).\n"
	    "# What is commented out shows the default. Lists may be given\n"
	    "# on several lines. After a change: systemctl reload moothall.\n");
	for (size_t i = 0; i < MH_ARRAY_LEN(sections); i++) {
		mh_strbuf_addf(out, "\n[%s]\n", sections[i].name);
		add_comment(out, sections[i].help);
		for (size_t k = 0; k < mh_setting_count; k++) {
			if (!strcmp(mh_setting_table[k].section,
				    sections[i].name))
				sample_setting(&mh_setting_table[k], out);
		}
	}
}

/* --- the manual --------------------------------------------------------- */

/* Text in roff: no line of it is taken for a request, no '-' for a hyphen. */
static void add_roff(struct mh_strbuf *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		add(out, "\\&");
	for (; *text; text++) {
		if (*text == '\\')
			add(out, "\\e");
		else if (*text == '-')
			add(out, "\\-");
		else
			mh_strbuf_addch(out, *text);
	}
	add(out, "\n");
}

static void man_setting(const struct mh_setting *setting, struct mh_strbuf *out)
{
	MH_STRBUF(text);

	mh_strbuf_addf(out, ".TP\n.B %s\n", setting->name);
	add_roff(out, setting->help);
	add(&text, "Takes ");
	mh_setting_describe(setting, &text);
	if (setting->flags & MH_REQUIRED)
		add(&text, ". Must be set");
	else if (*setting->def)
		mh_strbuf_addf(&text, ". Default: %s", setting->def);
	else
		add(&text, ". Default: empty");
	add(&text,
	    setting->flags & MH_RELOAD ? "." : ". A change needs a restart.");
	add_roff(out, text.data);
}

static const char man_head[] =
	".TH MOOTHALL.CONF 5 \"\" \"Moothall\" \"File Formats\"\n"
	".SH NAME\n"
	"moothall.conf \\- configuration of the Matrix homeserver moothalld\n"
	".SH DESCRIPTION\n"
	".BR moothalld (8)\n"
	"reads one file of sections and keys:\n"
	".PP\n"
	".nf\n"
	".RS\n"
	"[server]\n"
	"name = example.org\n"
	"data_dir = /var/lib/moothall\n"
	"\n"
	"[listen]\n"
	"client = 127.0.0.1:8008\n"
	"client = [::1]:8008\n"
	".RE\n"
	".fi\n"
	".PP\n"
	"A line that begins with # or ; is a comment, and so is what follows "
	"a\n"
	"blank and a ; in a line. Lists take several items in a line, or "
	"several\n"
	"lines. A secret may be written as\n"
	".BI file: PATH\\fR;\n"
	"it is then the first line of that file. Unknown keys and bad values "
	"are\n"
	"errors. Options\n"
	".B \\-o\n"
	".IR section . key = value\n"
	"of the daemon count more than the file.\n"
	".PP\n"
	"On SIGHUP the daemon reads the file again, and logs which changes it "
	"has\n"
	"taken up and which need a restart.\n";

static const char man_tail[] = ".SH SEE ALSO\n"
			       ".BR moothalld (8),\n"
			       ".BR mootctl (1)\n";

void mh_config_print_man(struct mh_strbuf *out)
{
	add(out, man_head);
	for (size_t i = 0; i < MH_ARRAY_LEN(sections); i++) {
		mh_strbuf_addf(out, ".SH [%s]\n", sections[i].name);
		add_roff(out, sections[i].help);
		for (size_t k = 0; k < mh_setting_count; k++) {
			if (!strcmp(mh_setting_table[k].section,
				    sections[i].name))
				man_setting(&mh_setting_table[k], out);
		}
	}
	add(out, man_tail);
}
