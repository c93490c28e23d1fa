/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "unit/node.h"

#include "client/client.h"
#include "http/router.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void set(struct node *node, const char *section, const char *name,
		const char *value)
{
	MH_ERROR(err);

	if (mh_settings_set(&node->settings, section, name, value, &err) < 0)
		fail_msg("%s", err.message);
}

static void open_server(struct node *node)
{
	struct mh_server_options options = {
		.settings = &node->settings,
		.executor = node->executor,
		.random = node->random,
		.workers = 1,
	};
	MH_ERROR(err);

	if (mh_server_new(&options, &node->server, &err) < 0)
		fail_msg("%s", err.message);
	node->router = mh_client_router_new(node->server);
	node->server->router = node->router;
}

void node_start(struct node *node)
{
	*node = (struct node){ .folder = "/tmp/mh-node-XXXXXX" };
	assert_non_null(mkdtemp(node->folder));
	mh_settings_init(&node->settings);
	set(node, "server", "name", "a.example");
	set(node, "server", "data_dir", node->folder);
	set(node, "registration", "mode", "open");
	set(node, "auth", "password_cost", "minimal");
	set(node, "limits", "rate_limits", "off");
	node->executor = mh_executor_sim_new(1, 1700000000000);
	node->random = mh_random_seeded_new(1);
	open_server(node);
}

static void close_server(struct node *node)
{
	mh_server_stop(node->server);
	mh_router_free(node->router);
	mh_server_free(node->server);
}

void node_restart(struct node *node)
{
	int64_t now = mh_clock_wall(mh_executor_clock(node->executor));

	close_server(node);
	mh_executor_free(node->executor);
	node->executor = mh_executor_sim_new(2, now);
	open_server(node);
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void node_stop(struct node *node)
{
	close_server(node);
	mh_executor_free(node->executor);
	mh_random_seeded_free(node->random);
	mh_settings_release(&node->settings);
	nftw(node->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- requests -------------------------------------------------------------- */

struct carried {
	struct mh_request req;
	struct reply *reply;
	char *authorization, *target, *body;
};

static const char *header(struct mh_request *req, const char *name)
{
	struct carried *carried = MH_CONTAINER_OF(req, struct carried, req);

	return strcasecmp(name, "Authorization") ? NULL :
						   carried->authorization;
}

static void respond(struct mh_request *req, struct mh_response *response)
{
	struct carried *carried = MH_CONTAINER_OF(req, struct carried, req);
	struct reply *reply = carried->reply;
	const char *errcode;

	assert_int_equal(reply->status, 0);
	reply->status = response->status;
	reply->text = mh_memdup(response->body, response->body_len);
	reply->text_len = response->body_len;
	reply->json = json_loadb(reply->text, reply->text_len,
				 JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	errcode = json_string_value(json_object_get(reply->json, "errcode"));
	if (errcode)
		snprintf(reply->errcode, sizeof(reply->errcode), "%s", errcode);
	free(response->body);
	response->body = NULL;
	mh_request_release(req);
	free(carried->authorization);
	free(carried->target);
	free(carried->body);
	free(carried);
}

void node_send(struct node *node, const char *method, const char *target,
	       const char *token, const char *body, struct reply *reply)
{
	struct carried *carried = MH_NEW(struct carried);
	MH_STRBUF(authorization);

	*reply = (struct reply){ 0 };
	mh_request_init(&carried->req, node->server);
	carried->reply = reply;
	carried->target = mh_strdup(target);
	carried->body = mh_strdup(body ? body : "");
	if (token) {
		mh_strbuf_addf(&authorization, "Bearer %s", token);
		carried->authorization = mh_strbuf_detach(&authorization, NULL);
	}
	carried->req.method = mh_method_parse(mh_str(method));
	carried->req.target = mh_str(carried->target);
	carried->req.body = mh_str(carried->body);
	carried->req.header = header;
	carried->req.remote_address = MH_STR("127.0.0.1");
	carried->req.respond = respond;
	mh_router_handle(node->router, &carried->req);
	mh_executor_run_until_idle(node->executor);
}

struct reply node_request(struct node *node, const char *method,
			  const char *target, const char *token,
			  const char *body)
{
	struct reply reply;

	node_send(node, method, target, token, body, &reply);
	if (!reply.status)
		fail_msg("%s %s was not answered", method, target);
	return reply;
}

void reply_release(struct reply *reply)
{
	json_decref(reply->json);
	free(reply->text);
	*reply = (struct reply){ 0 };
}

const char *reply_str(const struct reply *reply, const char *key)
{
	const char *s = json_string_value(json_object_get(reply->json, key));

	return s ? s : "";
}

/* --- people ---------------------------------------------------------------- */

struct person node_register(struct node *node, const char *name)
{
	struct person person;
	struct reply r;
	MH_STRBUF(body);

	mh_strbuf_addf(&body,
		       "{\"username\":\"%s\",\"password\":\"%s %s %s\","
		       "\"auth\":{\"type\":\"m.login.dummy\"}}",
		       name, name, name, name);
	r = node_request(node, "POST", "/_matrix/client/v3/register", NULL,
			 body.data);
	if (r.status != 200)
		fail_msg("register %s: %d %s", name, r.status, r.text);
	person.user_id = mh_strdup(reply_str(&r, "user_id"));
	person.token = mh_strdup(reply_str(&r, "access_token"));
	person.device_id = mh_strdup(reply_str(&r, "device_id"));
	reply_release(&r);
	return person;
}

void person_release(struct person *person)
{
	free(person->user_id);
	free(person->token);
	free(person->device_id);
}
