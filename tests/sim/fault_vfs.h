/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails, for SQLite: a VFS over files in memory that can be full,
 * refuse, and lose power.
 *
 *	struct fault_disk *disk = fault_disk_new(seed);
 *	options.vfs = fault_disk_name(disk);	... mh_store_open() ...
 *	fault_disk_die_at_sync(disk, 17);	... work until it dies ...
 *	mh_store_close(store);			every call fails by now
 *	fault_disk_reboot(disk, FAULT_POWER_LOSS);
 *	... mh_store_open() again: what was acknowledged is there ...
 *
 * What a file system promises, and no more: what was synced is there. Of what
 * was written since, a power loss keeps any part, in units of 512 bytes. After
 * a sync that failed nothing is known of the data it was about, and a later
 * sync that succeeds does not bring it back.
 *
 * Deterministic: everything is drawn from the seed, and nothing sleeps. A disk
 * may be used from several threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault_disk;

struct fault_disk *fault_disk_new(uint64_t seed);
/* All connections must be closed. */
void fault_disk_free(struct fault_disk *disk);
/* The name of its VFS. */
const char *fault_disk_name(const struct fault_disk *disk);

/* Bytes of all files together; 0: no limit. Beyond it writes are SQLITE_FULL. */
void fault_disk_set_capacity(struct fault_disk *disk, int64_t bytes);
int64_t fault_disk_used(struct fault_disk *disk);

/* The n-th write, sync or truncation from now on (1: the next) fails once. */
void fault_disk_fail_at(struct fault_disk *disk, int64_t n);
/* False when that call was never reached. */
bool fault_disk_has_failed(struct fault_disk *disk);

/*
 * At the n-th sync from now on the disk dies: that sync and everything after
 * it fails, until it is rebooted.
 */
void fault_disk_die_at_sync(struct fault_disk *disk, int64_t n);
void fault_disk_die(struct fault_disk *disk);
bool fault_disk_is_dead(struct fault_disk *disk);
int64_t fault_disk_syncs(struct fault_disk *disk); /* so far */
int64_t fault_disk_written(struct fault_disk *disk); /* bytes so far */

enum fault_reboot {
	FAULT_KILL,	  /* kill -9: what was written is there */
	FAULT_POWER_LOSS, /* what was synced is there */
};
/* All connections must be closed. */
void fault_disk_reboot(struct fault_disk *disk, enum fault_reboot how);
