/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mootctl: asks the running daemon over its control socket (control.h), or
 * looks at files itself where the daemon need not run. What a command takes is
 * a row of mootctl_commands.c; how its result is shown, a function there.
 */
#include <config.h>

#include "main/mootctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static const char head[] =
	"Usage: mootctl [-c FILE | --socket PATH] [--json] COMMAND ...\n"
	"Manages a running moothalld.\n"
	"\n"
	"  -c, --config FILE   the daemon's configuration, which says where "
	"its\n"
	"                      socket is (default: " MH_SYSCONFDIR
	"/moothall/moothall.conf)\n"
	"      --socket PATH   the socket itself\n"
	"      --json          print the result as JSON\n"
	"  -h, --help          print this, or what a command takes\n"
	"  -V, --version       print the version\n"
	"\n"
	"Commands:\n";

static const char tail[] =
	"\n"
	"Exit status: 0 done, 1 refused or failed, 2 bad usage, 3 the daemon "
	"cannot be\nreached.\n";

/* --- options ------------------------------------------------------------ */

static void print_usage(FILE *out)
{
	fputs(head, out);
	for (size_t i = 0; i < mootctl_command_count; i++)
		fprintf(out, "  %-26s%s\n", mootctl_commands[i].name,
			mootctl_commands[i].summary);
	fputs(tail, out);
}

static void print_command_usage(const struct mootctl_command *command,
				FILE *out)
{
	const struct mootctl_param *param;

	fprintf(out, "Usage: mootctl [OPTIONS] %s", command->name);
	for (param = command->params; param->name; param++) {
		if (param->kind == MOOTCTL_POSITIONAL)
			fprintf(out, " %s", param->metavar);
		else if (param->kind == MOOTCTL_FLAG)
			fprintf(out, " [--%s]", param->name);
		else
			fprintf(out, " [--%s %s]", param->name, param->metavar);
	}
	fprintf(out, "\n%s.\n", command->summary);
	if (command->params->name)
		fputc('\n', out);
	for (param = command->params; param->name; param++) {
		MH_STRBUF(left);

		if (param->kind == MOOTCTL_POSITIONAL)
			mh_strbuf_addf(&left, "%s", param->metavar);
		else
			mh_strbuf_addf(&left, "--%s %s", param->name,
				       param->metavar ? param->metavar : "");
		fprintf(out, "  %-24s %s\n", left.data, param->help);
	}
}

static int MH_PRINTF(1, 2) usage_error(const char *format, ...)
{
	va_list args;

	fputs("mootctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry 'mootctl --help'.\n", stderr);
	return MOOTCTL_USAGE;
}

/* How many of `argv` the command's name takes up; 0 when it is another. */
static int match_name(const char *name, int argc, char **argv)
{
	struct mh_str rest = mh_str(name);
	int words = 0;

	while (rest.len) {
		ptrdiff_t space = mh_str_find(rest, ' ');
		size_t len = space < 0 ? rest.len : (size_t)space;

		if (words == argc ||
		    !mh_str_is(mh_str_first(rest, len), argv[words]))
			return 0;
		words++;
		rest = mh_str_from(rest, len + (space >= 0));
	}
	return words;
}

static const struct mootctl_param *
find_option(const struct mootctl_param *params, struct mh_str name)
{
	for (; params->name; params++) {
		if (params->kind != MOOTCTL_POSITIONAL &&
		    mh_str_is(name, params->name))
			return params;
	}
	return NULL;
}

static const struct mootctl_param *
next_positional(const struct mootctl_param *params, const json_t *args)
{
	for (; params->name; params++) {
		if (params->kind == MOOTCTL_POSITIONAL &&
		    !json_object_get(args, params->name))
			return params;
	}
	return NULL;
}

static int add_value(json_t *args, const struct mootctl_param *param,
		     const char *value)
{
	int64_t number;

	if (param->kind == MOOTCTL_NUMBER) {
		if (!mh_str_to_int(mh_str(value), &number) || number < 0)
			return usage_error("--%s takes a whole number, not "
					   "'%s'",
					   param->name, value);
		json_object_set_new(args, param->name, json_integer(number));
		return 0;
	}
	if (!mh_str_is_utf8(mh_str(value)))
		return usage_error("'%s' is not UTF-8", param->name);
	json_object_set_new(args, param->name, json_string(value));
	return 0;
}

/* Reads what stands behind the command into `args`. */
static int read_args(const struct mootctl_command *command, int argc,
		     char **argv, json_t *args)
{
	for (int i = 0; i < argc; i++) {
		const struct mootctl_param *param;
		struct mh_str word = mh_str(argv[i]);
		ptrdiff_t equals = mh_str_find(word, '=');
		const char *value = NULL;
		int rc;

		if (!mh_str_starts(word, MH_STR("--"))) {
			param = next_positional(command->params, args);
			value = argv[i];
		} else {
			word = mh_str_from(word, 2);
			if (equals >= 0) {
				word = mh_str_first(word, (size_t)equals - 2);
				value = argv[i] + equals + 1;
			}
			param = find_option(command->params, word);
		}
		if (!param)
			return usage_error("'%s' does not take '%s'",
					   command->name, argv[i]);
		if (param->kind == MOOTCTL_FLAG) {
			if (value)
				return usage_error("--%s takes no value",
						   param->name);
			json_object_set_new(args, param->name, json_true());
			continue;
		}
		if (!value && ++i == argc)
			return usage_error("--%s needs a value", param->name);
		rc = add_value(args, param, value ? value : argv[i]);
		if (rc)
			return rc;
	}
	for (const struct mootctl_param *param = command->params; param->name;
	     param++) {
		if (param->kind == MOOTCTL_POSITIONAL &&
		    !json_object_get(args, param->name))
			return usage_error("'%s' needs %s", command->name,
					   param->metavar);
	}
	return 0;
}

/* --- passwords ---------------------------------------------------------- */

static char *read_hidden(const char *prompt)
{
	struct termios before;
	struct termios hidden;
	char line[1024];
	bool terminal =
		isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	char *got;

	if (terminal) {
		fputs(prompt, stderr);
		hidden = before;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	}
	got = fgets(line, sizeof(line), stdin);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	if (!got)
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	return mh_strdup(line);
}

/*
 * A password that was not given as an option comes from the first line of
 * standard input: typed twice at a terminal.
 */
static int need_password(json_t *args)
{
	MH_CLEANUP(mh_freep) char *password = NULL;
	MH_CLEANUP(mh_freep) char *again = NULL;

	if (json_object_get(args, "password") ||
	    json_is_true(json_object_get(args, "no-password")))
		return 0;
	password = read_hidden("Password: ");
	if (!password || !*password) {
		fputs("mootctl: no password was given\n", stderr);
		return MOOTCTL_USAGE;
	}
	if (isatty(STDIN_FILENO)) {
		again = read_hidden("Again: ");
		if (!again || strcmp(password, again)) {
			fputs("mootctl: the passwords differ\n", stderr);
			return MOOTCTL_USAGE;
		}
	}
	if (!mh_str_is_utf8(mh_str(password))) {
		fputs("mootctl: the password is not UTF-8\n", stderr);
		return MOOTCTL_USAGE;
	}
	json_object_set_new(args, "password", json_string(password));
	return 0;
}

/* --- the daemon --------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) <
	    0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static bool exchange(int fd, const struct mh_strbuf *request,
		     struct mh_strbuf *response)
{
	size_t sent = 0;

	while (sent < request->len) {
		ssize_t n = send(fd, request->data + sent, request->len - sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	while (!response->len || response->data[response->len - 1] != '\n') {
		ssize_t n =
			recv(fd, mh_strbuf_reserve(response, 65536), 65536, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		response->len += (size_t)n;
	}
	return true;
}

static int ask(const char *socket_path, const struct mootctl_command *command,
	       const json_t *args, json_t **ret_result)
{
	MH_CLEANUP(json_decrefp) json_t *response = NULL;
	MH_STRBUF(request);
	MH_STRBUF(line);
	int fd = connect_to(socket_path);
	bool answered;

	if (fd < 0) {
		fprintf(stderr,
			"mootctl: cannot reach the daemon at '%s': %s\n",
			socket_path, strerror(errno));
		return MOOTCTL_UNREACHABLE;
	}
	mh_strbuf_addf(&request,
		       "{\"command\":\"%s\",\"args\":", command->name);
	mh_json_add(&request, args);
	mh_strbuf_addlit(&request, "}\n");
	answered = exchange(fd, &request, &line);
	close(fd);
	if (answered)
		response =
			json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(response)) {
		fputs("mootctl: the daemon ended the connection\n", stderr);
		return MOOTCTL_UNREACHABLE;
	}
	if (!json_is_true(json_object_get(response, "ok"))) {
		const char *why =
			json_string_value(json_object_get(response, "error"));

		fprintf(stderr, "mootctl: %s\n", why ? why : "refused");
		return MOOTCTL_FAILED;
	}
	*ret_result = json_incref(json_object_get(response, "result"));
	return MOOTCTL_DONE;
}

/* --- the whole ---------------------------------------------------------- */

int mootctl_load_config(const struct mootctl_options *options,
			struct mh_settings *ret)
{
	struct mh_config_source source = { .path = options->config };
	MH_STRBUF(problems);

	if (mh_config_load(&source, ret, &problems) < 0) {
		fputs(problems.data, stderr);
		return MOOTCTL_FAILED;
	}
	return MOOTCTL_DONE;
}

static int find_socket(const struct mootctl_options *options, char **ret)
{
	struct mh_settings settings;
	int rc;

	if (options->socket) {
		*ret = mh_strdup(options->socket);
		return MOOTCTL_DONE;
	}
	rc = mootctl_load_config(options, &settings);
	if (rc)
		return rc;
	*ret = mh_strdup(settings.control.socket);
	mh_settings_release(&settings);
	return MOOTCTL_DONE;
}

static int run(const struct mootctl_options *options,
	       const struct mootctl_command *command, json_t *args)
{
	MH_CLEANUP(mh_freep) char *socket_path = NULL;
	MH_CLEANUP(json_decrefp) json_t *result = NULL;
	int rc;

	if (command->local) {
		rc = command->local(options, args, &result);
	} else {
		rc = find_socket(options, &socket_path);
		if (!rc && command->needs_password)
			rc = need_password(args);
		if (!rc)
			rc = ask(socket_path, command, args, &result);
	}
	if (result && options->json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (result && command->show) {
		command->show(result);
	}
	if (fflush(stdout) == EOF) {
		fprintf(stderr, "mootctl: cannot write: %s\n", strerror(errno));
		return MOOTCTL_FAILED;
	}
	return rc;
}

/* Finds the command and reads its arguments, then runs it. */
static int run_words(const struct mootctl_options *options, int argc,
		     char **argv)
{
	MH_CLEANUP(json_decrefp) json_t *args = json_object();

	for (size_t i = 0; i < mootctl_command_count; i++) {
		const struct mootctl_command *command = &mootctl_commands[i];
		int words = match_name(command->name, argc, argv);
		int rc;

		if (!words)
			continue;
		if (options->help) {
			print_command_usage(command, stdout);
			return MOOTCTL_DONE;
		}
		rc = read_args(command, argc - words, argv + words, args);
		return rc ? rc : run(options, command, args);
	}
	if (options->help) {
		print_usage(stdout);
		return MOOTCTL_DONE;
	}
	if (!argc)
		return usage_error("which command?");
	return usage_error("there is no command '%s%s%s'", argv[0],
			   argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
}

/* The value of an option, in the same word or the next; NULL: another's. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
	size_t len = strlen(name);

	if (strncmp(argv[*i], name, len))
		return NULL;
	if (argv[*i][len] == '=')
		return argv[*i] + len + 1;
	if (argv[*i][len] || *i + 1 == argc)
		return NULL;
	return argv[++*i];
}

/*
 * Takes the options that every command has out of `argv`, wherever they stand;
 * returns how many words are left.
 */
static int take_options(struct mootctl_options *options, int argc, char **argv)
{
	int left = 0;

	for (int i = 1; i < argc; i++) {
		const char *value;

		if (!strcmp(argv[i], "--json"))
			options->json = true;
		else if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			options->help = true;
		else if (!strcmp(argv[i], "-V") ||
			 !strcmp(argv[i], "--version"))
			options->version = true;
		else if ((value = option_value("-c", argc, argv, &i)) ||
			 (value = option_value("--config", argc, argv, &i)))
			options->config = value;
		else if ((value = option_value("--socket", argc, argv, &i)))
			options->socket = value;
		else
			argv[left++] = argv[i];
	}
	return left;
}

int main(int argc, char **argv)
{
	struct mootctl_options options = {
		.config = MH_SYSCONFDIR "/moothall/moothall.conf",
	};
	int words = take_options(&options, argc, argv);

	if (options.version) {
		puts("mootctl " PACKAGE_VERSION);
		return MOOTCTL_DONE;
	}
	return run_words(&options, words, argv);
}
