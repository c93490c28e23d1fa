/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is two byte arrays: `now`, what reads see, and `safe`, what is surely
 * on the platter; and the list of changes that lead from one to the other. A
 * sync makes the changes safe; a power loss applies some of them.
 *
 * Shared memory and locks are those of one process: SQLite's rules (lock
 * levels of the file, eight slots of the WAL index) over counters.
 */
#include "tests/sim/fault_vfs.h"

#include "base/cleanup.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define SHM_MAX 64

struct bytes {
	unsigned char *data;
	sqlite3_int64 len, cap;
};

struct change {
	struct change *next;
	sqlite3_int64 offset; /* of the write; or the new length */
	int len;	      /* -1: a truncation */
	unsigned char data[];
};

struct file {
	struct file *next;
	char *name;
	struct bytes now, safe;
	struct change *changes, **tail;
	unsigned handles;
	bool unlinked;
	/* locks */
	unsigned shared;
	bool reserved, pending, exclusive;
	/* the WAL index */
	void *shm[SHM_MAX];
	unsigned shm_handles;
	unsigned shm_shared[SQLITE_SHM_NLOCK];
	bool shm_exclusive[SQLITE_SHM_NLOCK];
};

struct fault_disk {
	sqlite3_vfs vfs;
	char name[32];
	pthread_mutex_t lock;
	uint64_t random;
	struct file *files;
	int64_t capacity, used, syncs, written;
	int64_t fail_at, die_at;
	bool failed, dead;
};

struct handle {
	sqlite3_file base;
	struct fault_disk *disk;
	struct file *file;
	int level; /* of its lock */
	bool has_shm;
	uint16_t shm_shared, shm_exclusive; /* slots it holds */
};

static uint64_t draw(struct fault_disk *disk)
{
	uint64_t x;

	disk->random += 0x9e3779b97f4a7c15u;
	x = disk->random;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* --- bytes ------------------------------------------------------------------- */

static void set_length(struct bytes *bytes, sqlite3_int64 len)
{
	if (len > bytes->cap) {
		bytes->cap = len + len / 2 + 4096;
		bytes->data = mh_realloc(bytes->data, (size_t)bytes->cap);
	}
	if (len > bytes->len)
		memset(bytes->data + bytes->len, 0, (size_t)(len - bytes->len));
	bytes->len = len;
}

static void put(struct bytes *bytes, sqlite3_int64 offset, const void *data,
		int len)
{
	if (offset + len > bytes->len)
		set_length(bytes, offset + len);
	if (len)
		memcpy(bytes->data + offset, data, (size_t)len);
}

static void apply(struct bytes *bytes, const struct change *change)
{
	if (change->len < 0)
		set_length(bytes, change->offset);
	else
		put(bytes, change->offset, change->data, change->len);
}

/* Each sector of a write on its own; a truncation, whole or not at all. */
static void apply_partly(struct fault_disk *disk, struct bytes *bytes,
			 const struct change *change)
{
	uint64_t chance = draw(disk) % 4; /* none, some, many, all */

	if (change->len < 0) {
		if (chance & 1)
			apply(bytes, change);
		return;
	}
	for (int at = 0; at < change->len;) {
		int n = SECTOR - (int)((change->offset + at) % SECTOR);

		if (n > change->len - at)
			n = change->len - at;
		if (draw(disk) % 3 < chance)
			put(bytes, change->offset + at, change->data + at, n);
		at += n;
	}
}

static void drop_changes(struct file *file)
{
	while (file->changes) {
		struct change *next = file->changes->next;

		free(file->changes);
		file->changes = next;
	}
	file->tail = &file->changes;
}

static void make_safe(struct file *file)
{
	for (struct change *c = file->changes; c; c = c->next)
		apply(&file->safe, c);
	drop_changes(file);
}

static void make_partly_safe(struct fault_disk *disk, struct file *file)
{
	for (struct change *c = file->changes; c; c = c->next)
		apply_partly(disk, &file->safe, c);
	drop_changes(file);
}

static void record(struct file *file, sqlite3_int64 offset, const void *data,
		   int len)
{
	struct change *change =
		mh_alloc0(sizeof(*change) + (len > 0 ? (size_t)len : 0));

	change->offset = offset;
	change->len = len;
	if (len > 0)
		memcpy(change->data, data, (size_t)len);
	*file->tail = change;
	file->tail = &change->next;
	apply(&file->now, change);
}

/* --- the disk's files ---------------------------------------------------------- */

static struct file *find(struct fault_disk *disk, const char *name)
{
	struct file *file;

	for (file = disk->files; file; file = file->next)
		if (!file->unlinked && name && strcmp(file->name, name) == 0)
			return file;
	return NULL;
}

static struct file *create(struct fault_disk *disk, const char *name)
{
	struct file *file = MH_NEW(struct file);

	file->name = mh_strdup(name ? name : "");
	file->unlinked = name == NULL;
	file->tail = &file->changes;
	file->next = disk->files;
	disk->files = file;
	return file;
}

static void destroy(struct fault_disk *disk, struct file *file)
{
	struct file **link = &disk->files;

	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	disk->used -= file->now.len;
	drop_changes(file);
	for (size_t i = 0; i < SHM_MAX; i++)
		free(file->shm[i]);
	free(file->now.data);
	free(file->safe.data);
	free(file->name);
	free(file);
}

/* Counts a call that changes something; false when it is to fail. */
static bool may_change(struct fault_disk *disk)
{
	if (disk->dead)
		return false;
	if (disk->fail_at && --disk->fail_at == 0) {
		disk->failed = true;
		return false;
	}
	return true;
}

/* --- reading and writing -------------------------------------------------------- */

static int close_handle(sqlite3_file *base);

static int read_handle(sqlite3_file *base, void *out, int len,
		       sqlite3_int64 offset)
{
	struct handle *handle = (struct handle *)base;
	struct bytes *now = &handle->file->now;
	int rc = SQLITE_OK, n = len;

	pthread_mutex_lock(&handle->disk->lock);
	if (handle->disk->dead) {
		rc = SQLITE_IOERR_READ;
	} else {
		if (offset + len > now->len) {
			n = offset < now->len ? (int)(now->len - offset) : 0;
			rc = SQLITE_IOERR_SHORT_READ;
		}
		if (n)
			memcpy(out, now->data + offset, (size_t)n);
		memset((char *)out + n, 0, (size_t)(len - n));
	}
	pthread_mutex_unlock(&handle->disk->lock);
	return rc;
}

static int write_handle(sqlite3_file *base, const void *data, int len,
			sqlite3_int64 offset)
{
	struct handle *handle = (struct handle *)base;
	struct fault_disk *disk = handle->disk;
	sqlite3_int64 more = offset + len - handle->file->now.len;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&disk->lock);
	more = more > 0 ? more : 0;
	if (!may_change(disk)) {
		rc = SQLITE_IOERR_WRITE;
	} else if (more && disk->capacity &&
		   disk->used + more > disk->capacity) {
		rc = SQLITE_FULL;
	} else {
		disk->used += more;
		disk->written += len;
		record(handle->file, offset, data, len);
	}
	pthread_mutex_unlock(&disk->lock);
	return rc;
}

static int truncate_handle(sqlite3_file *base, sqlite3_int64 len)
{
	struct handle *handle = (struct handle *)base;
	struct fault_disk *disk = handle->disk;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&disk->lock);
	if (!may_change(disk)) {
		rc = SQLITE_IOERR_TRUNCATE;
	} else if (len < handle->file->now.len) {
		disk->used -= handle->file->now.len - len;
		record(handle->file, len, NULL, -1);
	}
	pthread_mutex_unlock(&disk->lock);
	return rc;
}

static int sync_handle(sqlite3_file *base, int flags)
{
	struct handle *handle = (struct handle *)base;
	struct fault_disk *disk = handle->disk;
	int rc = SQLITE_OK;

	(void)flags;
	pthread_mutex_lock(&disk->lock);
	disk->syncs++;
	if (disk->die_at && --disk->die_at == 0)
		disk->dead = true;
	if (disk->dead) {
		rc = SQLITE_IOERR_FSYNC;
	} else if (!may_change(disk)) {
		/* The kernel forgets what it could not write. */
		make_partly_safe(disk, handle->file);
		rc = SQLITE_IOERR_FSYNC;
	} else {
		make_safe(handle->file);
	}
	pthread_mutex_unlock(&disk->lock);
	return rc;
}

static int size_of_handle(sqlite3_file *base, sqlite3_int64 *ret)
{
	struct handle *handle = (struct handle *)base;

	if (handle->disk->dead)
		return SQLITE_IOERR_FSTAT;
	*ret = handle->file->now.len;
	return SQLITE_OK;
}

/* --- locks of a file -------------------------------------------------------------- */

static int lock_level(struct handle *handle, int level)
{
	struct file *file = handle->file;
	bool others = file->shared > (handle->level >= SQLITE_LOCK_SHARED);

	if (handle->level >= level)
		return SQLITE_OK;
	if (level == SQLITE_LOCK_SHARED) {
		if (file->pending || file->exclusive)
			return SQLITE_BUSY;
		file->shared++;
	} else if (level == SQLITE_LOCK_RESERVED) {
		if (file->reserved)
			return SQLITE_BUSY;
		file->reserved = true;
	} else {
		if (handle->level < SQLITE_LOCK_PENDING && file->pending)
			return SQLITE_BUSY;
		if (handle->level < SQLITE_LOCK_RESERVED && file->reserved)
			return SQLITE_BUSY;
		file->reserved = file->pending = true;
		handle->level = SQLITE_LOCK_PENDING;
		if (others)
			return SQLITE_BUSY;
		file->exclusive = true;
	}
	handle->level = level;
	return SQLITE_OK;
}

static void unlock_level(struct handle *handle, int level)
{
	struct file *file = handle->file;

	if (handle->level <= level)
		return;
	if (handle->level >= SQLITE_LOCK_RESERVED) {
		file->reserved = false;
		if (handle->level >= SQLITE_LOCK_PENDING)
			file->pending = false;
		if (handle->level >= SQLITE_LOCK_EXCLUSIVE)
			file->exclusive = false;
	}
	if (level == SQLITE_LOCK_NONE)
		file->shared--;
	handle->level = level;
}

static int lock_handle(sqlite3_file *base, int level)
{
	struct handle *handle = (struct handle *)base;
	int rc;

	pthread_mutex_lock(&handle->disk->lock);
	rc = lock_level(handle, level);
	pthread_mutex_unlock(&handle->disk->lock);
	return rc;
}

static int unlock_handle(sqlite3_file *base, int level)
{
	struct handle *handle = (struct handle *)base;

	pthread_mutex_lock(&handle->disk->lock);
	unlock_level(handle, level);
	pthread_mutex_unlock(&handle->disk->lock);
	return SQLITE_OK;
}

static int is_reserved(sqlite3_file *base, int *ret)
{
	struct handle *handle = (struct handle *)base;

	*ret = handle->file->reserved;
	return SQLITE_OK;
}

static int control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

/* A write never harms bytes beside it: what SQLite assumes of any disk. */
static int characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- the WAL index ------------------------------------------------------------------ */

static int shm_map(sqlite3_file *base, int region, int size, int extend,
		   void volatile **ret)
{
	struct handle *handle = (struct handle *)base;
	struct file *file = handle->file;

	*ret = NULL;
	if (region >= SHM_MAX)
		return SQLITE_IOERR_SHMSIZE;
	pthread_mutex_lock(&handle->disk->lock);
	if (!handle->has_shm) {
		handle->has_shm = true;
		file->shm_handles++;
	}
	if (!file->shm[region] && extend)
		file->shm[region] = mh_alloc0((size_t)size);
	*ret = file->shm[region];
	pthread_mutex_unlock(&handle->disk->lock);
	return SQLITE_OK;
}

static void shm_unlock_slot(struct handle *handle, int slot)
{
	uint16_t bit = (uint16_t)(1u << slot);

	if (handle->shm_shared & bit)
		handle->file->shm_shared[slot]--;
	if (handle->shm_exclusive & bit)
		handle->file->shm_exclusive[slot] = false;
	handle->shm_shared &= (uint16_t)~bit;
	handle->shm_exclusive &= (uint16_t)~bit;
}

static bool shm_is_free(const struct handle *handle, int slot, bool exclusive)
{
	uint16_t bit = (uint16_t)(1u << slot);
	unsigned own = (handle->shm_shared & bit) != 0;

	if (handle->shm_exclusive & bit)
		return true;
	return !handle->file->shm_exclusive[slot] &&
	       (!exclusive || handle->file->shm_shared[slot] == own);
}

static void shm_lock_slot(struct handle *handle, int slot, bool exclusive)
{
	uint16_t bit = (uint16_t)(1u << slot);

	if (exclusive) {
		shm_unlock_slot(handle, slot);
		handle->file->shm_exclusive[slot] = true;
		handle->shm_exclusive |= bit;
	} else if (!((handle->shm_shared | handle->shm_exclusive) & bit)) {
		handle->file->shm_shared[slot]++;
		handle->shm_shared |= bit;
	}
}

static int shm_lock(sqlite3_file *base, int first, int n, int flags)
{
	struct handle *handle = (struct handle *)base;
	bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&handle->disk->lock);
	for (int i = first; i < first + n; i++)
		if (flags & SQLITE_SHM_LOCK &&
		    !shm_is_free(handle, i, exclusive))
			rc = SQLITE_BUSY;
	for (int i = first; rc == SQLITE_OK && i < first + n; i++) {
		if (flags & SQLITE_SHM_UNLOCK)
			shm_unlock_slot(handle, i);
		else
			shm_lock_slot(handle, i, exclusive);
	}
	pthread_mutex_unlock(&handle->disk->lock);
	return rc;
}

static void shm_barrier(sqlite3_file *base)
{
	struct handle *handle = (struct handle *)base;

	pthread_mutex_lock(&handle->disk->lock);
	pthread_mutex_unlock(&handle->disk->lock);
}

static void shm_leave(struct handle *handle)
{
	struct file *file = handle->file;

	if (!handle->has_shm)
		return;
	handle->has_shm = false;
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		shm_unlock_slot(handle, i);
	if (--file->shm_handles)
		return;
	for (size_t i = 0; i < SHM_MAX; i++) {
		free(file->shm[i]);
		file->shm[i] = NULL;
	}
}

static int shm_unmap(sqlite3_file *base, int remove)
{
	struct handle *handle = (struct handle *)base;

	(void)remove;
	pthread_mutex_lock(&handle->disk->lock);
	shm_leave(handle);
	pthread_mutex_unlock(&handle->disk->lock);
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = close_handle,
	.xRead = read_handle,
	.xWrite = write_handle,
	.xTruncate = truncate_handle,
	.xSync = sync_handle,
	.xFileSize = size_of_handle,
	.xLock = lock_handle,
	.xUnlock = unlock_handle,
	.xCheckReservedLock = is_reserved,
	.xFileControl = control,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* --- the VFS ------------------------------------------------------------------------- */

static int close_handle(sqlite3_file *base)
{
	struct handle *handle = (struct handle *)base;
	struct fault_disk *disk = handle->disk;
	struct file *file = handle->file;

	pthread_mutex_lock(&disk->lock);
	shm_leave(handle);
	unlock_level(handle, SQLITE_LOCK_NONE);
	if (--file->handles == 0 && file->unlinked)
		destroy(disk, file);
	pthread_mutex_unlock(&disk->lock);
	return SQLITE_OK;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *base,
		     int flags, int *ret_flags)
{
	struct fault_disk *disk = vfs->pAppData;
	struct handle *handle = (struct handle *)base;
	int rc = SQLITE_OK;

	memset(handle, 0, sizeof(*handle));
	pthread_mutex_lock(&disk->lock);
	handle->disk = disk;
	handle->file = find(disk, name);
	if (disk->dead || (!handle->file && !(flags & SQLITE_OPEN_CREATE)))
		rc = SQLITE_CANTOPEN;
	else if (!handle->file)
		handle->file = create(disk, name);
	if (rc == SQLITE_OK) {
		handle->file->handles++;
		handle->base.pMethods = &methods;
		if (ret_flags)
			*ret_flags = flags;
	}
	pthread_mutex_unlock(&disk->lock);
	return rc;
}

/* What SQLite deletes it syncs the folder for, or does not mind to see again. */
static int delete_file(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct fault_disk *disk = vfs->pAppData;
	struct file *file;
	int rc = SQLITE_OK;

	(void)sync;
	pthread_mutex_lock(&disk->lock);
	file = find(disk, name);
	if (disk->dead) {
		rc = SQLITE_IOERR_DELETE;
	} else if (!file) {
		rc = SQLITE_IOERR_DELETE_NOENT;
	} else {
		file->unlinked = true;
		if (!file->handles)
			destroy(disk, file);
	}
	pthread_mutex_unlock(&disk->lock);
	return rc;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	struct fault_disk *disk = vfs->pAppData;
	const struct file *file;

	pthread_mutex_lock(&disk->lock);
	file = find(disk, name);
	/* As on UNIX, an empty file does not "exist": see os_unix.c. */
	*ret = file && (flags != SQLITE_ACCESS_EXISTS || file->now.len > 0);
	pthread_mutex_unlock(&disk->lock);
	return SQLITE_OK;
}

static int full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	snprintf(out, (size_t)size, "%s", name);
	return SQLITE_OK;
}

static int randomness(sqlite3_vfs *vfs, int len, char *out)
{
	struct fault_disk *disk = vfs->pAppData;

	pthread_mutex_lock(&disk->lock);
	for (int i = 0; i < len; i++)
		out[i] = (char)draw(disk);
	pthread_mutex_unlock(&disk->lock);
	return len;
}

static int no_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return microseconds;
}

static int current_time(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	(void)vfs;
	*ret = 210866760000000 + 1700000000000; /* Julian milliseconds */
	return SQLITE_OK;
}

static int last_error(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	if (len > 0)
		out[0] = '\0';
	return 0;
}

struct fault_disk *fault_disk_new(uint64_t seed)
{
	static unsigned count;
	struct fault_disk *disk = MH_NEW(struct fault_disk);

	pthread_mutex_init(&disk->lock, NULL);
	disk->random = seed;
	snprintf(disk->name, sizeof(disk->name), "fault-%u",
		 __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
	disk->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct handle),
		.mxPathname = 512,
		.zName = disk->name,
		.pAppData = disk,
		.xOpen = open_file,
		.xDelete = delete_file,
		.xAccess = access_file,
		.xFullPathname = full_path,
		.xRandomness = randomness,
		.xSleep = no_sleep,
		.xGetLastError = last_error,
		.xCurrentTimeInt64 = current_time,
	};
	MH_ASSERT(sqlite3_vfs_register(&disk->vfs, 0) == SQLITE_OK);
	return disk;
}

void fault_disk_free(struct fault_disk *disk)
{
	if (!disk)
		return;
	sqlite3_vfs_unregister(&disk->vfs);
	while (disk->files)
		destroy(disk, disk->files);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

const char *fault_disk_name(const struct fault_disk *disk)
{
	return disk->name;
}

/* --- what a test asks for ---------------------------------------------------------------- */

void fault_disk_set_capacity(struct fault_disk *disk, int64_t bytes)
{
	pthread_mutex_lock(&disk->lock);
	disk->capacity = bytes;
	pthread_mutex_unlock(&disk->lock);
}

void fault_disk_fail_at(struct fault_disk *disk, int64_t n)
{
	pthread_mutex_lock(&disk->lock);
	disk->fail_at = n;
	disk->failed = false;
	pthread_mutex_unlock(&disk->lock);
}

void fault_disk_die_at_sync(struct fault_disk *disk, int64_t n)
{
	pthread_mutex_lock(&disk->lock);
	disk->die_at = n;
	pthread_mutex_unlock(&disk->lock);
}

void fault_disk_die(struct fault_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->dead = true;
	pthread_mutex_unlock(&disk->lock);
}

#define FAULT_ASK(type, name, field)                                           \
	type name(struct fault_disk *disk)                                     \
	{                                                                      \
		type value;                                                    \
                                                                               \
		pthread_mutex_lock(&disk->lock);                               \
		value = disk->field;                                           \
		pthread_mutex_unlock(&disk->lock);                             \
		return value;                                                  \
	}
FAULT_ASK(int64_t, fault_disk_used, used)
FAULT_ASK(bool, fault_disk_has_failed, failed)
FAULT_ASK(bool, fault_disk_is_dead, dead)
FAULT_ASK(int64_t, fault_disk_syncs, syncs)
FAULT_ASK(int64_t, fault_disk_written, written)

void fault_disk_reboot(struct fault_disk *disk, enum fault_reboot how)
{
	pthread_mutex_lock(&disk->lock);
	disk->dead = disk->failed = false;
	disk->fail_at = disk->die_at = 0;
	disk->used = 0;
	for (struct file *file = disk->files; file; file = file->next) {
		MH_ASSERT(file->handles == 0);
		if (how == FAULT_POWER_LOSS)
			make_partly_safe(disk, file);
		else
			make_safe(file);
		/* What survived is what there is now. */
		if (how == FAULT_POWER_LOSS) {
			file->now.len = 0;
			put(&file->now, 0, file->safe.data ?
					(const void *)file->safe.data : "",
			    (int)file->safe.len);
		}
		disk->used += file->now.len;
	}
	pthread_mutex_unlock(&disk->lock);
}
