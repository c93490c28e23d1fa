/* SPDX-License-Identifier: Apache-2.0 */
#include "service/push_rules.h"

#include "service/account_data.h"

int mh_push_rules_load(struct mh_db *db, const struct mh_requester *who,
		       json_t **ret, struct mh_error *err)
{
	MH_STRBUF(stored);
	int rc = mh_account_data_get(db, who->user, 0, MH_STR("m.push_rules"),
				     &stored, err);

	if (rc < 0)
		return -1;
	if (rc == 0) {
		*ret = mh_push_rules_default(who->user_id);
		return 0;
	}
	if (mh_json_parse_object(mh_strbuf_str(&stored), ret, err) < 0)
		return -1;
	mh_push_rules_complete(*ret, who->user_id);
	return 0;
}

int mh_push_rules_store(struct mh_server *server, struct mh_tx *tx,
			const struct mh_requester *who, const json_t *rules,
			struct mh_error *err)
{
	MH_STRBUF(text);

	mh_json_add(&text, rules);
	return mh_account_data_put(server, tx, who->user, 0,
				   MH_STR("m.push_rules"),
				   mh_strbuf_str(&text), err);
}
