/* SPDX-License-Identifier: Apache-2.0 */
#include "base/netaddr.h"

#include <arpa/inet.h>

static bool parse_port(struct mh_str text, char *out)
{
	int64_t port;

	if (text.len > 5 || !mh_str_to_int(text, &port) || port < 1 ||
	    port > 65535)
		return false;
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	return true;
}

static bool parse_path(struct mh_str path, struct mh_listen_address *ret)
{
	if (path.len == 0 || path.len >= sizeof(ret->path) ||
	    path.data[0] != '/' || mh_str_find(path, '\0') >= 0)
		return false;
	memcpy(ret->path, path.data, path.len);
	ret->path[path.len] = '\0';
	return true;
}

bool mh_listen_address_parse(struct mh_str text, struct mh_listen_address *ret)
{
	struct mh_str host = text;
	struct mh_ip ip;
	bool bracketed;

	*ret = (struct mh_listen_address){ 0 };
	if (mh_str_starts(text, MH_STR("unix:")))
		return parse_path(mh_str_from(text, 5), ret);
	while (host.len && host.data[host.len - 1] != ':')
		host.len--;
	if (host.len < 2 || !parse_port(mh_str_from(text, host.len), ret->port))
		return false;
	host.len--;
	bracketed = host.data[0] == '[';
	if (bracketed) {
		if (host.len < 3 || host.data[host.len - 1] != ']')
			return false;
		host = mh_str_n(host.data + 1, host.len - 2);
		if (!mh_ip_parse(host, &ip))
			return false;
	}
	if (host.len >= sizeof(ret->host) ||
	    (!bracketed && mh_str_find(host, ':') >= 0))
		return false; /* an IPv6 address needs brackets */
	if (mh_str_is(host, "*"))
		host.len = 0;
	memcpy(ret->host, host.data, host.len);
	ret->host[host.len] = '\0';
	return true;
}

bool mh_ip_parse(struct mh_str text, struct mh_ip *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char copy[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(copy))
		return false;
	if (text.len)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strlen(copy) != text.len)
		return false;
	if (inet_pton(AF_INET6, copy, ret->bytes) == 1)
		return true;
	memcpy(ret->bytes, mapped, sizeof(mapped));
	return inet_pton(AF_INET, copy, ret->bytes + 12) == 1;
}

bool mh_network_parse(struct mh_str text, struct mh_network *ret)
{
	ptrdiff_t slash = mh_str_find(text, '/');
	struct mh_str address = text;
	bool v4 = mh_str_find(text, ':') < 0;
	int64_t bits = v4 ? 32 : 128;

	if (slash >= 0) {
		int64_t most = bits;

		address = mh_str_first(text, (size_t)slash);
		if (!mh_str_to_int(mh_str_from(text, (size_t)slash + 1),
				   &bits) ||
		    bits < 0 || bits > most)
			return false;
	}
	ret->bits = (unsigned)bits + (v4 ? 96 : 0);
	return mh_ip_parse(address, &ret->ip);
}

bool mh_network_contains(const struct mh_network *network,
			 const struct mh_ip *ip)
{
	unsigned whole = network->bits / 8;
	unsigned rest = network->bits % 8;

	if (memcmp(network->ip.bytes, ip->bytes, whole))
		return false;
	return !rest ||
	       !((network->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest));
}
