/* SPDX-License-Identifier: Apache-2.0 */
#include "service/member_content.h"

#include "service/profiles.h"
#include "store/account_data.h"

/* Sets or removes `field` of the content as the profile has it. */
static int add_field(struct mh_db *db, mh_nid user, const char *field,
		     json_t *content, struct mh_error *err)
{
	json_t *value = NULL;
	MH_STRBUF(text);
	int rc = user ? mh_profile_get(db, user, mh_str(field), &text, err) : 0;

	if (rc < 0)
		return -1;
	if (rc == 0) {
		json_object_del(content, field);
		return 0;
	}
	if (mh_json_parse(mh_strbuf_str(&text), &value, err) < 0)
		return -1;
	json_object_set_new(content, field, value);
	return 0;
}

int mh_member_add_profile(struct mh_server *server, struct mh_db *db,
			  struct mh_str user_id, json_t *content,
			  struct mh_error *err)
{
	mh_nid user;

	if (!mh_server_owns(server, user_id))
		return 0;
	user = mh_name_find(db, user_id, err);
	if (user < 0 || add_field(db, user, "displayname", content, err) < 0)
		return -1;
	return add_field(db, user, "avatar_url", content, err);
}

int mh_invite_allowed(struct mh_server *server, struct mh_db *db,
		      struct mh_str sender MH_UNUSED, struct mh_str target,
		      struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *config = NULL;
	MH_STRBUF(text);
	mh_nid user;
	int rc;

	/* An invite needs the signature of the invitee's server. */
	if (!mh_server_owns(server, target))
		return mh_fail_status(err, 502, MH_M_CONNECTION_FAILED,
				      "'%.*s' cannot be invited from here",
				      MH_STR_ARG(target));
	user = mh_name_find(db, target, err);
	if (user <= 0)
		return user < 0 ? -1 : 0;
	rc = mh_account_data_get(db, user, 0,
				 MH_STR("m.invite_permission_config"), &text,
				 err);
	if (rc <= 0)
		return rc;
	if (mh_json_parse_object(mh_strbuf_str(&text), &config, err) < 0)
		return -1;
	if (mh_str_is(mh_json_str(json_object_get(config, "default_action")),
		      "block"))
		return mh_fail(err, MH_M_INVITE_BLOCKED,
			       "this person takes no invites");
	return 0;
}
