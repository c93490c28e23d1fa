/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole node in the test's process, on a simulated executor and virtual time,
 * without transports: requests go straight to the router.
 *
 *	struct node node;
 *	node_start(&node);
 *	struct reply r = node_request(&node, "GET", "/_matrix/client/versions",
 *				      NULL, NULL);
 *	assert_int_equal(r.status, 200);
 *	reply_release(&r);
 *	node_stop(&node);
 *
 * Include it after cmocka.h.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"

struct node {
	char folder[32];
	struct mh_settings settings;
	struct mh_executor *executor;
	struct mh_random *random;
	struct mh_server *server;
	struct mh_router *router;
};

/* Registration is open, passwords are cheap, rate limits are off. */
void node_start(struct node *node);
/* Closes and opens it again on the same data; time goes on. */
void node_restart(struct node *node);
void node_stop(struct node *node);

struct reply {
	int status; /* 0: not replied to yet */
	char *text; /* the body, NUL-terminated */
	size_t text_len;
	json_t *json; /* NULL when the body is no JSON */
	char errcode[64]; /* "" without one */
};
void reply_release(struct reply *reply);
/* The string at a top-level member, or "" (borrowed). */
const char *reply_str(const struct reply *reply, const char *key);

/* `token` and `body` may be NULL. Runs the node until it is idle. */
struct reply node_request(struct node *node, const char *method,
			  const char *target, const char *token,
			  const char *body);

/* A request that may wait (long poll): `reply` must live until it is answered. */
void node_send(struct node *node, const char *method, const char *target,
	       const char *token, const char *body, struct reply *reply);

struct person {
	char *user_id, *token, *device_id;
};
/* Registers @name:a.example with the password "<name> <name> <name>". */
struct person node_register(struct node *node, const char *name);
void person_release(struct person *person);
