/* SPDX-License-Identifier: Apache-2.0 */
#include "service/sync.h"

/* The next run of digits (and '-') of `text`, which it leaves behind. */
static bool take_int(struct mh_str *text, int64_t *ret)
{
	size_t len = 0;

	while (len < text->len &&
	       ((text->data[len] >= '0' && text->data[len] <= '9') ||
		text->data[len] == '-'))
		len++;
	if (!mh_str_to_int(mh_str_first(*text, len), ret))
		return false;
	*text = mh_str_from(*text, len);
	return true;
}

static bool take_char(struct mh_str *text, char c)
{
	if (text->len == 0 || text->data[0] != c)
		return false;
	*text = mh_str_from(*text, 1);
	return true;
}

static bool parse(const struct mh_server *server, struct mh_str text,
		  struct mh_sync_token *ret)
{
	struct mh_str boot;
	ptrdiff_t end;

	if (!take_char(&text, 's') || !take_int(&text, &ret->pos) ||
	    !take_char(&text, '_') || !take_int(&text, &ret->ephemeral) ||
	    !take_char(&text, '_'))
		return false;
	end = mh_str_find(text, '_');
	boot = end < 0 ? text : mh_str_first(text, (size_t)end);
	ret->same_boot = mh_str_is(boot, server->boot_id);
	ret->to_device = ret->pos;
	if (end < 0)
		return boot.len > 0;
	text = mh_str_from(text, (size_t)end + 1);
	return take_int(&text, &ret->to_device) && text.len == 0 &&
	       ret->to_device <= ret->pos;
}

int mh_sync_token_parse(const struct mh_server *server, struct mh_str text,
			struct mh_sync_token *ret, struct mh_error *err)
{
	if (!parse(server, text, ret) || ret->pos < 0 || ret->ephemeral < 0 ||
	    ret->to_device < 0 || ret->pos > mh_store_position(server->store))
		return mh_fail(err, MH_M_INVALID_PARAM,
			       "'since' must be the next_batch of an earlier "
			       "response");
	return 0;
}

void mh_sync_token_add(const struct mh_server *server,
		       const struct mh_sync_token *token, struct mh_strbuf *out)
{
	mh_strbuf_addch(out, 's');
	mh_strbuf_addint(out, token->pos);
	mh_strbuf_addch(out, '_');
	mh_strbuf_addint(out, token->ephemeral);
	mh_strbuf_addch(out, '_');
	mh_strbuf_addstr(out, mh_str(server->boot_id));
	if (token->to_device != token->pos) {
		mh_strbuf_addch(out, '_');
		mh_strbuf_addint(out, token->to_device);
	}
}

int mh_page_token_parse(struct mh_str text, struct mh_page_token *ret,
			struct mh_error *err)
{
	if (take_char(&text, 't') && take_int(&text, &ret->depth) &&
	    take_char(&text, '_') && take_int(&text, &ret->pos) &&
	    text.len == 0)
		return 0;
	return mh_fail(err, MH_M_INVALID_PARAM,
		       "the token is none that this server has given");
}

void mh_page_token_add(const struct mh_page_token *token, struct mh_strbuf *out)
{
	mh_strbuf_addch(out, 't');
	mh_strbuf_addint(out, token->depth);
	mh_strbuf_addch(out, '_');
	mh_strbuf_addint(out, token->pos);
}
