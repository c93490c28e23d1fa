/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ids.h"

#include <arpa/inet.h>

/* A hash of 32 bytes in unpadded base64: event IDs of version 3 and later. */
#define HASH_DIGITS 43

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
	return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Every byte is alphanumeric or one of `others`. */
static bool only_alnum_and(struct mh_str s, const char *others)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!is_alnum(c) && (c == '\0' || !strchr(others, c)))
			return false;
	}
	return true;
}

/* Code points of any kind but NUL. */
static bool is_text_without_nul(struct mh_str s)
{
	return mh_str_find(s, '\0') < 0 && mh_str_is_utf8(s);
}

static bool has_sigil(struct mh_str id, char sigil)
{
	return id.len > 1 && id.len <= MH_ID_MAX && id.data[0] == sigil;
}

struct mh_str mh_id_domain(struct mh_str id)
{
	ptrdiff_t colon = mh_str_find(id, ':');

	return colon < 0 ? MH_STR_NONE : mh_str_from(id, (size_t)colon + 1);
}

struct mh_str mh_id_localpart(struct mh_str id)
{
	ptrdiff_t colon = mh_str_find(id, ':');
	size_t end = colon < 0 ? id.len : (size_t)colon;

	return end == 0 ? MH_STR_NONE : mh_str_n(id.data + 1, end - 1);
}

/* sigil, localpart of any text without ':' and NUL, ':', server name */
static bool is_local_and_domain(struct mh_str id, char sigil)
{
	return has_sigil(id, sigil) && mh_server_name_valid(mh_id_domain(id)) &&
	       is_text_without_nul(mh_id_localpart(id));
}

static bool is_hash(struct mh_str s)
{
	return s.len == HASH_DIGITS && only_alnum_and(s, "-_");
}

bool mh_user_id_valid(struct mh_str id)
{
	return is_local_and_domain(id, '@');
}

bool mh_user_id_registrable(struct mh_str id)
{
	struct mh_str local = mh_id_localpart(id);

	if (!mh_user_id_valid(id) || local.len == 0)
		return false;
	for (size_t i = 0; i < local.len; i++) {
		char c = local.data[i];

		if (!is_lower(c) && !is_digit(c) &&
		    (c == '\0' || !strchr("._=/+-", c)))
			return false;
	}
	return true;
}

bool mh_room_id_valid(struct mh_str id)
{
	if (mh_str_find(id, ':') < 0)
		return has_sigil(id, '!') && is_hash(mh_str_from(id, 1));
	return is_local_and_domain(id, '!');
}

bool mh_room_alias_valid(struct mh_str id)
{
	return is_local_and_domain(id, '#') && mh_id_localpart(id).len > 0;
}

/*
 * Event IDs are opaque to whoever does not know the room version, and old
 * ones follow no grammar; what this refuses could not be anyone's event ID.
 */
bool mh_event_id_valid(struct mh_str id)
{
	return has_sigil(id, '$') && is_text_without_nul(id);
}

static bool port_valid(struct mh_str port)
{
	if (port.len < 1 || port.len > 5)
		return false;
	for (size_t i = 0; i < port.len; i++)
		if (!is_digit(port.data[i]))
			return false;
	return true;
}

static bool ipv6_valid(struct mh_str address)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (address.len < 2 || address.len >= sizeof(text) ||
	    mh_str_find(address, '\0') >= 0)
		return false;
	memcpy(text, address.data, address.len);
	text[address.len] = '\0';
	return inet_pton(AF_INET6, text, &parsed) == 1;
}

bool mh_server_name_valid(struct mh_str name)
{
	struct mh_str host, rest;
	ptrdiff_t end;

	if (name.len && name.data[0] == '[') {
		end = mh_str_find(name, ']');
		if (end < 0 ||
		    !ipv6_valid(mh_str_n(name.data + 1, (size_t)end - 1)))
			return false;
		rest = mh_str_from(name, (size_t)end + 1);
	} else {
		end = mh_str_find(name, ':');
		host = end < 0 ? name : mh_str_first(name, (size_t)end);
		/* IPv4 literals are of this form too. */
		if (host.len < 1 || host.len > 255 ||
		    !only_alnum_and(host, "-."))
			return false;
		rest = mh_str_from(name, host.len);
	}
	return rest.len == 0 ||
	       (rest.data[0] == ':' && port_valid(mh_str_from(rest, 1)));
}

/* Clients may choose any; this keeps them printable in logs and in URLs. */
bool mh_device_id_valid(struct mh_str id)
{
	if (id.len < 1 || id.len > MH_ID_MAX || !mh_str_is_utf8(id))
		return false;
	for (size_t i = 0; i < id.len; i++)
		if ((unsigned char)id.data[i] < 0x20 || id.data[i] == 0x7f)
			return false;
	return true;
}

bool mh_opaque_id_valid(struct mh_str id)
{
	return id.len >= 1 && id.len <= MH_ID_MAX && only_alnum_and(id, "._~-");
}

/*
 * Algorithm, ':', and the key's own name: a version word for servers, a device
 * ID or a public key in base64 for devices and cross-signing.
 */
bool mh_key_id_valid(struct mh_str id)
{
	ptrdiff_t colon = mh_str_find(id, ':');

	if (colon < 1 || id.len > MH_ID_MAX)
		return false;
	for (ptrdiff_t i = 0; i < colon; i++)
		if (!is_lower(id.data[i]) && !is_digit(id.data[i]) &&
		    id.data[i] != '_' && id.data[i] != '.' && id.data[i] != '-')
			return false;
	return mh_device_id_valid(mh_str_from(id, (size_t)colon + 1));
}

bool mh_mxc_uri_valid(struct mh_str uri)
{
	struct mh_str rest, media;
	ptrdiff_t slash;

	if (!mh_str_starts(uri, MH_STR("mxc://")))
		return false;
	rest = mh_str_from(uri, strlen("mxc://"));
	slash = mh_str_find(rest, '/');
	if (slash < 1)
		return false;
	media = mh_str_from(rest, (size_t)slash + 1);
	return mh_server_name_valid(mh_str_first(rest, (size_t)slash)) &&
	       media.len >= 1 && media.len <= MH_ID_MAX &&
	       only_alnum_and(media, "_-");
}
