/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side key backups (client-server API, "Server-side key backups"). The
 * node keeps what it cannot read; it sees to versions, and that a better key is
 * not replaced by a worse one.
 */
#pragma once

#include "http/request.h"
#include "service/server.h"
#include "store/key_backup.h"

#define MH_BACKUP_SESSION_SIZE 65536 /* bytes of one session_data */

/* "12" to 12; 0 for anything that is no version. */
int64_t mh_backup_version_parse(struct mh_str text);

/* Appends the backup's object; version 0: the latest. M_NOT_FOUND. */
int mh_backup_describe(struct mh_db *db, mh_nid user, int64_t version,
		       struct mh_strbuf *reply, struct mh_error *err);

/* Which keys of a backup: all, one room's, or one session's. */
struct mh_backup_selection {
	int64_t version;
	struct mh_str room_id; /* empty: all */
	struct mh_str session; /* empty: all of the room */
};

/*
 * Appends the selected keys in the shape that the selection asks for: a
 * session's object, {"sessions":{..}}, or {"rooms":{..}}. M_NOT_FOUND for an
 * unknown backup or session.
 */
int mh_backup_read(struct mh_db *db, mh_nid user,
		   const struct mh_backup_selection *selection,
		   struct mh_strbuf *reply, struct mh_error *err);
/*
 * In a write job: stores keys in that same shape. M_WRONG_ROOM_KEYS_VERSION
 * with current_version unless the version is the latest. Appends etag and count.
 */
int mh_backup_write(struct mh_tx *tx, mh_nid user,
		    const struct mh_backup_selection *selection,
		    const json_t *body, struct mh_strbuf *reply,
		    struct mh_error *err);
/* In a write job: deletes them. M_NOT_FOUND. Appends etag and count. */
int mh_backup_erase(struct mh_tx *tx, mh_nid user,
		    const struct mh_backup_selection *selection,
		    struct mh_strbuf *reply, struct mh_error *err);

/* In a write job: a new version, appended to the reply. */
int mh_backup_start(struct mh_tx *tx, mh_nid user, const json_t *body,
		    struct mh_strbuf *reply, struct mh_error *err);
/* In a write job: changes auth_data. M_NOT_FOUND, M_INVALID_PARAM. */
int mh_backup_update(struct mh_tx *tx, mh_nid user, int64_t version,
		     const json_t *body, struct mh_error *err);
/* In a write job: deletes a version; once more does nothing. M_NOT_FOUND. */
int mh_backup_end(struct mh_tx *tx, mh_nid user, int64_t version,
		  struct mh_error *err);
