/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of mootctl: a UNIX socket that only the node's user and
 * root may open. Requests and responses are JSON objects, one a line:
 *
 *	{"command":"user show","args":{"user":"alice"}}
 *	{"ok":true,"result":{...}}
 *	{"ok":false,"errcode":"M_NOT_FOUND","error":"there is no user 'alice'"}
 *
 * Commands are rows of tables, each with a function that runs on one of the
 * few control threads and may block there:
 *
 *	static int room_show(struct mh_control_call *call, struct mh_error *err)
 *	{
 *		return mh_control_read(call, room_show_read, err);
 *	}
 */
#pragma once

#include "core/json.h"
#include "service/server.h"

struct mh_control;

struct mh_control_call {
	struct mh_server *server;
	const json_t *args; /* an object */
	json_t *result;	    /* the command's to set, with ownership */
	void *data;	    /* the command's own */
};

struct mh_control_command {
	const char *name; /* "user add" */
	int (*run)(struct mh_control_call *call, struct mh_error *err);
};

/*
 * Listens at `path` for the commands of `tables` (borrowed, and NULL at the
 * end); a socket that a dead daemon left there is replaced. The
 * caller polls mh_control_fd() and calls mh_control_accept() when it can be
 * read.
 */
MH_NODISCARD int mh_control_new(struct mh_server *server, const char *path,
				const struct mh_control_command *const *tables,
				struct mh_control **ret, struct mh_error *err);
int mh_control_fd(const struct mh_control *control);
void mh_control_accept(struct mh_control *control);
/*
 * Stops listening and ends the connections. Their threads are the executor's:
 * free it when that has stopped.
 */
void mh_control_stop(struct mh_control *control);
void mh_control_free(struct mh_control *control);

/* --- for commands ------------------------------------------------------- */

/* Runs `fn` on a worker, where mh_store_reader() works, and waits for it. */
int mh_control_read(struct mh_control_call *call,
		    int (*fn)(struct mh_control_call *call, struct mh_db *db,
			      struct mh_error *err),
		    struct mh_error *err);
/* Runs `fn` as a write job, and waits until it is durable or has failed. */
int mh_control_write(struct mh_control_call *call,
		     int (*fn)(struct mh_control_call *call, struct mh_tx *tx,
			       struct mh_error *err),
		     struct mh_error *err);

/* --- the tables --------------------------------------------------------- */

/* Each ends in a row without a name. */
extern const struct mh_control_command mh_control_account_commands[];
extern const struct mh_control_command mh_control_room_commands[];
extern const struct mh_control_command mh_control_status_commands[];
extern const struct mh_control_command mh_control_token_commands[];
extern const struct mh_control_command mh_control_user_commands[];
