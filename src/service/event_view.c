/* SPDX-License-Identifier: Apache-2.0 */
#include "service/event_view.h"

#include "core/json.h"
#include "service/notifier_impl.h"
#include "store/txn.h"

static int add_transaction(const struct mh_event_viewer *viewer,
			   const struct mh_event_row *row,
			   struct mh_strbuf *out, struct mh_error *err)
{
	MH_STRBUF(id);
	int rc;

	if (!viewer->device || row->sender != viewer->user)
		return 0;
	rc = mh_txn_of_event(viewer->db, row->nid, viewer->user, viewer->device,
			     &id, err);
	if (rc <= 0)
		return rc;
	mh_json_add_key(out, MH_STR("transaction_id"));
	mh_json_add_str(out, mh_strbuf_str(&id));
	return 0;
}

static int add_membership(const struct mh_event_viewer *viewer,
			  const struct mh_event_row *row, struct mh_strbuf *out,
			  struct mh_error *err)
{
	enum mh_membership membership;

	if (!viewer->view)
		return 0;
	if (mh_visibility_membership(viewer->view, row, &membership, err) < 0)
		return -1;
	mh_json_add_key(out, MH_STR("membership"));
	mh_json_add_str(out, membership == MH_MEMBERSHIP_NONE ?
				     MH_STR("leave") :
				     mh_str(mh_membership_name(membership)));
	return 0;
}

int mh_event_view_add(const struct mh_event_viewer *viewer,
		      const struct mh_event_row *row, struct mh_strbuf *out,
		      struct mh_error *err)
{
	MH_CLEANUP(mh_recent_unrefp) struct mh_recent *recent = NULL;
	int64_t age = mh_clock_wall(viewer->server->clock) -
		      row->event->origin_server_ts;

	if (mh_recent_new(viewer->server->notifier, viewer->db, row, &recent,
			  err) < 0)
		return -1;
	mh_strbuf_addstr(out, recent->json);
	mh_json_add_key(out, MH_STR("room_id"));
	mh_json_add_str(out, row->event->room_id);
	mh_strbuf_addlit(out, ",\"unsigned\":{\"age\":");
	mh_strbuf_addint(out, age);
	if (recent->extra.len) {
		mh_strbuf_addch(out, ',');
		mh_strbuf_addstr(out, recent->extra);
	}
	if (add_membership(viewer, row, out, err) < 0 ||
	    add_transaction(viewer, row, out, err) < 0)
		return -1;
	mh_strbuf_addlit(out, "}}");
	return 0;
}
