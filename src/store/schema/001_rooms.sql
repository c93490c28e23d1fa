-- SPDX-License-Identifier: Apache-2.0
-- Names, rooms, events and state. Integers called room, user, type, state_key,
-- sender and device are names.nid; integers called event are events.nid.

CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value
) WITHOUT ROWID;

-- The last position drawn from the global sequence, and on its negative side.
-- A row of its own, so that positions are not reused when rows are deleted.
CREATE TABLE sequence (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	last INTEGER NOT NULL,
	backfill INTEGER NOT NULL
);
INSERT INTO sequence VALUES (1, 0, 0);

-- Rows are never deleted, so nids are never reused.
CREATE TABLE names (
	nid INTEGER PRIMARY KEY,
	text TEXT NOT NULL UNIQUE
);

-- state_group: the current state. The counts are of members.
CREATE TABLE rooms (
	nid INTEGER PRIMARY KEY,
	version TEXT NOT NULL,
	create_event INTEGER NOT NULL DEFAULT 0,
	is_public INTEGER NOT NULL DEFAULT 0,
	state_group INTEGER NOT NULL DEFAULT 0,
	joined INTEGER NOT NULL DEFAULT 0,
	invited INTEGER NOT NULL DEFAULT 0,
	joined_local INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rooms_public ON rooms (joined) WHERE is_public;

CREATE TABLE aliases (
	alias TEXT PRIMARY KEY,
	room INTEGER NOT NULL,
	creator INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_by_room ON aliases (room);

-- state_key is NULL unless it is a state event; pos is NULL for outliers. Bits
-- of flags: enum mh_event_flags. The bytes are last, so that the other columns
-- are read without them.
CREATE TABLE events (
	nid INTEGER PRIMARY KEY,
	event_id TEXT NOT NULL UNIQUE,
	room INTEGER NOT NULL,
	type INTEGER NOT NULL,
	state_key INTEGER,
	sender INTEGER NOT NULL,
	pos INTEGER,
	depth INTEGER NOT NULL,
	ts INTEGER NOT NULL,
	state_before INTEGER NOT NULL,
	state_after INTEGER NOT NULL,
	flags INTEGER NOT NULL,
	redacted_by INTEGER NOT NULL DEFAULT 0,
	json TEXT NOT NULL
);
-- The timeline: 23 is outlier, rejected, soft-failed and hidden. ts makes the search for
-- the event nearest to a time a matter of the index alone.
CREATE INDEX events_by_pos ON events (room, pos)
	WHERE pos IS NOT NULL AND flags & 23 = 0;
CREATE INDEX events_by_depth ON events (room, depth, pos, ts)
	WHERE pos IS NOT NULL AND flags & 23 = 0;

-- The auth events of state events, as the event lists them. (In room version
-- 12 that leaves out the create event: rooms.create_event has it.)
CREATE TABLE event_auth (
	event INTEGER NOT NULL,
	auth INTEGER NOT NULL,
	PRIMARY KEY (event, auth)
) WITHOUT ROWID;

-- The leaves of each room's DAG.
CREATE TABLE extremities (
	room INTEGER NOT NULL,
	event INTEGER NOT NULL,
	PRIMARY KEY (room, event)
) WITHOUT ROWID;

-- What waits for an event that is not here: enum mh_missing_kind. Kind 1 are
-- the backward extremities: `event` names the missing one among its prev_events.
CREATE TABLE missing (
	event_id TEXT NOT NULL,
	kind INTEGER NOT NULL,
	event INTEGER NOT NULL,
	room INTEGER NOT NULL,
	PRIMARY KEY (event_id, kind, event)
) WITHOUT ROWID;
CREATE INDEX missing_by_room ON missing (room, kind);

-- A group is its items over those of `base`; 0: it is whole. `depth` counts the
-- groups since the last whole one. Numbers are not reused: see sweep.c.
CREATE TABLE state_groups (
	id INTEGER PRIMARY KEY,
	room INTEGER NOT NULL,
	base INTEGER NOT NULL,
	depth INTEGER NOT NULL
);
-- event 0: the key is removed.
CREATE TABLE state_items (
	state_group INTEGER NOT NULL,
	type INTEGER NOT NULL,
	state_key INTEGER NOT NULL,
	event INTEGER NOT NULL,
	PRIMARY KEY (state_group, type, state_key)
) WITHOUT ROWID;

CREATE TABLE current_state (
	room INTEGER NOT NULL,
	type INTEGER NOT NULL,
	state_key INTEGER NOT NULL,
	event INTEGER NOT NULL,
	PRIMARY KEY (room, type, state_key)
) WITHOUT ROWID;

-- Everybody who ever had a membership. `stripped` is the invite's or knock's
-- state of a room this server is not in.
CREATE TABLE members (
	user INTEGER NOT NULL,
	room INTEGER NOT NULL,
	membership INTEGER NOT NULL,
	event INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	local INTEGER NOT NULL,
	forgotten INTEGER NOT NULL DEFAULT 0,
	stripped TEXT,
	PRIMARY KEY (user, room)
) WITHOUT ROWID;
CREATE INDEX members_by_room ON members (room, membership, pos);
CREATE INDEX members_by_pos ON members (pos);

-- rel_type and type are names; key is the annotation's.
CREATE TABLE relations (
	child INTEGER PRIMARY KEY,
	parent INTEGER NOT NULL,
	rel_type INTEGER NOT NULL,
	type INTEGER NOT NULL,
	sender INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	key TEXT
);
CREATE INDEX relations_by_parent
	ON relations (parent, rel_type, type, sender);
CREATE INDEX relations_by_pos ON relations (parent, pos);
-- One row a thread; counts and latest follow relations.
CREATE TABLE threads (
	root INTEGER PRIMARY KEY,
	room INTEGER NOT NULL,
	latest INTEGER NOT NULL,
	latest_pos INTEGER NOT NULL,
	replies INTEGER NOT NULL
);
CREATE INDEX threads_by_room ON threads (room, latest_pos);

-- Transaction IDs that made an event, in the order of events; and those that
-- did something else, with the reply that was given. scope is a hash of the
-- endpoint.
CREATE TABLE event_transactions (
	event INTEGER PRIMARY KEY,
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	scope INTEGER NOT NULL,
	txn_id TEXT NOT NULL,
	UNIQUE (user, device, txn_id, scope)
);
CREATE TABLE reply_transactions (
	id INTEGER PRIMARY KEY,
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	txn_id TEXT NOT NULL,
	scope INTEGER NOT NULL,
	ts INTEGER NOT NULL,
	reply TEXT NOT NULL,
	UNIQUE (user, device, txn_id, scope)
);
