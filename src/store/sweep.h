/* SPDX-License-Identifier: Apache-2.0 */
/* See sweep.c. Private to store/; the writer's. */
#pragma once

#include "store/db.h"

void mh_sweep_init(struct mh_store *store);
/* After the last batch. */
void mh_sweep_release(struct mh_store *store);
/* A row that is being written refers to this state group. */
void mh_sweep_mark(struct mh_store *store, int64_t group);
