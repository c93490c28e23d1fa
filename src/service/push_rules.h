/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person's push rules (core/push_rules.h), kept as the global account data
 * m.push_rules; who never changed any has the defaults and no row.
 */
#pragma once

#include "core/push_rules.h"
#include "http/request.h"
#include "service/server.h"

/* A new reference to {"global":{..}}, completed with newer defaults. */
int mh_push_rules_load(struct mh_db *db, const struct mh_requester *who,
		       json_t **ret, struct mh_error *err);
/* In a write job: stores them and wakes the person's clients. */
int mh_push_rules_store(struct mh_server *server, struct mh_tx *tx,
			const struct mh_requester *who, const json_t *rules,
			struct mh_error *err);
