/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "service/keys.h"
#include "service/sessions.h"
#include "service/uia.h"

#define DISPLAY_NAME_MAX 100 /* bytes */
#define DELETE_MAX 1000	     /* devices of one request */

static void add_device(const struct mh_device *device, struct mh_strbuf *out)
{
	mh_strbuf_addlit(out, "{\"device_id\":");
	mh_json_add_str(out, device->device_id);
	if (device->display_name.data) {
		mh_strbuf_addlit(out, ",\"display_name\":");
		mh_json_add_str(out, device->display_name);
	}
	if (device->last_seen_ip.data) {
		mh_strbuf_addlit(out, ",\"last_seen_ip\":");
		mh_json_add_str(out, device->last_seen_ip);
	}
	if (device->last_seen_ts)
		mh_strbuf_addf(out, ",\"last_seen_ts\":%lld",
			       (long long)device->last_seen_ts);
	mh_strbuf_addch(out, '}');
}

static int add_row(void *context, const struct mh_device *device,
		   struct mh_error *err MH_UNUSED)
{
	mh_json_add_comma(context);
	add_device(device, context);
	return 1;
}

int client_get_devices(struct mh_request *req, struct mh_error *err)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"devices\":[");
	if (mh_device_each(mh_request_db(req), req->who.user, add_row, &body,
			   err) < 0)
		return -1;
	mh_strbuf_addlit(&body, "]}");
	return mh_reply_buf(req, &body);
}

/* M_NOT_FOUND unless the person has such a device. */
static int find_device(struct mh_db *db, struct mh_request *req,
		       struct mh_device *ret, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, mh_request_param(req, 0), err);
	int rc = device < 0 ? -1 : 0;

	if (device > 0)
		rc = mh_device_get(db, req->who.user, device, &req->arena, ret,
				   err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_NOT_FOUND, "there is no such device");
	return 0;
}

int client_get_device(struct mh_request *req, struct mh_error *err)
{
	struct mh_device device;
	MH_STRBUF(body);

	if (find_device(mh_request_db(req), req, &device, err) < 0)
		return -1;
	add_device(&device, &body);
	return mh_reply_buf(req, &body);
}

static int rename_device(struct mh_tx *tx, struct mh_request *req, void *arg,
			 struct mh_error *err)
{
	const struct mh_str *name = arg;
	struct mh_device device;

	if (find_device(mh_tx_db(tx), req, &device, err) < 0)
		return -1;
	if (name->data &&
	    (mh_device_put(tx, req->who.user, device.device, *name,
			   device.last_seen_ts, err) < 0 ||
	     mh_keys_changed(req->server, tx, req->who.user, err) < 0))
		return -1;
	return mh_reply_empty(req);
}

int client_update_device(struct mh_request *req, struct mh_error *err)
{
	struct mh_str *name = MH_ARENA_NEW(&req->arena, struct mh_str);
	json_t *body;

	if (mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_str(body, "display_name", name, err) < 0)
		return -1;
	if (name->len > DISPLAY_NAME_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'display_name' is over %d bytes",
			       DISPLAY_NAME_MAX);
	return mh_request_write(req, rename_device, name);
}

/* --- deleting ------------------------------------------------------------- */

/* In a write job. A device that is not there was deleted before. */
static int delete_one(struct mh_tx *tx, struct mh_request *req,
		      struct mh_str device_id, struct mh_error *err)
{
	mh_nid device = mh_name_find(mh_tx_db(tx), device_id, err);
	struct mh_device row;
	int rc = device < 0 ? -1 : 0;

	if (device > 0)
		rc = mh_device_get(mh_tx_db(tx), req->who.user, device,
				   &req->arena, &row, err);
	if (rc <= 0)
		return rc;
	return mh_sessions_end_device(req->server, tx, req->who.user, device,
				      err);
}

static int delete_device(struct mh_tx *tx, struct mh_request *req,
			 void *arg MH_UNUSED, struct mh_error *err)
{
	if (delete_one(tx, req, mh_request_param(req, 0), err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int may_delete_device(struct mh_request *req,
			     const struct mh_uia_done *done MH_UNUSED,
			     struct mh_error *err MH_UNUSED)
{
	return mh_request_write(req, delete_device, NULL);
}

int client_delete_device(struct mh_request *req, struct mh_error *err)
{
	return mh_uia_require(req, MH_UIA_ACCOUNT, may_delete_device, err);
}

static int delete_devices(struct mh_tx *tx, struct mh_request *req, void *arg,
			  struct mh_error *err)
{
	json_t *id;
	size_t i;

	json_array_foreach((json_t *)arg, i, id)
		if (delete_one(tx, req, mh_json_str(id), err) < 0)
			return -1;
	return mh_reply_empty(req);
}

static int parse_devices(struct mh_request *req, json_t **ret,
			 struct mh_error *err)
{
	json_t *body, *id;
	size_t i;
	int rc;

	if (mh_request_json(req, &body, err) < 0)
		return -1;
	rc = mh_json_get_array(body, "devices", ret, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_MISSING_PARAM, "'devices' is missing");
	if (json_array_size(*ret) > DELETE_MAX)
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'devices' lists over %d devices", DELETE_MAX);
	json_array_foreach(*ret, i, id)
		if (!json_is_string(id))
			return mh_fail(err, MH_M_BAD_JSON,
				       "'devices' must hold strings");
	return 0;
}

static int may_delete_devices(struct mh_request *req,
			      const struct mh_uia_done *done MH_UNUSED,
			      struct mh_error *err)
{
	json_t *devices;

	if (parse_devices(req, &devices, err) < 0)
		return -1;
	return mh_request_write(req, delete_devices, devices);
}

int client_delete_devices(struct mh_request *req, struct mh_error *err)
{
	json_t *devices;

	if (parse_devices(req, &devices, err) < 0)
		return -1;
	return mh_uia_require(req, MH_UIA_ACCOUNT, may_delete_devices, err);
}
