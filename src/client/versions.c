/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A version of the spec is advertised when every operation that it added is
 * served. Operations of parts that a server may leave out, and that are found
 * out about in another way (single sign-on among the login flows, application
 * services), do not count.
 */
#include "client/client.h"
#include "http/router.h"

struct operation {
	enum mh_method method;
	const char *path;
};

struct version {
	const char *name;
	struct operation added[16];
};

#define V1 "/_matrix/client/v1/"
#define V3 "/_matrix/client/v3/"
#define MEDIA "/_matrix/client/v1/media/"

static const struct version versions[] = {
	{ "v1.1",
	  {
		  { MH_METHOD_POST, V3 "keys/device_signing/upload" },
		  { MH_METHOD_POST, V3 "keys/signatures/upload" },
		  { MH_METHOD_POST, V3 "room_keys/version" },
		  { MH_METHOD_GET, V3 "room_keys/version/{version}" },
		  { MH_METHOD_PUT, V3 "room_keys/version/{version}" },
		  { MH_METHOD_DELETE, V3 "room_keys/version/{version}" },
		  { MH_METHOD_PUT, V3 "room_keys/keys/{roomId}/{sessionId}" },
		  { MH_METHOD_GET, V3 "room_keys/keys/{roomId}" },
		  { MH_METHOD_DELETE, V3 "room_keys/keys" },
		  { MH_METHOD_POST, V3 "knock/{roomIdOrAlias}" },
	  } },
	{ "v1.2",
	  {
		  { MH_METHOD_GET,
		    V1 "register/m.login.registration_token/validity" },
		  { MH_METHOD_GET, V1 "rooms/{roomId}/hierarchy" },
	  } },
	{ "v1.3", { { MH_METHOD_POST, V3 "refresh" } } },
	{ "v1.4", { { MH_METHOD_GET, V1 "rooms/{roomId}/threads" } } },
	{ .name = "v1.5" },
	{ "v1.6",
	  { { MH_METHOD_GET, V1 "rooms/{roomId}/timestamp_to_event" } } },
	{ "v1.7",
	  {
		  { MH_METHOD_PUT,
		    "/_matrix/media/v3/upload/{serverName}/{mediaId}" },
		  { MH_METHOD_POST, "/_matrix/media/v1/create" },
		  { MH_METHOD_POST, V1 "login/get_token" },
	  } },
	{ .name = "v1.8" },
	{ .name = "v1.9" },
	{ "v1.10", { { MH_METHOD_GET, "/.well-known/matrix/support" } } },
	{ "v1.11",
	  {
		  { MH_METHOD_GET, MEDIA "download/{serverName}/{mediaId}" },
		  { MH_METHOD_GET, MEDIA "thumbnail/{serverName}/{mediaId}" },
		  { MH_METHOD_GET, MEDIA "preview_url" },
		  { MH_METHOD_GET, MEDIA "config" },
	  } },
	{ .name = "v1.12" },
	{ "v1.13", { { MH_METHOD_POST, V3 "rooms/{roomId}/report" } } },
	{ "v1.14", { { MH_METHOD_POST, V3 "users/{userId}/report" } } },
	{ "v1.15", { { MH_METHOD_GET, V1 "room_summary/{roomIdOrAlias}" } } },
	{ "v1.16", { { MH_METHOD_DELETE, V3 "profile/{userId}/{keyName}" } } },
	{ .name = "v1.17" },
	{ "v1.18",
	  {
		  { MH_METHOD_PUT, V1 "admin/suspend/{userId}" },
		  { MH_METHOD_PUT, V1 "admin/lock/{userId}" },
	  } },
	{ "v1.19", { { MH_METHOD_GET, V1 "user/mutual_rooms" } } },
};

static bool is_served(const struct mh_router *router,
		      const struct version *version)
{
	for (size_t i = 0; i < MH_ARRAY_LEN(version->added); i++)
		if (version->added[i].path &&
		    !mh_router_serves(router, version->added[i].method,
				      version->added[i].path))
			return false;
	return true;
}

int client_get_versions(struct mh_request *req, struct mh_error *err MH_UNUSED)
{
	MH_STRBUF(body);

	mh_strbuf_addlit(&body, "{\"versions\":[");
	for (size_t i = 0; i < MH_ARRAY_LEN(versions); i++) {
		if (!is_served(req->server->router, &versions[i]))
			continue;
		mh_json_add_comma(&body);
		mh_json_add_str(&body, mh_str(versions[i].name));
	}
	/* Nothing yet: the live channel has no transport. */
	mh_strbuf_addlit(&body, "],\"unstable_features\":{}}");
	return mh_reply_buf(req, &body);
}
