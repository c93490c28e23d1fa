/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sniff.h"

enum mh_sniff mh_sniff(struct mh_str bytes)
{
	static const char line[] = "GET " MH_LIVE_PATH;
	const size_t len = sizeof(line) - 1;

	_Static_assert(sizeof(line) <= MH_SNIFF_MAX, "the peek is too short");
	if (bytes.len == 0)
		return MH_SNIFF_MORE;
	if (memcmp(bytes.data, line, bytes.len < len ? bytes.len : len))
		return MH_SNIFF_HTTP;
	if (bytes.len <= len)
		return MH_SNIFF_MORE;
	return bytes.data[len] == ' ' || bytes.data[len] == '?' ?
		       MH_SNIFF_LIVE :
		       MH_SNIFF_HTTP;
}
