/* SPDX-License-Identifier: Apache-2.0 */
#include "main/data_dir.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_folder(const char *path, struct mh_error *err)
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		mh_log_info("start", "made the data folder '%s'", path);
	else if (errno == ENOENT)
		return mh_fail_internal(err,
					"data folder '%s' cannot be made: the "
					"folder above it does not exist",
					path);
	else if (errno != EEXIST)
		return mh_fail_internal(err,
					"data folder '%s' cannot be made: %s",
					path, strerror(errno));
	if (stat(path, &st) < 0)
		return mh_fail_internal(err, "data folder '%s': %s", path,
					strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return mh_fail_internal(err, "data_dir '%s' is not a folder",
					path);
	if (st.st_mode & S_IWOTH)
		return mh_fail_internal(
			err,
			"data folder '%s' can be written by everyone: "
			"chmod 700 it",
			path);
	if (access(path, R_OK | W_OK | X_OK) < 0)
		return mh_fail_internal(err,
					"data folder '%s' cannot be written by "
					"user %u: %s",
					path, (unsigned)geteuid(),
					strerror(errno));
	return 0;
}

static int held(int fd, const char *path, struct mh_error *err)
{
	char text[32];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	text[len > 0 ? len : 0] = '\0';
	pid = strtol(text, NULL, 10);
	if (pid > 0)
		return mh_fail_internal(err,
					"another moothalld (process %ld) runs "
					"on data folder '%s'",
					pid, path);
	return mh_fail_internal(
		err, "another moothalld runs on data folder '%s'", path);
}

static int take_lock(int fd, const char *path, struct mh_error *err)
{
	char text[32];
	int len;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return held(fd, path, err);
		return mh_fail_internal(err, "cannot lock '%s': %s", path,
					strerror(errno));
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		return mh_fail_internal(err,
					"cannot write the lock in '%s': %s",
					path, strerror(errno));
	return 0;
}

int mh_data_dir_lock(const char *path, int *ret_fd, struct mh_error *err)
{
	MH_STRBUF(file);
	int fd;

	if (check_folder(path, err) < 0)
		return -1;
	mh_strbuf_addf(&file, "%s/lock", path);
	fd = open(file.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return mh_fail_internal(err, "cannot open '%s': %s", file.data,
					strerror(errno));
	if (take_lock(fd, path, err) < 0) {
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}
