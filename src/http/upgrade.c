/* SPDX-License-Identifier: Apache-2.0 */
#include "http/upgrade.h"

#include "base/base64.h"
#include "http/sniff.h"
#include "http/uri.h"

#include <openssl/evp.h>
#include <strings.h>

static const char accept_suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static struct mh_str trim(struct mh_str s)
{
	while (s.len > 0 && (*s.data == ' ' || *s.data == '\t'))
		s = mh_str_n(s.data + 1, s.len - 1);
	while (s.len > 0 &&
	       (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Is the word in a list that is separated by commas? */
static bool lists(struct mh_str list, const char *word, bool any_case)
{
	while (list.len > 0) {
		ptrdiff_t at = mh_str_find(list, ',');
		struct mh_str item =
			trim(at < 0 ? list : mh_str_first(list, (size_t)at));

		if (item.len == strlen(word) &&
		    (any_case ? !strncasecmp(item.data, word, item.len)
			      : !memcmp(item.data, word, item.len)))
			return true;
		list = at < 0 ? MH_STR_NONE : mh_str_from(list, (size_t)at + 1);
	}
	return false;
}

bool mh_upgrade_wanted(struct mh_request *req)
{
	struct mh_str path, query;

	return req->method == MH_METHOD_GET &&
	       lists(mh_request_header(req, "Upgrade"), "websocket", true) &&
	       mh_uri_split(req->target, &path, &query) &&
	       mh_str_is(path, MH_LIVE_PATH);
}

int mh_upgrade_check(struct mh_request *req,
		     char accept[static MH_WEBSOCKET_ACCEPT_SIZE],
		     struct mh_error *err)
{
	struct mh_str key = trim(mh_request_header(req, "Sec-WebSocket-Key"));
	unsigned char raw[16], digest[EVP_MAX_MD_SIZE];
	char text[24 + sizeof(accept_suffix)];
	MH_STRBUF(encoded);
	size_t len;

	if (!lists(mh_request_header(req, "Sec-WebSocket-Version"), "13",
		   false)) {
		mh_reply_header(req, "Sec-WebSocket-Version", "13");
		return mh_fail_status(err, 426, MH_M_INVALID_PARAM,
				      "the live channel speaks version 13 of "
				      "the WebSocket protocol");
	}
	if (key.len != 24 ||
	    !mh_base64_decode(MH_BASE64_STD, key, raw, sizeof(raw), &len) ||
	    len != sizeof(raw))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "Sec-WebSocket-Key is not 16 bytes in base64");
	if (!lists(mh_request_header(req, "Sec-WebSocket-Protocol"),
		   MH_LIVE_SUBPROTOCOL, false))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "the live channel speaks the subprotocol "
			       "'" MH_LIVE_SUBPROTOCOL "'");

	memcpy(text, key.data, key.len);
	memcpy(text + key.len, accept_suffix, sizeof(accept_suffix));
	MH_ASSERT(EVP_Digest(text, key.len + sizeof(accept_suffix) - 1, digest,
			     NULL, EVP_sha1(), NULL) == 1);
	mh_base64_encode(MH_BASE64_STD, digest, 20, &encoded);
	MH_ASSERT(encoded.len == MH_WEBSOCKET_ACCEPT_SIZE - 2);
	memcpy(accept, encoded.data, encoded.len);
	accept[encoded.len] = '='; /* ours is without padding */
	accept[encoded.len + 1] = '\0';
	return 0;
}

bool mh_upgrade_drops(const char *header)
{
	return !strcasecmp(header, "Sec-WebSocket-Extensions");
}
