/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of the schema, embedded by embed.awk. Private to store/. */
#pragma once

/* Ordered by number; ended by number 0. */
struct mh_schema_step {
	int number;
	const char *name; /* "001_rooms.sql" */
	const char *sql;
};
extern const struct mh_schema_step mh_schema_steps[];
