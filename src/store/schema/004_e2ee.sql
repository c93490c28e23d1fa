-- End-to-end encryption: the server's side. Users and device IDs are nids.

CREATE TABLE device_keys (
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	json TEXT NOT NULL,		-- as uploaded, signatures of others apart
	PRIMARY KEY (user, device)
) WITHOUT ROWID;

-- seq is the order of upload: the oldest key is given out first.
CREATE TABLE one_time_keys (
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	algorithm TEXT NOT NULL,
	seq INTEGER NOT NULL,
	key_id TEXT NOT NULL,		-- without the algorithm
	json TEXT NOT NULL,		-- a string or an object
	PRIMARY KEY (user, device, algorithm, seq),
	UNIQUE (user, device, algorithm, key_id)
) WITHOUT ROWID;

CREATE TABLE fallback_keys (
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	algorithm TEXT NOT NULL,
	key_id TEXT NOT NULL,
	json TEXT NOT NULL,
	used INTEGER NOT NULL,
	PRIMARY KEY (user, device, algorithm)
) WITHOUT ROWID;

-- usage: master, self_signing, user_signing
CREATE TABLE cross_signing_keys (
	user INTEGER NOT NULL,
	usage TEXT NOT NULL,
	public_key TEXT NOT NULL,	-- unpadded base64
	json TEXT NOT NULL,
	PRIMARY KEY (user, usage)
) WITHOUT ROWID;

-- Signatures that /keys/signatures/upload added to a device or master key:
-- target is the device ID or the public key.
CREATE TABLE key_signatures (
	target_user INTEGER NOT NULL,
	target TEXT NOT NULL,
	signer INTEGER NOT NULL,
	key_id TEXT NOT NULL,		-- "ed25519:..."
	signature TEXT NOT NULL,
	PRIMARY KEY (target_user, target, signer, key_id)
) WITHOUT ROWID;

-- When the devices or identity keys of a user changed last.
CREATE TABLE device_list_changes (
	user INTEGER PRIMARY KEY,
	pos INTEGER NOT NULL UNIQUE
);

-- Messages to devices, until the device has acknowledged them.
CREATE TABLE to_device (
	pos INTEGER PRIMARY KEY,
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,
	sender INTEGER NOT NULL,
	type TEXT NOT NULL,
	content TEXT NOT NULL
);
CREATE INDEX to_device_inbox ON to_device (user, device, pos);

CREATE TABLE key_backups (
	user INTEGER NOT NULL,
	version INTEGER NOT NULL,
	algorithm TEXT NOT NULL,
	auth_data TEXT NOT NULL,
	etag INTEGER NOT NULL,		-- grows with every change of the keys
	deleted INTEGER NOT NULL,
	PRIMARY KEY (user, version)
) WITHOUT ROWID;

CREATE TABLE key_backup_sessions (
	user INTEGER NOT NULL,
	version INTEGER NOT NULL,
	room INTEGER NOT NULL,
	session TEXT NOT NULL,
	first_message_index INTEGER NOT NULL,
	forwarded_count INTEGER NOT NULL,
	is_verified INTEGER NOT NULL,
	session_data TEXT NOT NULL,
	PRIMARY KEY (user, version, room, session)
) WITHOUT ROWID;

-- Requests to send messages that were carried out: a repeated one does nothing.
CREATE TABLE to_device_requests (
	user INTEGER NOT NULL,
	device INTEGER NOT NULL,	-- the sender's
	request TEXT NOT NULL,		-- event type, newline, transaction ID
	pos INTEGER NOT NULL,
	PRIMARY KEY (user, device, request)
) WITHOUT ROWID;
