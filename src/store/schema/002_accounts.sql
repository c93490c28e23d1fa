-- Accounts, their devices and sessions, and the node's own keys.

CREATE TABLE accounts (
	user INTEGER PRIMARY KEY,	-- nid
	password_hash TEXT NOT NULL,	-- libsodium's string; '' for none
	created_ts INTEGER NOT NULL,	-- milliseconds
	deactivated INTEGER NOT NULL DEFAULT 0,
	admin INTEGER NOT NULL DEFAULT 0,
	locked INTEGER NOT NULL DEFAULT 0,
	suspended INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE devices (
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,	-- nid of the device ID
	display_name TEXT,
	last_seen_ts INTEGER NOT NULL,
	last_seen_ip TEXT,
	PRIMARY KEY (user, device)
) WITHOUT ROWID;

-- A session is a chain of access tokens of one device. Each has a serial:
-- `current` is the one in use; with `pending`, current + 1 was handed out by a
-- refresh and not used yet.
CREATE TABLE sessions (
	session INTEGER PRIMARY KEY AUTOINCREMENT,
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	current INTEGER NOT NULL,
	pending INTEGER NOT NULL,
	refreshes INTEGER NOT NULL,	-- the client asked for refresh tokens
	created_ts INTEGER NOT NULL
);
CREATE INDEX sessions_device ON sessions (user, device);

-- What access tokens are signed with: the newest signs, the others verify.
CREATE TABLE token_keys (
	kid TEXT PRIMARY KEY,
	secret BLOB NOT NULL,
	created_ts INTEGER NOT NULL
) WITHOUT ROWID;

-- What events are signed with: the newest.
CREATE TABLE signing_keys (
	key_id TEXT PRIMARY KEY,	-- "ed25519:..."
	seed BLOB NOT NULL,
	created_ts INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE registration_tokens (
	token TEXT PRIMARY KEY,
	uses_allowed INTEGER,		-- NULL: any number
	completed INTEGER NOT NULL,
	expiry_ts INTEGER,		-- NULL: never
	created_ts INTEGER NOT NULL
) WITHOUT ROWID;
