/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "main/control.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_THREADS 2
#define MAX_CONNECTIONS 16
#define MAX_LINE (256 * 1024)
#define IDLE_SECONDS 10 /* between requests: mootctl asks at once */

struct mh_control {
	struct mh_server *server;
	const struct mh_control_command *const *tables;
	struct mh_queue *queue;
	char *path;
	int fd;
	pthread_mutex_t lock;
	struct connection *connections;
	size_t n_connections;
};

struct connection {
	struct mh_task task;
	struct mh_control *control;
	int fd;
	struct connection *prev, *next;
	struct mh_strbuf in;
};

/* --- what commands may wait for ----------------------------------------- */

struct read_wait {
	struct mh_task task;
	struct mh_control_call *call;
	int (*fn)(struct mh_control_call *call, struct mh_db *db,
		  struct mh_error *err);
	struct mh_error *err;
	int rc;
	sem_t done;
};

static void read_run(struct mh_task *task)
{
	struct read_wait *wait = MH_CONTAINER_OF(task, struct read_wait, task);
	MH_SNAPSHOT(db, mh_store_reader(wait->call->server->store));

	wait->rc = wait->fn(wait->call, db, wait->err);
}

/* Separate, for the snapshot must end before the waiter goes on. */
static void read_task(struct mh_task *task)
{
	struct read_wait *wait = MH_CONTAINER_OF(task, struct read_wait, task);

	read_run(task);
	sem_post(&wait->done);
}

/* sem_wait() that no signal ends. */
static void wait_for(sem_t *done)
{
	while (sem_wait(done) < 0)
		MH_ASSERT(errno == EINTR);
}

int mh_control_read(struct mh_control_call *call,
		    int (*fn)(struct mh_control_call *call, struct mh_db *db,
			      struct mh_error *err),
		    struct mh_error *err)
{
	struct read_wait wait = {
		.task.run = read_task,
		.call = call,
		.fn = fn,
		.err = err,
	};

	sem_init(&wait.done, 0, 0);
	mh_queue_submit(call->server->workers, &wait.task);
	wait_for(&wait.done);
	sem_destroy(&wait.done);
	return wait.rc;
}

struct write_wait {
	struct mh_write_job job;
	struct mh_control_call *call;
	int (*fn)(struct mh_control_call *call, struct mh_tx *tx,
		  struct mh_error *err);
	struct mh_error *err;
	int rc;
	sem_t done;
};

static int write_run(struct mh_write_job *job, struct mh_tx *tx,
		     struct mh_error *err)
{
	struct write_wait *wait = MH_CONTAINER_OF(job, struct write_wait, job);

	return wait->fn(wait->call, tx, err);
}

static void write_done(struct mh_write_job *job, struct mh_error *err)
{
	struct write_wait *wait = MH_CONTAINER_OF(job, struct write_wait, job);

	if (err) {
		mh_error_move(wait->err, err);
		wait->rc = -1;
	}
	sem_post(&wait->done);
}

int mh_control_write(struct mh_control_call *call,
		     int (*fn)(struct mh_control_call *call, struct mh_tx *tx,
			       struct mh_error *err),
		     struct mh_error *err)
{
	struct write_wait wait = {
		.job = { .run = write_run, .done = write_done },
		.call = call,
		.fn = fn,
		.err = err,
	};

	sem_init(&wait.done, 0, 0);
	mh_store_write(call->server->store, &wait.job);
	wait_for(&wait.done);
	sem_destroy(&wait.done);
	return wait.rc;
}

/* --- requests ----------------------------------------------------------- */

static const struct mh_control_command *
find_command(const struct mh_control *control, struct mh_str name)
{
	for (size_t i = 0; control->tables[i]; i++) {
		const struct mh_control_command *row;

		for (row = control->tables[i]; row->name; row++) {
			if (mh_str_is(name, row->name))
				return row;
		}
	}
	return NULL;
}

static int run_command(struct mh_control *control, struct mh_control_call *call,
		       struct mh_str line, struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *request = NULL;
	MH_CLEANUP(json_decrefp) json_t *empty = json_object();
	const struct mh_control_command *command;
	struct mh_str name;
	json_t *args = NULL;

	if (mh_json_parse_object(line, &request, err) < 0 ||
	    mh_json_need_str(request, "command", &name, err) < 0 ||
	    mh_json_get_object(request, "args", &args, err) < 0)
		return -1;
	command = find_command(control, name);
	if (!command)
		return mh_fail(err, MH_M_UNRECOGNIZED,
			       "this daemon has no command '%.*s'",
			       MH_STR_ARG(mh_str_first(name, 60)));
	call->args = args ? args : empty;
	return command->run(call, err);
}

static void answer(struct mh_control *control, struct mh_str line,
		   struct mh_strbuf *out)
{
	struct mh_control_call call = { .server = control->server };
	MH_ERROR(err);

	if (run_command(control, &call, line, &err) < 0) {
		mh_strbuf_addf(out, "{\"ok\":false,\"errcode\":\"%s\"",
			       mh_errcode_name(err.code));
		mh_json_add_key(out, MH_STR("error"));
		mh_json_add_str(out, mh_str(err.message));
	} else {
		mh_strbuf_addlit(out, "{\"ok\":true,\"result\":");
		if (call.result)
			mh_json_add(out, call.result);
		else
			mh_strbuf_addlit(out, "{}");
	}
	mh_strbuf_addlit(out, "}\n");
	json_decref(call.result);
}

static bool send_all(int fd, const struct mh_strbuf *out)
{
	size_t sent = 0;

	while (sent < out->len) {
		ssize_t n = send(fd, out->data + sent, out->len - sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	return true;
}

/* Reads up to and with the next newline; false at the end, or when refused. */
static bool read_request(struct connection *connection, size_t *ret_len)
{
	struct mh_strbuf *in = &connection->in;
	size_t seen = 0;

	for (;;) {
		char *newline = memchr(in->data + seen, '\n', in->len - seen);
		ssize_t n;

		if (newline) {
			*ret_len = (size_t)(newline - in->data);
			return true;
		}
		seen = in->len;
		if (in->len > MAX_LINE)
			return false;
		n = recv(connection->fd, mh_strbuf_reserve(in, 4096), 4096, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		in->len += (size_t)n;
		in->data[in->len] = '\0';
	}
}

static void connection_free(struct connection *connection)
{
	struct mh_control *control = connection->control;

	pthread_mutex_lock(&control->lock);
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		control->connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	control->n_connections--;
	/* Closed under the lock, for stop() goes through the descriptors. */
	close(connection->fd);
	pthread_mutex_unlock(&control->lock);
	mh_strbuf_release(&connection->in);
	free(connection);
}

static void serve_connection(struct mh_task *task)
{
	struct connection *connection =
		MH_CONTAINER_OF(task, struct connection, task);
	size_t len;

	while (read_request(connection, &len)) {
		struct mh_strbuf *in = &connection->in;
		MH_STRBUF(out);

		answer(connection->control, mh_str_n(in->data, len), &out);
		if (!send_all(connection->fd, &out))
			break;
		memmove(in->data, in->data + len + 1, in->len - len - 1);
		mh_strbuf_truncate(in, in->len - len - 1);
	}
	connection_free(connection);
}

/* --- the socket --------------------------------------------------------- */

static int fill_address(const char *path, struct sockaddr_un *address,
			struct mh_error *err)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return mh_fail_internal(
			err,
			"control socket '%s': the path may have at most %zu "
			"bytes; set a shorter one as [control] socket",
			path, sizeof(address->sun_path) - 1);
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

/* Removes a socket that nobody serves any more, and nothing else. */
static int remove_stale(const char *path, const struct sockaddr_un *address,
			struct mh_error *err)
{
	struct stat st;
	bool served;
	int fd;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return mh_fail_internal(
			err, "control socket '%s' exists and is no socket",
			path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return mh_fail_internal(err, "control socket: %s",
					strerror(errno));
	served = connect(fd, (const struct sockaddr *)address,
			 sizeof(*address)) == 0;
	close(fd);
	if (served)
		return mh_fail_internal(
			err, "another daemon serves control socket '%s'", path);
	unlink(path);
	return 0;
}

static int listen_at(const char *path, int *ret_fd, struct mh_error *err)
{
	struct sockaddr_un address;
	mode_t mask;
	int rc;
	int fd;

	if (fill_address(path, &address, err) < 0 ||
	    remove_stale(path, &address, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return mh_fail_internal(err, "control socket: %s",
					strerror(errno));
	mask = umask(0177); /* 0600 from the first moment */
	rc = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0 || listen(fd, MAX_CONNECTIONS) < 0) {
		mh_fail_internal(err, "control socket '%s': %s", path,
				 strerror(errno));
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}

int mh_control_new(struct mh_server *server, const char *path,
		   const struct mh_control_command *const *tables,
		   struct mh_control **ret, struct mh_error *err)
{
	struct mh_control *control;
	int fd;

	if (listen_at(path, &fd, err) < 0)
		return -1;
	control = MH_NEW(struct mh_control);
	control->server = server;
	control->tables = tables;
	control->path = mh_strdup(path);
	control->fd = fd;
	pthread_mutex_init(&control->lock, NULL);
	control->queue =
		mh_executor_queue(server->executor, "control", CONTROL_THREADS);
	*ret = control;
	return 0;
}

int mh_control_fd(const struct mh_control *control)
{
	return control->fd;
}

/* False when there are too many. */
static bool add_connection(struct mh_control *control, int fd)
{
	struct timeval timeout = { .tv_sec = IDLE_SECONDS };
	struct connection *connection;

	if (control->n_connections >= MAX_CONNECTIONS)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	connection = MH_NEW(struct connection);
	connection->task.run = serve_connection;
	connection->control = control;
	connection->fd = fd;
	mh_strbuf_init(&connection->in);
	connection->next = control->connections;
	if (connection->next)
		connection->next->prev = connection;
	control->connections = connection;
	control->n_connections++;
	mh_queue_submit(control->queue, &connection->task);
	return true;
}

void mh_control_accept(struct mh_control *control)
{
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
	bool added;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			mh_log_warn("control", "cannot accept: %s",
				    strerror(errno));
		return;
	}
	pthread_mutex_lock(&control->lock);
	added = add_connection(control, fd);
	pthread_mutex_unlock(&control->lock);
	if (!added) {
		mh_log_warn("control", "too many connections");
		close(fd);
	}
}

void mh_control_stop(struct mh_control *control)
{
	struct connection *connection;

	if (!control || control->fd < 0)
		return;
	unlink(control->path);
	close(control->fd);
	control->fd = -1;
	pthread_mutex_lock(&control->lock);
	for (connection = control->connections; connection;
	     connection = connection->next)
		shutdown(connection->fd, SHUT_RD);
	pthread_mutex_unlock(&control->lock);
}

void mh_control_free(struct mh_control *control)
{
	if (!control)
		return;
	mh_control_stop(control);
	MH_ASSERT(!control->connections);
	pthread_mutex_destroy(&control->lock);
	free(control->path);
	free(control);
}
