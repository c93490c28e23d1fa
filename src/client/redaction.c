/* SPDX-License-Identifier: Apache-2.0 */
#include "client/send_job.h"

int client_redact_event(struct mh_request *req, struct mh_error *err)
{
	struct mh_send_job *job;
	struct mh_str reason;

	if (mh_send_job_new(req, &job, err) < 0 ||
	    mh_json_get_str(req->json, "reason", &reason, err) < 0)
		return -1;
	job->event.type = MH_STR("m.room.redaction");
	job->redacts = mh_request_param(req, 1);
	if (!mh_event_id_valid(job->redacts))
		return mh_fail(err, MH_M_NOT_FOUND, "no such event in this room");
	mh_send_job_set_txn(req, job, "redact");
	return mh_send_job_run(req, job);
}
