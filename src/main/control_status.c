/* SPDX-License-Identifier: Apache-2.0 */
/* mootctl status */
#include <config.h>

#include "main/control.h"

#include <stdio.h>
#include <unistd.h>

/* Resident bytes of this process; 0 where the system does not say. */
static json_int_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*s %lld", &pages) != 1)
		pages = 0;
	fclose(file);
	return (json_int_t)pages * sysconf(_SC_PAGESIZE);
}

static int status(struct mh_control_call *call, struct mh_error *err MH_UNUSED)
{
	struct mh_server *server = call->server;
	json_t *result = json_object();

	json_object_set_new(result, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(result, "server_name",
			    mh_json_new_str(server->name));
	json_object_set_new(result, "pid", json_integer(getpid()));
	json_object_set_new(result, "uptime_ms",
			    json_integer(mh_clock_wall(server->clock) -
					 server->started_ms));
	json_object_set_new(result, "memory_bytes",
			    json_integer(resident_bytes()));
	json_object_set_new(result, "workers",
			    json_integer(server->workers_count));
	json_object_set_new(
		result, "requests_waiting",
		json_integer((json_int_t)mh_queue_length(server->workers)));
	json_object_set_new(
		result, "writes_waiting",
		json_integer((json_int_t)mh_store_backlog(server->store)));
	json_object_set_new(result, "position",
			    json_integer(mh_store_position(server->store)));
	call->result = result;
	return 0;
}

const struct mh_control_command mh_control_status_commands[] = {
	{ "status", status },
	{ NULL, NULL },
};
