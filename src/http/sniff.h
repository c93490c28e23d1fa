/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the two surfaces behind one port a new connection wants, told by
 * the first bytes of its request line. Pure.
 */
#pragma once

#include "base/str.h"

/* The upgrade request of the live channel. */
#define MH_LIVE_PATH "/_moothall/client/v1/live"

/* Bytes that decide at most: "GET ", the path, and what ends it. */
#define MH_SNIFF_MAX 64

enum mh_sniff {
	MH_SNIFF_MORE, /* as far as it goes it may be either */
	MH_SNIFF_HTTP,
	MH_SNIFF_LIVE, /* "GET " MH_LIVE_PATH, then ' ' or '?' */
};

enum mh_sniff mh_sniff(struct mh_str bytes);
