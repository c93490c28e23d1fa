/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "service/push_rules.h"

/* --- reading ---------------------------------------------------------------- */

int client_get_push_rules(struct mh_request *req, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rules = NULL;

	if (mh_push_rules_load(mh_request_db(req), &req->who, &rules, err) < 0)
		return -1;
	return mh_reply_json(req, rules);
}

int client_get_push_rules_global(struct mh_request *req, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rules = NULL;

	if (mh_push_rules_load(mh_request_db(req), &req->who, &rules, err) < 0)
		return -1;
	return mh_reply_json(req, json_object_get(rules, "global"));
}

static int find_rule(struct mh_request *req, json_t *rules, json_t **ret,
		     struct mh_error *err)
{
	*ret = mh_push_rules_find(rules, mh_request_param(req, 0),
				  mh_request_param(req, 1));
	if (!*ret)
		return mh_fail(err, MH_M_NOT_FOUND,
			       "the push rule was not found");
	return 0;
}

/* Replies with the rule, or with {name: its member} where a name is given. */
static int reply_rule(struct mh_request *req, const char *name,
		      struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rules = NULL;
	MH_CLEANUP(json_decrefp) json_t *part = json_object();
	json_t *rule;

	if (mh_push_rules_load(mh_request_db(req), &req->who, &rules, err) <
		    0 ||
	    find_rule(req, rules, &rule, err) < 0)
		return -1;
	if (!name)
		return mh_reply_json(req, rule);
	json_object_set(part, name, json_object_get(rule, name));
	return mh_reply_json(req, part);
}

int client_get_push_rule(struct mh_request *req, struct mh_error *err)
{
	return reply_rule(req, NULL, err);
}

int client_is_push_rule_enabled(struct mh_request *req, struct mh_error *err)
{
	return reply_rule(req, "enabled", err);
}

int client_get_push_rule_actions(struct mh_request *req, struct mh_error *err)
{
	return reply_rule(req, "actions", err);
}

/* --- changing --------------------------------------------------------------- */

/* What changes the rules of one person: in a write job, on its JSON. */
struct change {
	int (*apply)(struct mh_request *req, json_t *rules,
		     struct mh_error *err);
};

static int change(struct mh_tx *tx, struct mh_request *req, void *arg,
		  struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rules = NULL;
	const struct change *change = arg;

	if (mh_push_rules_load(mh_tx_db(tx), &req->who, &rules, err) < 0 ||
	    change->apply(req, rules, err) < 0 ||
	    mh_push_rules_store(req->server, tx, &req->who, rules, err) < 0)
		return -1;
	return mh_reply_empty(req);
}

static int change_rules(struct mh_request *req,
			int (*apply)(struct mh_request *req, json_t *rules,
				     struct mh_error *err),
			struct mh_error *err)
{
	struct change *job = MH_ARENA_NEW(&req->arena, struct change);
	json_t *body;

	if (req->method == MH_METHOD_PUT && mh_request_json(req, &body, err) < 0)
		return -1;
	job->apply = apply;
	return mh_request_write(req, change, job);
}

static int put_rule(struct mh_request *req, json_t *rules, struct mh_error *err)
{
	struct mh_str before = MH_STR_NONE, after = MH_STR_NONE;

	mh_request_query(req, "before", &before);
	mh_request_query(req, "after", &after);
	return mh_push_rules_put(rules, mh_request_param(req, 0),
				 mh_request_param(req, 1), req->json, before,
				 after, err);
}

int client_set_push_rule(struct mh_request *req, struct mh_error *err)
{
	return change_rules(req, put_rule, err);
}

static int delete_rule(struct mh_request *req, json_t *rules,
		       struct mh_error *err)
{
	return mh_push_rules_delete(rules, mh_request_param(req, 0),
				    mh_request_param(req, 1), err);
}

int client_delete_push_rule(struct mh_request *req, struct mh_error *err)
{
	return change_rules(req, delete_rule, err);
}

static int enable_rule(struct mh_request *req, json_t *rules,
		       struct mh_error *err)
{
	json_t *rule;
	bool enabled;
	int rc;

	if (find_rule(req, rules, &rule, err) < 0)
		return -1;
	rc = mh_json_get_bool(req->json, "enabled", &enabled, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return mh_fail(err, MH_M_MISSING_PARAM, "'enabled' is missing");
	json_object_set_new(rule, "enabled", json_boolean(enabled));
	return 0;
}

int client_set_push_rule_enabled(struct mh_request *req, struct mh_error *err)
{
	return change_rules(req, enable_rule, err);
}

static int set_actions(struct mh_request *req, json_t *rules,
		       struct mh_error *err)
{
	json_t *rule, *actions;

	if (find_rule(req, rules, &rule, err) < 0)
		return -1;
	if (!json_object_get(req->json, "actions"))
		return mh_fail(err, MH_M_MISSING_PARAM, "'actions' is missing");
	if (mh_push_actions_clean(json_object_get(req->json, "actions"),
				  &actions, err) < 0)
		return -1;
	json_object_set_new(rule, "actions", actions);
	return 0;
}

int client_set_push_rule_actions(struct mh_request *req, struct mh_error *err)
{
	return change_rules(req, set_actions, err);
}
