/* SPDX-License-Identifier: Apache-2.0 */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

static int fail_listen(const char *text, const char *reason,
		       struct mh_error *err)
{
	return mh_fail_internal(err, "cannot listen on '%s': %s", text, reason);
}

/* -1 with errno. */
static int listen_at(const struct sockaddr *address, socklen_t len)
{
	static const int one = 1;
	int fd = socket(address->sa_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* IPv4 has a socket of its own, so that "*" and 0.0.0.0 both work. */
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* What a daemon left behind that was killed stands in the way of the next. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd;

	if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) <
		    0 &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

static int listen_unix(const char *text, const char *path, int *fds,
		       struct mh_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path) + 1);
	remove_stale(&address);
	fds[0] = listen_at((struct sockaddr *)&address, sizeof(address));
	if (fds[0] < 0)
		return fail_listen(text, strerror(errno), err);
	/* The proxy is another user; the folder says who may come here. */
	if (chmod(path, 0666) < 0) {
		close(fds[0]);
		return fail_listen(text, strerror(errno), err);
	}
	return 1;
}

int mh_listen(const char *text, int fds[static MH_LISTEN_MAX],
	      struct mh_error *err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	struct mh_listen_address address;
	struct addrinfo *list = NULL;
	int failed = 0, lacking = 0;
	int n = 0;
	int rc;

	if (!mh_listen_address_parse(mh_str(text), &address))
		return fail_listen(text, "this is no address", err);
	if (*address.path)
		return listen_unix(text, address.path, fds, err);

	rc = getaddrinfo(*address.host ? address.host : NULL, address.port,
			 &hints, &list);
	if (rc != 0)
		return fail_listen(text, gai_strerror(rc), err);
	for (struct addrinfo *at = list; at && n < MH_LISTEN_MAX;
	     at = at->ai_next) {
		fds[n] = listen_at(at->ai_addr, at->ai_addrlen);
		if (fds[n] >= 0)
			n++;
		/* A machine may lack IPv6 whatever its resolver says. */
		else if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)
			lacking = errno;
		else
			failed = errno;
	}
	freeaddrinfo(list);
	if (n > 0 && !failed)
		return n;
	if (!failed)
		failed = lacking;
	while (n > 0)
		close(fds[--n]);
	return fail_listen(text, failed ? strerror(failed) : "no such address",
			   err);
}
