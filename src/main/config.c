/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the configuration file through inih. inih gives its handler no line
 * number and cuts long lines silently, so it reads from a reader of ours, which
 * counts lines and refuses what does not fit. The reader also takes blanks off
 * the front of lines: inih would take an indented line as a continuation of the
 * one before, and a key that somebody indented would end up in another's value.
 */
#include <config.h>

#include "main/config.h"

#include "base/netaddr.h"
#include "core/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_SIZE (1 << 20)

struct loader {
	const char *path;
	struct mh_str rest; /* of the file */
	int line;
	int bad_line; /* the first that a handler refused; 0: none */
	int *set_on;  /* the line that set each setting; 0: none; -1: -o */
	struct mh_settings *settings;
	struct mh_strbuf *problems;
};

static void MH_PRINTF(3, 4) problem(struct loader *loader, const char *where,
				    const char *format, ...)
{
	va_list args;
	char text[1024];

	if (where)
		mh_strbuf_addf(loader->problems, "%s: ", where);
	else if (loader->line)
		mh_strbuf_addf(loader->problems, "%s:%d: ", loader->path,
			       loader->line);
	else if (loader->path)
		mh_strbuf_addf(loader->problems, "%s: ", loader->path);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mh_strbuf_addf(loader->problems, "%s\n", text);
}

/* --- reading ------------------------------------------------------------ */

static int read_file(const char *path, struct mh_strbuf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		errno = EISDIR;
		return -1;
	}
	while (out->len <= MAX_FILE_SIZE) {
		n = read(fd, mh_strbuf_reserve(out, 4096), 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	close(fd);
	if (n < 0)
		return -1;
	if (out->len > MAX_FILE_SIZE) {
		errno = EFBIG;
		return -1;
	}
	/* The buffer keeps a NUL past its end, as all of them do. */
	mh_strbuf_reserve(out, 1)[0] = '\0';
	return 0;
}

/* inih's fgets(): gives the next line, or an empty one for what is refused. */
static char *read_line(char *out, int size, void *context)
{
	struct loader *loader = context;
	struct mh_str line = loader->rest;
	ptrdiff_t end = mh_str_find(line, '\n');

	if (!line.len || size < 3)
		return NULL;
	if (end >= 0)
		line = mh_str_first(line, (size_t)end);
	loader->rest = mh_str_from(loader->rest, line.len + 1);
	loader->line++;

	while (line.len && (line.data[0] == ' ' || line.data[0] == '\t'))
		line = mh_str_from(line, 1);
	if (line.len && strchr("#;", line.data[0])) {
		line.len = 0; /* a comment may be as long as it likes */
	} else if (line.len && mh_str_find(line, '\0') >= 0) {
		problem(loader, NULL, "there is a NUL byte in this line");
		line.len = 0;
	} else if (!mh_str_is_utf8(line)) {
		problem(loader, NULL, "this line is not UTF-8");
		line.len = 0;
	} else if (line.len + 2 > (size_t)size) {
		problem(loader, NULL,
			"this line is %zu bytes long, and at most %d are read; "
			"give a list's items on several lines, or a secret as "
			"file:PATH",
			line.len, size - 2);
		line.len = 0;
	}
	if (line.len)
		memcpy(out, line.data, line.len);
	out[line.len] = '\n';
	out[line.len + 1] = '\0';
	return out;
}

/* "closed, token, open": what else there is, for a name that is unknown. */
static void list_names(const char *section, struct mh_strbuf *out)
{
	const char *last = "";

	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];
		const char *name = section ? setting->name : setting->section;

		if (section ? strcmp(setting->section, section)
			    : !strcmp(name, last))
			continue;
		mh_strbuf_addf(out, "%s%s", out->len ? ", " : "", name);
		last = name;
	}
}

static void unknown(struct loader *loader, const char *where,
		    const char *section, const char *name)
{
	MH_STRBUF(names);

	list_names(section, &names);
	if (!*section) {
		problem(loader, where, "'%.60s' stands before any [section]",
			name);
	} else if (names.len) {
		problem(loader, where,
			"unknown key '%.60s' in [%s]; there are: %s", name,
			section, names.data);
	} else {
		list_names(NULL, &names);
		problem(loader, where, "unknown section [%.60s]; there are: %s",
			section, names.data);
	}
}

static int set_value(struct loader *loader, const char *where,
		     const char *section, const char *name, const char *value,
		     int mark)
{
	const struct mh_setting *setting = mh_setting_find(section, name);
	MH_ERROR(err);
	int *set_on;
	bool again;

	if (!setting) {
		unknown(loader, where, section, name);
		return -1;
	}
	set_on = &loader->set_on[setting - mh_setting_table];
	again = *set_on && (mark < 0) == (*set_on < 0);
	if (again && mark > 0 && setting->type != MH_SETTING_LIST) {
		problem(loader, where, "'%s' in [%s] is set on line %d already",
			name, section, *set_on);
		return -1;
	}
	*set_on = mark;
	/* A list's first line replaces the default, further ones add to it. */
	if (mh_setting_parse(setting, loader->settings, value, again, &err) <
	    0) {
		problem(loader, where, "%s", err.message);
		return -1;
	}
	return 0;
}

static int on_value(void *context, const char *section, const char *name,
		    const char *value)
{
	struct loader *loader = context;

	if (set_value(loader, NULL, section, name, value, loader->line) < 0 &&
	    !loader->bad_line)
		loader->bad_line = loader->line;
	return 1;
}

static void load_file(struct loader *loader)
{
	MH_STRBUF(file);
	int rc;

	if (read_file(loader->path, &file) < 0) {
		problem(loader, NULL, "cannot read the configuration: %s",
			strerror(errno));
		return;
	}
	loader->rest = mh_strbuf_str(&file);
#if HAVE_DECL_INI_INITIAL_ALLOC
	/* A distribution's build that can be told: longer lines. */
	ini_use_stack = false;
	ini_initial_alloc = 4096;
	ini_max_line = 4096;
#endif
	rc = ini_parse_stream(read_line, loader, on_value, loader);
	if (rc > 0) {
		loader->line = rc;
		problem(loader, NULL,
			"expected '[section]', 'key = value' or a comment");
	} else if (rc < 0) {
		loader->line = 0;
		problem(loader, NULL, "out of memory");
	}
	loader->rest = MH_STR_NONE;
	loader->line = 0;
}

static void load_override(struct loader *loader, const char *text)
{
	MH_CLEANUP(mh_freep) char *copy = mh_strdup(text);
	MH_STRBUF(where);
	char *equals = strchr(copy, '=');
	char *dot = strchr(copy, '.');
	size_t end;

	if (!equals || !dot || dot > equals) {
		problem(loader, "-o", "'%.60s' is not section.key=value", text);
		return;
	}
	*equals = '\0';
	*dot = '\0';
	for (end = strlen(dot + 1); end && dot[end] == ' '; end--)
		dot[end] = '\0';
	mh_strbuf_addf(&where, "-o %s.%s", copy, dot + 1);
	(void)set_value(loader, where.data, copy, dot + 1, equals + 1, -1);
}

/* --- checking the whole ------------------------------------------------- */

/* Where a setting came from, for messages about its value. */
static void about(struct loader *loader, const char *section, const char *name,
		  struct mh_strbuf *out)
{
	const struct mh_setting *setting = mh_setting_find(section, name);
	int line;

	MH_ASSERT(setting);
	line = loader->set_on[setting - mh_setting_table];
	if (line < 0)
		mh_strbuf_addf(out, "-o %s.%s", section, name);
	else if (line > 0)
		mh_strbuf_addf(out, "%s:%d", loader->path, line);
	else
		mh_strbuf_addf(out, "%s",
			       loader->path ? loader->path : "moothalld");
}

static void MH_PRINTF(4, 5) refuse(struct loader *loader, const char *section,
				   const char *name, const char *format, ...)
{
	MH_STRBUF(where);
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	about(loader, section, name, &where);
	problem(loader, where.data, "'%s' in [%s] %s", name, section, text);
}

static void check_required(struct loader *loader)
{
	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];
		MH_STRBUF(value);

		if (!(setting->flags & MH_REQUIRED))
			continue;
		mh_setting_print(setting, loader->settings, &value);
		if (!value.len)
			refuse(loader, setting->section, setting->name,
			       "must be set");
	}
}

static void check_url(struct loader *loader, const char *section,
		      const char *name, const char *url)
{
	struct mh_str s = mh_str(url);

	if (!s.len)
		return;
	if ((!mh_str_starts(s, MH_STR("https://")) || s.len == 8) &&
	    (!mh_str_starts(s, MH_STR("http://")) || s.len == 7))
		refuse(loader, section, name,
		       "must be an address that begins with https:// or "
		       "http://, not '%.80s'",
		       url);
	else if (strpbrk(url, " \t\"<>\\"))
		refuse(loader, section, name,
		       "has a character that no "
		       "address may have");
}

static void check_addresses(struct loader *loader, const char *name,
			    const struct mh_setting_list *list)
{
	struct mh_listen_address address;

	for (size_t i = 0; i < list->count; i++) {
		if (!mh_listen_address_parse(mh_str(list->items[i]), &address))
			refuse(loader, "listen", name,
			       "takes addresses such as 127.0.0.1:8008, "
			       "[::1]:8008, *:8008 or unix:/path, not '%.80s'",
			       list->items[i]);
	}
}

static void check_networks(struct loader *loader)
{
	const struct mh_setting_list *list =
		&loader->settings->listen.trusted_proxies;
	struct mh_network network;

	for (size_t i = 0; i < list->count; i++) {
		if (!mh_network_parse(mh_str(list->items[i]), &network))
			refuse(loader, "listen", "trusted_proxies",
			       "takes addresses and networks such as "
			       "127.0.0.1, ::1 or 10.0.0.0/8, not '%.80s'",
			       list->items[i]);
	}
}

static void check_contacts(struct loader *loader, const char *name,
			   const struct mh_setting_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct mh_str item = mh_str(list->items[i]);

		if (!mh_user_id_valid(item) &&
		    (mh_str_starts(item, MH_STR("@")) ||
		     mh_str_find(item, '@') < 0))
			refuse(loader, "server", name,
			       "takes Matrix IDs and mail addresses such as "
			       "@admin:example.org or admin@example.org, not "
			       "'%.80s'",
			       list->items[i]);
	}
}

static void check_readable(struct loader *loader, const char *name,
			   const char *path)
{
	if (*path && access(path, R_OK) < 0)
		refuse(loader, "listen", name, "names '%.200s': %s", path,
		       strerror(errno));
}

static void check_tls(struct loader *loader)
{
	const struct mh_settings *settings = loader->settings;
	bool certificate = *settings->listen.tls_certificate;
	bool key = *settings->listen.tls_private_key;

	if (settings->listen.federation.count && !certificate)
		refuse(loader, "listen", "federation",
		       "needs tls_certificate and tls_private_key");
	else if (certificate && !key)
		refuse(loader, "listen", "tls_certificate",
		       "needs tls_private_key");
	else if (key && !certificate)
		refuse(loader, "listen", "tls_private_key",
		       "needs tls_certificate");
	check_readable(loader, "tls_certificate",
		       settings->listen.tls_certificate);
	check_readable(loader, "tls_private_key",
		       settings->listen.tls_private_key);
}

static void check(struct loader *loader)
{
	const struct mh_settings *settings = loader->settings;

	check_required(loader);
	if (*settings->server.name &&
	    !mh_server_name_valid(mh_str(settings->server.name)))
		refuse(loader, "server", "name",
		       "must be a host name with or without a port, such as "
		       "example.org, not '%.80s'",
		       settings->server.name);
	check_url(loader, "server", "public_url", settings->server.public_url);
	check_url(loader, "server", "support_page",
		  settings->server.support_page);
	check_url(loader, "registration", "terms_url",
		  settings->registration.terms_url);
	check_contacts(loader, "admin_contact",
		       &settings->server.admin_contact);
	check_contacts(loader, "security_contact",
		       &settings->server.security_contact);
	if (!settings->listen.client.count)
		refuse(loader, "listen", "client",
		       "must name at least one address");
	check_addresses(loader, "client", &settings->listen.client);
	check_addresses(loader, "federation", &settings->listen.federation);
	check_networks(loader);
	check_tls(loader);
}

/* --- values that lead on to others -------------------------------------- */

/* Replaces "file:PATH" by the first line of the file. */
static void resolve_secret(struct loader *loader,
			   const struct mh_setting *setting)
{
	char **slot =
		(char **)(void *)((char *)loader->settings + setting->offset);
	MH_STRBUF(file);

	if (!mh_str_starts(mh_str(*slot), MH_STR("file:")))
		return;
	if (read_file(*slot + 5, &file) < 0) {
		refuse(loader, setting->section, setting->name,
		       "names '%.200s': %s", *slot + 5, strerror(errno));
		return;
	}
	mh_strbuf_truncate(&file, strcspn(file.data, "\r\n"));
	if (!file.len) {
		refuse(loader, setting->section, setting->name,
		       "names '%.200s', whose first line is empty", *slot + 5);
		return;
	}
	free(*slot);
	*slot = mh_strbuf_detach(&file, NULL);
}

static void fill_in(struct loader *loader)
{
	struct mh_settings *settings = loader->settings;
	MH_STRBUF(text);

	for (size_t i = 0; i < mh_setting_count; i++) {
		if (mh_setting_table[i].type == MH_SETTING_SECRET)
			resolve_secret(loader, &mh_setting_table[i]);
	}
	if (!*settings->server.public_url && *settings->server.name) {
		mh_strbuf_addf(&text, "https://%s", settings->server.name);
		free(settings->server.public_url);
		settings->server.public_url = mh_strbuf_detach(&text, NULL);
	}
	if (!*settings->control.socket) {
		mh_strbuf_addf(&text, "%s/control.sock",
			       settings->server.data_dir);
		free(settings->control.socket);
		settings->control.socket = mh_strbuf_detach(&text, NULL);
	}
}

int mh_config_load(const struct mh_config_source *source,
		   struct mh_settings *ret, struct mh_strbuf *problems)
{
	MH_CLEANUP(mh_freep)
	int *set_on = mh_alloc_array(mh_setting_count, sizeof(int));
	struct mh_settings settings;
	struct loader loader = {
		.path = source->path,
		.set_on = set_on,
		.settings = &settings,
		.problems = problems,
	};

	mh_settings_init(&settings);
	if (source->path)
		load_file(&loader);
	for (size_t i = 0; i < source->n_overrides; i++)
		load_override(&loader, source->overrides[i]);
	/* What follows from a file that was not understood would confuse. */
	if (!problems->len) {
		check(&loader);
		fill_in(&loader);
	}
	if (problems->len) {
		mh_settings_release(&settings);
		return -1;
	}
	*ret = settings;
	return 0;
}

void mh_config_reload(const struct mh_settings *current,
		      const struct mh_settings *loaded,
		      struct mh_settings *next, struct mh_strbuf *changed,
		      struct mh_strbuf *fixed)
{
	mh_settings_copy(next, current);
	for (size_t i = 0; i < mh_setting_count; i++) {
		const struct mh_setting *setting = &mh_setting_table[i];
		bool reload = setting->flags & MH_RELOAD;
		struct mh_strbuf *names = reload ? changed : fixed;

		if (mh_setting_equal(setting, current, loaded))
			continue;
		mh_strbuf_addf(names, "%s%s.%s", names->len ? ", " : "",
			       setting->section, setting->name);
		if (reload)
			mh_setting_copy(setting, next, loaded);
	}
}
