-- Receipts. room and user are names.nid; thread is '' (unthreaded), 'main' or
-- the event ID of a thread's root. event is an event ID, for it may not have
-- come yet; event_pos is its position in the timeline then, or 0. pos is the
-- receipt's own position in the global sequence.

CREATE TABLE receipts (
	room INTEGER NOT NULL,
	user INTEGER NOT NULL,
	private INTEGER NOT NULL,
	thread TEXT NOT NULL,
	event TEXT NOT NULL,
	event_pos INTEGER NOT NULL,
	ts INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	PRIMARY KEY (room, user, private, thread)
) WITHOUT ROWID;
CREATE INDEX receipts_by_pos ON receipts (room, pos);
