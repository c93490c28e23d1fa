/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side key backups: versions, and the encrypted session keys in them
 * (schema/004_e2ee.sql). A deleted version is remembered, so that its number is
 * never given out again and deleting it twice succeeds.
 */
#pragma once

#include "store/names.h"

struct mh_backup {
	int64_t version;
	struct mh_str algorithm, auth_data; /* of the arena; auth_data is JSON */
	int64_t etag, count;
	bool deleted;
};

struct mh_backup_session {
	mh_nid room;
	struct mh_str session; /* session ID */
	int64_t first_message_index, forwarded_count;
	bool is_verified;
	struct mh_str session_data; /* JSON object */
};

/* Makes the next version of the user; returns its number, or -1. */
int64_t mh_backup_create(struct mh_tx *tx, mh_nid user, struct mh_str algorithm,
			 struct mh_str auth_data, struct mh_error *err);
/* Version 0 means the latest that is not deleted. 1, 0, -1. */
struct mh_arena;
int mh_backup_get(struct mh_db *db, mh_nid user, int64_t version,
		  struct mh_arena *arena, struct mh_backup *ret,
		  struct mh_error *err);
int mh_backup_set_auth_data(struct mh_tx *tx, mh_nid user, int64_t version,
			    struct mh_str auth_data, struct mh_error *err);
/* Marks it deleted and deletes its keys. */
int mh_backup_delete(struct mh_tx *tx, mh_nid user, int64_t version,
		     struct mh_error *err);

/*
 * Stores one session's key unless the one there is better: verified beats
 * unverified, then the lower first_message_index, then the lower
 * forwarded_count. 1 stored, 0 the old one stays, -1.
 */
int mh_backup_session_put(struct mh_tx *tx, mh_nid user, int64_t version,
			  const struct mh_backup_session *session,
			  struct mh_error *err);
/*
 * Sessions of a version in order of their rooms; room 0: of all rooms; session
 * data NULL: all of the room.
 */
int mh_backup_session_each(struct mh_db *db, mh_nid user, int64_t version,
			   mh_nid room, struct mh_str session,
			   int (*each)(void *context,
				       const struct mh_backup_session *session,
				       struct mh_error *err),
			   void *context, struct mh_error *err);
/* Deletes the same selection; returns how many, or -1. */
int64_t mh_backup_session_delete(struct mh_tx *tx, mh_nid user, int64_t version,
				 mh_nid room, struct mh_str session,
				 struct mh_error *err);
/* The keys changed: the etag grows. */
int mh_backup_touch(struct mh_tx *tx, mh_nid user, int64_t version,
		    struct mh_error *err);
