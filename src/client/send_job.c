/* SPDX-License-Identifier: Apache-2.0 */
#include "client/send_job.h"

#include "store/txn.h"

int mh_send_job_new(struct mh_request *req, struct mh_send_job **ret,
		    struct mh_error *err)
{
	struct mh_send_job *job = MH_ARENA_NEW(&req->arena, struct mh_send_job);

	if (mh_request_json(req, &job->event.content, err) < 0 ||
	    mh_client_room(req, 0, &job->event.room, err) < 0)
		return -1;
	job->event.text = req->body;
	job->event.sender = req->who.user_id;
	job->event.sender_is_guest = req->who.is_guest;
	*ret = job;
	return 0;
}

/* A type or event ID is named by its bytes in hexadecimal: it may hold any. */
static void add_part(struct mh_strbuf *key, struct mh_str part)
{
	bool plain = true;

	for (size_t i = 0; i < part.len; i++)
		plain &= part.data[i] > ' ' && part.data[i] < 0x7f;
	mh_strbuf_addch(key, plain ? '/' : '%');
	if (plain)
		mh_strbuf_addstr(key, part);
	for (size_t i = 0; !plain && i < part.len; i++)
		mh_strbuf_addf(key, "%02x", (unsigned char)part.data[i]);
}

void mh_send_job_set_txn(struct mh_request *req, struct mh_send_job *job,
			 const char *operation)
{
	MH_STRBUF(key);

	mh_strbuf_addf(&key, "%s/%lld", operation, (long long)job->event.room);
	add_part(&key, mh_request_param(req, 1));
	mh_strbuf_addch(&key, '\n');
	mh_strbuf_addstr(&key, mh_request_param(req, 2));
	job->txn_key = mh_arena_str(&req->arena, mh_strbuf_str(&key));
}

static int reply_event(struct mh_request *req, struct mh_str event_id)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"event_id\":");
	mh_json_add_str(&body, event_id);
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}

/* 1: the transaction was done before, and the reply was given; 0; -1. */
static int reply_again(struct mh_db *db, struct mh_request *req,
		       struct mh_str key, struct mh_error *err)
{
	struct mh_event_row row = { 0 };
	mh_nid event;
	int rc;

	if (!key.len)
		return 0;
	event = mh_txn_event(db, req->who.user, req->who.device, key, err);
	if (event <= 0)
		return (int)event;
	rc = mh_events_get_nid(db, event, &row, err);
	if (rc > 0)
		reply_event(req, row.event->event_id);
	mh_event_row_release(&row);
	return rc;
}

static int send_event(struct mh_tx *tx, struct mh_request *req,
		      struct mh_send_job *job, struct mh_event_row *row,
		      struct mh_error *err)
{
	if (job->redacts.len)
		return mh_room_client_redact(req->server, tx, &job->event,
					     job->redacts, row, err);
	return mh_room_client_send(req->server, tx, &job->event, row, err);
}

static int run(struct mh_tx *tx, struct mh_request *req, void *arg,
	       struct mh_error *err)
{
	struct mh_send_job *job = arg;
	struct mh_event_row row = { 0 };
	int rc = reply_again(mh_tx_db(tx), req, job->txn_key, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = send_event(tx, req, job, &row, err);
	if (rc == 0 && job->txn_key.len)
		rc = mh_txn_add_event(tx, req->who.user, req->who.device,
				      job->txn_key, row.nid, err);
	if (rc == 0)
		reply_event(req, row.event->event_id);
	mh_event_row_release(&row);
	return rc;
}

int mh_send_job_run(struct mh_request *req, struct mh_send_job *job)
{
	return mh_request_write(req, run, job);
}
