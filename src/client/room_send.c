/* SPDX-License-Identifier: Apache-2.0 */
#include "client/send_job.h"

int client_send_message(struct mh_request *req, struct mh_error *err)
{
	struct mh_send_job *job;

	if (mh_send_job_new(req, &job, err) < 0)
		return -1;
	job->event.type = mh_request_param(req, 1);
	mh_send_job_set_txn(req, job, "send");
	return mh_send_job_run(req, job);
}
