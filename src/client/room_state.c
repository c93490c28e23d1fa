/* SPDX-License-Identifier: Apache-2.0 */
#include "client/send_job.h"

/* PUT state/{eventType}/{stateKey}; without a state key it is empty. */
int client_set_room_state_with_key(struct mh_request *req, struct mh_error *err)
{
	struct mh_send_job *job;

	if (mh_send_job_new(req, &job, err) < 0)
		return -1;
	job->event.type = mh_request_param(req, 1);
	job->event.state_key = MH_STR("");
	if (req->n_params > 2 && mh_request_param(req, 2).len)
		job->event.state_key = mh_request_param(req, 2);
	return mh_send_job_run(req, job);
}
