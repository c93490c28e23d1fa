/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

/* A contact is a Matrix ID ("@admin:example.org") or a mail address. */
static void add_contacts(struct mh_strbuf *body,
			 const struct mh_setting_list *list, const char *role)
{
	for (size_t i = 0; i < list->count; i++) {
		struct mh_str contact = mh_str(list->items[i]);
		bool is_user = mh_str_starts(contact, MH_STR("@"));

		mh_json_add_comma(body);
		mh_strbuf_addch(body, '{');
		mh_json_add_key(body, is_user ? MH_STR("matrix_id")
					      : MH_STR("email_address"));
		mh_json_add_str(body, contact);
		mh_json_add_key(body, MH_STR("role"));
		mh_json_add_str(body, mh_str(role));
		mh_strbuf_addch(body, '}');
	}
}

int client_get_wellknown_support(struct mh_request *req, struct mh_error *err)
{
	const struct mh_settings *settings = req->server->settings;
	struct mh_str page = mh_str(settings->server.support_page);
	MH_STRBUF(body);

	if (settings->server.admin_contact.count == 0 &&
	    settings->server.security_contact.count == 0 && page.len == 0)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "this node publishes no support information");

	mh_strbuf_addch(&body, '{');
	if (settings->server.admin_contact.count > 0 ||
	    settings->server.security_contact.count > 0) {
		mh_strbuf_addlit(&body, "\"contacts\":[");
		add_contacts(&body, &settings->server.admin_contact,
			     "m.role.admin");
		add_contacts(&body, &settings->server.security_contact,
			     "m.role.security");
		mh_strbuf_addch(&body, ']');
	}
	if (page.len > 0) {
		mh_json_add_key(&body, MH_STR("support_page"));
		mh_json_add_str(&body, page);
	}
	mh_strbuf_addch(&body, '}');
	return mh_reply_buf(req, &body);
}
