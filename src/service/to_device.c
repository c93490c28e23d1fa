/* SPDX-License-Identifier: Apache-2.0 */
#include "service/to_device.h"

#include "core/canonical_json.h"
#include "service/notifier.h"
#include "store/accounts.h"
#include "store/e2ee.h"

struct delivery {
	struct mh_tx *tx;
	const struct mh_requester *who;
	mh_nid user;
	struct mh_str type;
	struct mh_strbuf content;
};

static int deliver(void *context, const struct mh_device *device,
		   struct mh_error *err)
{
	struct delivery *delivery = context;

	if (mh_to_device_add(delivery->tx, delivery->user, device->device,
			     delivery->who->user, delivery->type,
			     mh_strbuf_str(&delivery->content), err) < 0)
		return -1;
	return 1;
}

static int deliver_to(struct delivery *delivery, const char *device_id,
		      struct mh_error *err)
{
	struct mh_db *db = mh_tx_db(delivery->tx);
	MH_CLEANUP(mh_arena_release) struct mh_arena arena = { NULL };
	struct mh_device device;
	mh_nid number;
	int rc;

	if (!strcmp(device_id, "*"))
		return mh_device_each(db, delivery->user, deliver, delivery,
				      err);
	number = mh_name_find(db, mh_str(device_id), err);
	if (number <= 0)
		return (int)number;
	rc = mh_device_get(db, delivery->user, number, &arena, &device, err);
	return rc > 0 ? deliver(delivery, &device, err) : rc;
}

static int deliver_user(struct mh_server *server, struct delivery *delivery,
			json_t *devices, struct mh_error *err)
{
	const char *device_id;
	json_t *content;

	json_object_foreach (devices, device_id, content) {
		mh_strbuf_clear(&delivery->content);
		if (!json_is_object(content))
			return mh_fail(err, MH_M_BAD_JSON,
				       "the content of a message must be an "
				       "object");
		if (mh_canonical_json_value(content, MH_JSON_TOLERANT,
					    &delivery->content, err) < 0)
			return -1;
		if (delivery->content.len > MH_TO_DEVICE_CONTENT_MAX)
			return mh_fail(err, MH_M_TOO_LARGE,
				       "a message is over %d bytes",
				       MH_TO_DEVICE_CONTENT_MAX);
		if (deliver_to(delivery, device_id, err) < 0)
			return -1;
	}
	mh_notify_user(delivery->tx, server, delivery->user);
	return 0;
}

static int first_time(struct mh_tx *tx, const struct mh_requester *who,
		      struct mh_str type, struct mh_str txn_id,
		      struct mh_error *err)
{
	mh_nid device = mh_name_find(mh_tx_db(tx), who->device_id, err);
	MH_STRBUF(request);

	if (device < 0)
		return -1;
	mh_strbuf_addstr(&request, type);
	mh_strbuf_addch(&request, '\n');
	mh_strbuf_addstr(&request, txn_id);
	return mh_to_device_request(tx, who->user, device,
				    mh_strbuf_str(&request), err);
}

int mh_to_device_send(struct mh_server *server, struct mh_tx *tx,
		      const struct mh_requester *who, struct mh_str type,
		      struct mh_str txn_id, const json_t *messages,
		      struct mh_error *err)
{
	struct delivery delivery = { .tx = tx,
				     .who = who,
				     .type = type,
				     .content = MH_STRBUF_INIT };
	const char *user_id;
	json_t *devices;
	int rc = first_time(tx, who, type, txn_id, err);

	if (rc <= 0)
		return rc;

	json_object_foreach ((json_t *)(uintptr_t)messages, user_id, devices) {
		if (!json_is_object(devices)) {
			rc = mh_fail(err, MH_M_BAD_JSON,
				     "'messages' maps users to devices");
			break;
		}
		if (!mh_server_owns(server, mh_str(user_id)))
			continue;
		delivery.user = mh_name_find(mh_tx_db(tx), mh_str(user_id),
					     err);
		rc = delivery.user > 0 ?
			     deliver_user(server, &delivery, devices, err) :
			     (int)delivery.user;
		if (rc < 0)
			break;
	}
	mh_strbuf_release(&delivery.content);
	return rc < 0 ? -1 : 0;
}

struct inbox {
	struct mh_db *db;
	struct mh_strbuf *out;
	int64_t last;
	int n;
};

static int add_message(void *context, int64_t pos, mh_nid sender,
		       struct mh_str type, struct mh_str content,
		       struct mh_error *err)
{
	struct inbox *inbox = context;
	MH_STRBUF(name);

	if (mh_name_get(inbox->db, sender, &name, err) < 0)
		return -1;
	mh_json_add_comma(inbox->out);
	mh_strbuf_addlit(inbox->out, "{\"content\":");
	mh_strbuf_addstr(inbox->out, content);
	mh_json_add_key(inbox->out, MH_STR("sender"));
	mh_json_add_str(inbox->out, mh_strbuf_str(&name));
	mh_json_add_key(inbox->out, MH_STR("type"));
	mh_json_add_str(inbox->out, type);
	mh_strbuf_addch(inbox->out, '}');
	inbox->last = pos;
	inbox->n++;
	return 1;
}

int mh_to_device_sync(struct mh_db *db, const struct mh_requester *who,
		      int64_t from, int64_t to, struct mh_strbuf *out,
		      int64_t *ret_to, struct mh_error *err)
{
	mh_nid device = mh_name_find(db, who->device_id, err);
	struct inbox inbox = { .db = db, .out = out };

	mh_strbuf_addch(out, '[');
	if (device < 0 ||
	    mh_to_device_each(db, who->user, device, from, to,
			      MH_TO_DEVICE_PER_SYNC, add_message, &inbox,
			      err) < 0)
		return -1;
	mh_strbuf_addch(out, ']');
	*ret_to = inbox.n == MH_TO_DEVICE_PER_SYNC ? inbox.last : to;
	return inbox.n;
}
