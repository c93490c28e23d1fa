/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: options, start-up in order, signals, the end.
 *
 *   1. configuration, log
 *   2. the data folder and its lock
 *   3. executor and server (store, keys, services, router)
 *   4. the transports: from here on clients are served
 *   5. the control socket
 *   6. ready
 *
 * and back in the opposite order. The main thread does nothing but wait for
 * signals and connections of mootctl. It does not put itself into the
 * background: that is a service manager's business.
 */
#include <config.h>

#include "main/config.h"
#include "main/control.h"
#include "main/data_dir.h"
#include "main/transports.h"

#include "client/client.h"
#include "http/router.h"
#include "service/rate_limits.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define EXIT_CONFIG 2  /* bad options or configuration */
#define MAX_WAITING 4096 /* requests for a worker, or jobs for the writer */
#define STOP_SECONDS 5 /* from SIGTERM to the end, at most */

static const struct mh_control_command *const commands[] = {
	mh_control_account_commands,
	mh_control_room_commands,
	mh_control_status_commands,
	mh_control_token_commands,
	mh_control_user_commands,
	NULL,
};

struct node {
	struct mh_config_source source;
	struct mh_settings *settings; /* in force */
	/*
	 * Settings that a reload replaced. Any thread may still read them, so
	 * they stay: a few kilobytes for each reload.
	 */
	struct mh_settings **replaced;
	size_t n_replaced;
	struct mh_executor *executor;
	struct mh_server *server;
	struct mh_transports *transports;
	struct mh_control *control;
	int lock_fd;
	int signal_fd;
};

/* --- service manager ---------------------------------------------------- */

static void tell_manager(const char *state MH_UNUSED)
{
#ifdef HAVE_SYSTEMD
	if (sd_notify(0, state) < 0)
		mh_log_warn("start", "cannot tell systemd '%s'", state);
#endif
}

/* --- signals ------------------------------------------------------------ */

static int take_signals(struct node *node, struct mh_error *err)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	/* Before any thread starts, so that all inherit it. */
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	node->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (node->signal_fd < 0)
		return mh_fail_internal(err, "cannot take signals: %s",
					strerror(errno));
	return 0;
}

/*
 * The deadline of the drain. What was acknowledged is durable already, so
 * leaving without more ado loses nothing.
 */
static void on_alarm(int signum MH_UNUSED)
{
	static const char text[] = "moothalld: the drain took too long, "
				   "stopping now\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

static void bound_the_drain(void)
{
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	alarm(STOP_SECONDS - 1);
}

/* --- reload ------------------------------------------------------------- */

static void use_settings(struct node *node, struct mh_settings *settings)
{
	if (node->settings) {
		node->replaced =
			mh_realloc_array(node->replaced, node->n_replaced + 1,
					 sizeof(node->settings));
		node->replaced[node->n_replaced++] = node->settings;
	}
	node->settings = settings;
	mh_log_configure(settings->log.level, settings->log.format);
	if (node->server) {
		node->server->settings = settings;
		mh_rate_limits_configure(node->server->limits, settings);
	}
}

static void log_lines(enum mh_log_level level, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		mh_log(level, "config", "%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void reload(struct node *node)
{
	struct mh_settings loaded;
	struct mh_settings *next;
	MH_STRBUF(problems);
	MH_STRBUF(changed);
	MH_STRBUF(fixed);
	MH_ERROR(err);

	tell_manager("RELOADING=1");
	if (mh_config_load(&node->source, &loaded, &problems) < 0) {
		log_lines(MH_LOG_ERROR, problems.data);
		mh_log_error("config", "the configuration stays as it was");
		tell_manager("READY=1");
		return;
	}
	next = MH_NEW(struct mh_settings);
	mh_config_reload(node->settings, &loaded, next, &changed, &fixed);
	mh_settings_release(&loaded);
	use_settings(node, next);
	if (mh_transports_reload(node->transports, &err) < 0)
		mh_log_error("config", "%s", err.message);
	mh_log_info("config", "reloaded, changed: %s",
		    changed.len ? changed.data : "nothing");
	if (fixed.len)
		mh_log_warn("config", "these changes need a restart: %s",
			    fixed.data);
	tell_manager("READY=1");
}

/* --- a life ------------------------------------------------------------- */

/* Every connection is a descriptor: as many as the system lets us have. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		mh_log_warn("start", "cannot raise the limit of open files: %s",
			    strerror(errno));
}

static int start_server(struct node *node, struct mh_error *err)
{
	struct mh_server_options options = {
		.settings = node->settings,
		.random = mh_random_system(),
	};

	node->executor = mh_executor_threads_new(mh_clock_real());
	options.executor = node->executor;
	if (mh_server_new(&options, &node->server, err) < 0)
		return -1;
	node->server->router = mh_client_router_new(node->server);
	mh_router_set_bound(node->server->router, MAX_WAITING);
	if (mh_transports_start(node->server, &node->transports, err) < 0)
		return -1;
	return mh_control_new(node->server, node->settings->control.socket,
			      commands, &node->control, err);
}

static int start(struct node *node, struct mh_error *err)
{
	if (take_signals(node, err) < 0 ||
	    mh_data_dir_lock(node->settings->server.data_dir, &node->lock_fd,
			     err) < 0)
		return -1;
	raise_descriptors();
	return start_server(node, err);
}

static void stop(struct node *node)
{
	if (node->control)
		mh_control_stop(node->control);
	if (node->transports)
		mh_transports_stop(node->transports);
	if (node->server)
		mh_server_stop(node->server);
	mh_control_free(node->control);
	mh_transports_free(node->transports);
	if (node->server)
		mh_router_free(node->server->router);
	mh_server_free(node->server);
	mh_executor_free(node->executor);
	if (node->lock_fd >= 0)
		close(node->lock_fd);
	if (node->signal_fd >= 0)
		close(node->signal_fd);
	for (size_t i = 0; i < node->n_replaced; i++) {
		mh_settings_release(node->replaced[i]);
		free(node->replaced[i]);
	}
	free(node->replaced);
	mh_settings_release(node->settings);
	free(node->settings);
}

/* True when one of the signals ends the node. */
static bool handle_signals(struct node *node)
{
	struct signalfd_siginfo info;

	while (read(node->signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP) {
			mh_log_info("main", "stopping on SIG%s",
				    info.ssi_signo == SIGINT ? "INT" : "TERM");
			return true;
		}
		reload(node);
	}
	return false;
}

/* Until a signal ends it. */
static void serve(struct node *node)
{
	struct pollfd fds[] = {
		{ .fd = node->signal_fd, .events = POLLIN },
		{ .fd = mh_control_fd(node->control), .events = POLLIN },
	};

	do {
		if (poll(fds, MH_ARRAY_LEN(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			mh_log_error("main", "cannot wait: %s",
				     strerror(errno));
			return;
		}
		if (fds[1].revents)
			mh_control_accept(node->control);
	} while (!handle_signals(node));
}

static int run(struct node *node)
{
	MH_ERROR(err);

	if (start(node, &err) < 0) {
		mh_log_error("start", "%s", err.message);
		stop(node);
		return EXIT_FAILURE;
	}
	tell_manager("READY=1");
	mh_log_info("start", "moothalld " PACKAGE_VERSION " serves '%s'",
		    node->settings->server.name);
	serve(node);
	tell_manager("STOPPING=1");
	bound_the_drain();
	stop(node);
	mh_log_info("main", "stopped");
	return EXIT_SUCCESS;
}

/* --- options ------------------------------------------------------------ */

static const char usage[] =
	"Usage: moothalld [-c FILE] [-o SECTION.KEY=VALUE ...]\n"
	"Runs a Matrix homeserver.\n"
	"\n"
	"  -c, --config FILE         read the configuration from FILE\n"
	"                            (default: " MH_SYSCONFDIR
	"/moothall/moothall.conf)\n"
	"  -o, --option SECTION.KEY=VALUE\n"
	"                            set a key whatever the file says; "
	"repeatable\n"
	"      --check-config        read the configuration, say what is "
	"wrong\n"
	"      --print-config        print the effective configuration\n"
	"      --print-sample-config print a configuration file to start from\n"
	"      --print-config-man    print moothall.conf(5)\n"
	"  -h, --help                print this\n"
	"  -V, --version             print the version\n"
	"\n"
	"SIGHUP reloads the configuration; SIGTERM and SIGINT stop the node.\n"
	"Exit status: 0 after a stop, 1 on failure, 2 for bad options or a "
	"bad\n"
	"configuration.\n";

enum {
	OPT_CHECK = 256,
	OPT_PRINT,
	OPT_SAMPLE,
	OPT_MAN,
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "option", required_argument, NULL, 'o' },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "print-config", no_argument, NULL, OPT_PRINT },
	{ "print-sample-config", no_argument, NULL, OPT_SAMPLE },
	{ "print-config-man", no_argument, NULL, OPT_MAN },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* Prints to standard output; a full disk or a closed pipe is a failure. */
static int print(const char *text)
{
	if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
		fprintf(stderr, "moothalld: cannot write: %s\n",
			strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* Reads the options; returns what to do, or -1 when that is a usage error. */
static int read_options(int argc, char **argv, struct mh_config_source *source,
			const char **overrides)
{
	int action = 0;
	int c;

	while ((c = getopt_long(argc, argv, "c:o:hV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			source->path = optarg;
			break;
		case 'o':
			overrides[source->n_overrides++] = optarg;
			break;
		case '?':
			return -1;
		default:
			action = c;
			break;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "moothalld: unexpected argument '%s'\n",
			argv[optind]);
		return -1;
	}
	return action;
}

static int act(int action, struct node *node)
{
	MH_STRBUF(problems);
	MH_STRBUF(out);
	struct mh_settings *settings;

	switch (action) {
	case 'h':
		return print(usage);
	case 'V':
		return print("moothalld " PACKAGE_VERSION "\n");
	case OPT_SAMPLE:
		mh_config_print_sample(&out);
		return print(out.data);
	case OPT_MAN:
		mh_config_print_man(&out);
		return print(out.data);
	}
	settings = MH_NEW(struct mh_settings);
	if (mh_config_load(&node->source, settings, &problems) < 0) {
		fputs(problems.data, stderr);
		free(settings);
		return EXIT_CONFIG;
	}
	use_settings(node, settings);
	if (action == OPT_CHECK || action == OPT_PRINT) {
		if (action == OPT_PRINT)
			mh_config_print(settings, &out);
		mh_settings_release(settings);
		free(settings);
		return print(out.data);
	}
	return run(node);
}

int main(int argc, char **argv)
{
	MH_CLEANUP(mh_freep)
	const char **overrides = mh_alloc_array((size_t)argc, sizeof(char *));
	struct node node = {
		.source = { .path = MH_SYSCONFDIR "/moothall/moothall.conf",
			    .overrides = overrides },
		.lock_fd = -1,
		.signal_fd = -1,
	};
	int action = read_options(argc, argv, &node.source, overrides);

	if (action < 0) {
		fputs("Try 'moothalld --help'.\n", stderr);
		return EXIT_CONFIG;
	}
	return act(action, &node);
}
