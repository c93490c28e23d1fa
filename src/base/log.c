/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line a message, written by one write() so that lines of several threads
 * do not mix. `journald` is the format that a service's standard error has by
 * sd-daemon(3): "<priority>" and the text; the journal adds the time itself.
 */
#include "base/log.h"

#include "base/strbuf.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[MH_LOG_ERROR] = { "error", 3 },
	[MH_LOG_WARN] = { "warn", 4 },
	[MH_LOG_INFO] = { "info", 6 },
	[MH_LOG_DEBUG] = { "debug", 7 },
};

static atomic_int log_level = MH_LOG_INFO;
static atomic_int log_format = MH_LOG_TEXT;

void mh_log_configure(enum mh_log_level level, enum mh_log_format format)
{
	atomic_store(&log_level, (int)level);
	atomic_store(&log_format, (int)format);
}

bool mh_log_enabled(enum mh_log_level level)
{
	return (int)level <=
	       atomic_load_explicit(&log_level, memory_order_relaxed);
}

static void add_time(struct mh_strbuf *line)
{
	char text[32];
	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	mh_strbuf_addf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* A message may quote bytes from outside: it stays on its line. */
static void add_plain(struct mh_strbuf *line, struct mh_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < 0x20 || c == 0x7f)
			mh_strbuf_addf(line, "\\x%02x", c);
		else
			mh_strbuf_addch(line, (char)c);
	}
}

static void add_json(struct mh_strbuf *line, struct mh_str text)
{
	bool utf8 = mh_str_is_utf8(text);

	mh_strbuf_addch(line, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '"' || c == '\\')
			mh_strbuf_addf(line, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			mh_strbuf_addf(line, "\\u%04x", c);
		else if (c >= 0x80 && !utf8)
			mh_strbuf_addlit(line, "\\ufffd");
		else
			mh_strbuf_addch(line, (char)c);
	}
	mh_strbuf_addch(line, '"');
}

static void build_line(struct mh_strbuf *line, enum mh_log_level level,
		       const char *topic, struct mh_str text)
{
	switch ((enum mh_log_format)atomic_load(&log_format)) {
	case MH_LOG_JSON:
		mh_strbuf_addlit(line, "{\"time\":\"");
		add_time(line);
		mh_strbuf_addf(line, "\",\"level\":\"%s\",\"topic\":\"%s\",",
			       levels[level].name, topic);
		mh_strbuf_addlit(line, "\"message\":");
		add_json(line, text);
		mh_strbuf_addch(line, '}');
		break;
	case MH_LOG_JOURNALD:
		mh_strbuf_addf(line, "<%d>%s: ", levels[level].priority, topic);
		add_plain(line, text);
		break;
	case MH_LOG_TEXT:
		add_time(line);
		mh_strbuf_addf(line, " %-5s %s: ", levels[level].name, topic);
		add_plain(line, text);
		break;
	}
	mh_strbuf_addch(line, '\n');
}

void mh_log(enum mh_log_level level, const char *topic, const char *format, ...)
{
	MH_STRBUF(line);
	char small[512];
	char *text = small;
	va_list args;
	int len;

	if (!mh_log_enabled(level))
		return;
	va_start(args, format);
	len = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(small)) {
		text = mh_alloc((size_t)len + 1);
		va_start(args, format);
		vsnprintf(text, (size_t)len + 1, format, args);
		va_end(args);
	}
	build_line(&line, level, topic, mh_str_n(text, (size_t)len));
	if (text != small)
		free(text);

	/* There is nowhere to report that the log itself cannot be written. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		return;
}
