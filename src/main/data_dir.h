/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a node's data lives in, and the lock that keeps it to one. */
#pragma once

#include "base/error.h"

/*
 * Makes the folder if its parent exists, checks that it can be written, and
 * locks it for this process: until the returned descriptor is closed, or the
 * process ends however it ends. Fails with a message for the operator, which
 * names the process that holds the lock.
 */
MH_NODISCARD int mh_data_dir_lock(const char *path, int *ret_fd,
				  struct mh_error *err);
