/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers that make one event share. */
#pragma once

#include "client/room_params.h"
#include "service/room_client_send.h"

/* Lives in the request's arena. */
struct mh_send_job {
	struct mh_client_event event;
	struct mh_str redacts; /* PUT redact; or empty */
	struct mh_str txn_key; /* store/txn.h; empty: no transaction */
};

/*
 * Begins a job: the path's room and the body's content. PUT send and redact
 * end in a transaction ID, whose key is the path from the room on.
 */
int mh_send_job_new(struct mh_request *req, struct mh_send_job **ret,
		    struct mh_error *err);
/* Runs it in a write job and replies with the event's ID. */
int mh_send_job_run(struct mh_request *req, struct mh_send_job *job);
/* Sets the key of the transaction, from the path after the room. */
void mh_send_job_set_txn(struct mh_request *req, struct mh_send_job *job,
			 const char *operation);
