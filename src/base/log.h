/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log sink, the one global of the program. Whoever handles a failure logs
 * it, once. Lower case, no full stop, the subject quoted; never a token, key,
 * password or message body. core/ and store/ stay at debug.
 *
 *	mh_log_info("listen", "serving clients on '%s'", address);
 *
 * Any thread may log.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>

enum mh_log_level { MH_LOG_ERROR, MH_LOG_WARN, MH_LOG_INFO, MH_LOG_DEBUG };
enum mh_log_format { MH_LOG_TEXT, MH_LOG_JSON, MH_LOG_JOURNALD };

/* Call before threads start, and on reload. Writes to standard error. */
void mh_log_configure(enum mh_log_level level, enum mh_log_format format);
bool mh_log_enabled(enum mh_log_level level);
/* `topic` is a short word: "http", "sync", "store". */
void mh_log(enum mh_log_level level, const char *topic, const char *format, ...)
	MH_PRINTF(3, 4);

#define mh_log_error(topic, ...) mh_log(MH_LOG_ERROR, topic, __VA_ARGS__)
#define mh_log_warn(topic, ...) mh_log(MH_LOG_WARN, topic, __VA_ARGS__)
#define mh_log_info(topic, ...) mh_log(MH_LOG_INFO, topic, __VA_ARGS__)
#define mh_log_debug(topic, ...)                                               \
	(mh_log_enabled(MH_LOG_DEBUG) ?                                        \
		 mh_log(MH_LOG_DEBUG, topic, __VA_ARGS__) :                    \
		 (void)0)
