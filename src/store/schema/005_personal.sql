-- What people keep on the node: account data, profiles, filters; and the
-- short-lived tokens they were given, of which only the hash is kept.

-- room 0: global. Of the newest content alone; pos says when it changed.
CREATE TABLE account_data (
	user INTEGER NOT NULL,
	room INTEGER NOT NULL,
	type TEXT NOT NULL,
	pos INTEGER NOT NULL,
	content TEXT NOT NULL,
	PRIMARY KEY (user, room, type)
) WITHOUT ROWID;
CREATE INDEX account_data_by_pos ON account_data (user, pos);

-- A field of a profile and its JSON value.
CREATE TABLE profiles (
	user INTEGER NOT NULL,
	field TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (user, field)
) WITHOUT ROWID;

CREATE TABLE filters (
	user INTEGER NOT NULL,
	filter INTEGER NOT NULL,
	json TEXT NOT NULL,
	PRIMARY KEY (user, filter)
) WITHOUT ROWID;

CREATE TABLE short_tokens (
	hash BLOB PRIMARY KEY,		-- SHA-256
	use TEXT NOT NULL,		-- login, openid
	user INTEGER NOT NULL,
	expires_ts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX short_tokens_by_expiry ON short_tokens (expires_ts);
