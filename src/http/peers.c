/* SPDX-License-Identifier: Apache-2.0 */
#include "http/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct mh_peer_entry {
	struct mh_ip ip; /* the key: IPv6 cut to its /64 */
	size_t count;
	UT_hash_handle hh;
};

struct mh_peers {
	pthread_mutex_t lock;
	struct mh_networks trusted;
	struct mh_peer_entry *entries;
	size_t count, max, max_per_address;
};

/* --- networks ----------------------------------------------------------- */

void mh_networks_parse(struct mh_networks *networks,
		       const struct mh_setting_list *list)
{
	networks->count = 0;
	networks->items = mh_alloc_array(list->count + 1,
					 sizeof(*networks->items));
	for (size_t i = 0; i < list->count; i++)
		if (mh_network_parse(mh_str(list->items[i]),
				     &networks->items[networks->count]))
			networks->count++;
}

void mh_networks_release(struct mh_networks *networks)
{
	free(networks->items);
	*networks = (struct mh_networks){ 0 };
}

bool mh_networks_contain(const struct mh_networks *networks,
			 const struct mh_ip *ip)
{
	for (size_t i = 0; i < networks->count; i++)
		if (mh_network_contains(&networks->items[i], ip))
			return true;
	return false;
}

/* --- addresses ---------------------------------------------------------- */

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_v4(const struct mh_ip *ip)
{
	return !memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix));
}

static bool is_loopback(const struct mh_ip *ip)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return is_v4(ip) ? ip->bytes[12] == 127 :
			   !memcmp(ip->bytes, v6, sizeof(v6));
}

static void ip_text(const struct mh_ip *ip, char out[static 64])
{
	const char *text = is_v4(ip) ?
				   inet_ntop(AF_INET, ip->bytes + 12, out, 64) :
				   inet_ntop(AF_INET6, ip->bytes, out, 64);

	MH_ASSERT(text);
}

static bool read_address(const struct sockaddr *address, struct mh_ip *ret)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, address, sizeof(v4));
		memcpy(ret->bytes, v4_prefix, sizeof(v4_prefix));
		memcpy(ret->bytes + 12, &v4.sin_addr, 4);
		return true;
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, address, sizeof(v6));
		memcpy(ret->bytes, &v6.sin6_addr, 16);
		return true;
	}
	return false;
}

/* --- counting ----------------------------------------------------------- */

struct mh_peers *mh_peers_new(const struct mh_settings *settings)
{
	struct mh_peers *peers = MH_NEW(struct mh_peers);

	pthread_mutex_init(&peers->lock, NULL);
	peers->max = (size_t)settings->listen.max_connections;
	peers->max_per_address =
		(size_t)settings->listen.max_connections_per_address;
	mh_networks_parse(&peers->trusted, &settings->listen.trusted_proxies);
	return peers;
}

void mh_peers_free(struct mh_peers *peers)
{
	if (!peers)
		return;
	MH_ASSERT(peers->count == 0 && !peers->entries);
	mh_networks_release(&peers->trusted);
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

void mh_peers_configure(struct mh_peers *peers,
			const struct mh_settings *settings)
{
	struct mh_networks before, after;

	mh_networks_parse(&after, &settings->listen.trusted_proxies);
	pthread_mutex_lock(&peers->lock);
	before = peers->trusted;
	peers->trusted = after;
	pthread_mutex_unlock(&peers->lock);
	mh_networks_release(&before);
}

size_t mh_peers_count(struct mh_peers *peers)
{
	size_t count;

	pthread_mutex_lock(&peers->lock);
	count = peers->count;
	pthread_mutex_unlock(&peers->lock);
	return count;
}

bool mh_peers_full(struct mh_peers *peers)
{
	return mh_peers_count(peers) >= peers->max;
}

/* Counts one more from the address; false when that would be too many. */
static bool count_address(struct mh_peers *peers, struct mh_ticket *ticket)
{
	struct mh_ip key = ticket->ip;
	struct mh_peer_entry *entry;

	if (ticket->local || is_loopback(&ticket->ip) ||
	    mh_networks_contain(&peers->trusted, &ticket->ip))
		return true;
	if (!is_v4(&key))
		memset(key.bytes + 8, 0, 8);

	HASH_FIND(hh, peers->entries, &key, sizeof(key), entry);
	if (!entry) {
		entry = MH_NEW(struct mh_peer_entry);
		entry->ip = key;
		HASH_ADD(hh, peers->entries, ip, sizeof(entry->ip), entry);
	}
	if (entry->count >= peers->max_per_address)
		return false;
	entry->count++;
	ticket->entry = entry;
	return true;
}

struct mh_ticket *mh_peers_enter(struct mh_peers *peers,
				 const struct sockaddr *address)
{
	struct mh_ticket *ticket = MH_NEW(struct mh_ticket);
	bool counted;

	ticket->peers = peers;
	ticket->local = !read_address(address, &ticket->ip);
	if (!ticket->local)
		ip_text(&ticket->ip, ticket->text);

	pthread_mutex_lock(&peers->lock);
	counted = count_address(peers, ticket);
	if (counted)
		peers->count++;
	pthread_mutex_unlock(&peers->lock);
	if (!counted) {
		free(ticket);
		return NULL;
	}
	return ticket;
}

struct mh_ticket *mh_ticket_copy(const struct mh_ticket *ticket)
{
	struct mh_ticket *copy = MH_NEW(struct mh_ticket);

	*copy = *ticket;
	pthread_mutex_lock(&ticket->peers->lock);
	ticket->peers->count++;
	if (copy->entry)
		copy->entry->count++;
	pthread_mutex_unlock(&ticket->peers->lock);
	return copy;
}

void mh_ticket_release(struct mh_ticket *ticket)
{
	struct mh_peers *peers;

	if (!ticket)
		return;
	peers = ticket->peers;
	pthread_mutex_lock(&peers->lock);
	peers->count--;
	if (ticket->entry && --ticket->entry->count == 0) {
		HASH_DEL(peers->entries, ticket->entry);
		free(ticket->entry);
	}
	pthread_mutex_unlock(&peers->lock);
	free(ticket);
}

/* --- proxies ------------------------------------------------------------ */

static struct mh_str trim(struct mh_str s)
{
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = mh_str_n(s.data + 1, s.len - 1);
	while (s.len > 0 &&
	       (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" */
static bool read_forwarded(struct mh_str item, struct mh_ip *ret)
{
	ptrdiff_t end;

	item = trim(item);
	if (mh_str_starts(item, MH_STR("["))) {
		end = mh_str_find(item, ']');
		return end > 0 &&
		       mh_ip_parse(mh_str_n(item.data + 1, (size_t)end - 1),
				   ret);
	}
	end = mh_str_find(item, '.') >= 0 ? mh_str_find(item, ':') : -1;
	return mh_ip_parse(item, ret) ||
	       (end > 0 && mh_ip_parse(mh_str_first(item, (size_t)end), ret));
}

/* Takes the last item off a list that is separated by commas. */
static struct mh_str take_last(struct mh_str *list)
{
	size_t at = list->len;
	struct mh_str item;

	while (at > 0 && list->data[at - 1] != ',')
		at--;
	item = mh_str_from(*list, at);
	*list = mh_str_first(*list, at > 0 ? at - 1 : 0);
	return item;
}

void mh_peers_client(struct mh_peers *peers, const struct mh_ticket *ticket,
		     struct mh_str forwarded, char out[static 64])
{
	struct mh_ip client = ticket->ip;
	bool known = !ticket->local;

	pthread_mutex_lock(&peers->lock);
	while (forwarded.len > 0 &&
	       (!known || mh_networks_contain(&peers->trusted, &client))) {
		struct mh_ip next;

		if (!read_forwarded(take_last(&forwarded), &next))
			break;
		client = next;
		known = true;
	}
	pthread_mutex_unlock(&peers->lock);

	out[0] = '\0';
	if (known)
		ip_text(&client, out);
}
