/* SPDX-License-Identifier: Apache-2.0 */
#include "service/uia.h"

#include "http/router.h"
#include "service/passwords.h"
#include "service/rate_limits.h"
#include "store/accounts.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_ATTEMPTS 4096
#define ID_LETTERS 24
#define TOKEN_MAX 64 /* "Token-authenticated registration" */

/* The stages this node knows; bits of `completed`. */
enum stage {
	STAGE_PASSWORD,
	STAGE_DUMMY,
	STAGE_TOKEN,
	STAGE_TERMS,
	N_STAGES,
};

static const char *const stage_names[N_STAGES] = {
	[STAGE_PASSWORD] = "m.login.password",
	[STAGE_DUMMY] = "m.login.dummy",
	[STAGE_TOKEN] = "m.login.registration_token",
	[STAGE_TERMS] = "m.login.terms",
};

/* One flow is all there ever is to choose from. */
struct flow {
	enum stage stages[2];
	size_t n;
};

/* An attempt in the table: its ID is "<slot in hex>-<letters>". */
struct attempt {
	char letters[ID_LETTERS + 1];
	unsigned char bound_to[MH_SHA256];
	unsigned completed;
	int64_t expires; /* mono_ms */
	char token[TOKEN_MAX + 1];
};

struct mh_uia {
	struct mh_server *server;
	pthread_mutex_t lock;
	struct attempt *attempts[MAX_ATTEMPTS];
	size_t next; /* the slot that is used next: the oldest */
};

/* What one request is about; lives in its arena. */
struct step {
	enum mh_uia_kind kind;
	struct flow flow;
	unsigned char bound_to[MH_SHA256];
	size_t slot;
	char letters[ID_LETTERS + 1];
	int (*then)(struct mh_request *req, const struct mh_uia_done *done,
		    struct mh_error *err);
	struct mh_uia_done done;
};

struct mh_uia *mh_uia_new(struct mh_server *server)
{
	struct mh_uia *uia = MH_NEW(struct mh_uia);

	uia->server = server;
	pthread_mutex_init(&uia->lock, NULL);
	return uia;
}

void mh_uia_free(struct mh_uia *uia)
{
	if (!uia)
		return;
	for (size_t i = 0; i < MAX_ATTEMPTS; i++)
		free(uia->attempts[i]);
	pthread_mutex_destroy(&uia->lock);
	free(uia);
}

/* --- attempts ------------------------------------------------------------ */

/* The attempt of a step, or NULL when it is gone. The lock is held. */
static struct attempt *attempt_of(struct mh_uia *uia, const struct step *step)
{
	struct attempt *attempt;

	if (step->slot >= MAX_ATTEMPTS)
		return NULL;
	attempt = uia->attempts[step->slot];
	if (!attempt ||
	    !mh_str_eq_secret(mh_str(attempt->letters),
			      mh_str(step->letters)) ||
	    memcmp(attempt->bound_to, step->bound_to, MH_SHA256) != 0 ||
	    attempt->expires <= mh_clock_mono(uia->server->clock))
		return NULL;
	return attempt;
}

/* Takes an ID apart; what it finds need not exist. */
static void parse_id(struct mh_str id, struct step *step)
{
	size_t slot = 0, i;

	step->slot = MAX_ATTEMPTS;
	if (id.len != 3 + 1 + ID_LETTERS || id.data[3] != '-')
		return;
	for (i = 0; i < 3; i++) {
		const char digits[] = "0123456789abcdef";
		const char *digit = memchr(digits, id.data[i], 16);

		if (!digit)
			return;
		slot = slot * 16 + (size_t)(digit - digits);
	}
	memcpy(step->letters, id.data + 4, ID_LETTERS);
	step->slot = slot;
}

/* Makes sure that the step has an attempt: the one that it names, or a new. */
static void open_attempt(struct mh_uia *uia, struct step *step)
{
	struct mh_server *server = uia->server;
	struct attempt *attempt;

	pthread_mutex_lock(&uia->lock);
	if (!attempt_of(uia, step)) {
		step->slot = uia->next;
		uia->next = (uia->next + 1) % MAX_ATTEMPTS;
		if (!uia->attempts[step->slot])
			uia->attempts[step->slot] = MH_NEW(struct attempt);
		attempt = uia->attempts[step->slot];
		*attempt = (struct attempt){
			.expires = mh_clock_mono(server->clock) +
				   server->settings->auth.uia_lifetime,
		};
		memcpy(attempt->bound_to, step->bound_to, MH_SHA256);
		mh_random_letters(server->random, attempt->letters, ID_LETTERS);
		memcpy(step->letters, attempt->letters, sizeof(step->letters));
	}
	pthread_mutex_unlock(&uia->lock);
}

static unsigned completed_of(struct mh_uia *uia, const struct step *step)
{
	struct attempt *attempt;
	unsigned completed;

	pthread_mutex_lock(&uia->lock);
	attempt = attempt_of(uia, step);
	completed = attempt ? attempt->completed : 0;
	pthread_mutex_unlock(&uia->lock);
	return completed;
}

/* --- the 401 ------------------------------------------------------------- */

static void add_terms(const struct mh_settings *settings,
		      struct mh_strbuf *extra)
{
	mh_strbuf_addlit(extra, "\"m.login.terms\":{\"policies\":"
				"{\"terms_of_service\":{\"version\":");
	mh_json_add_str(extra, mh_str(settings->registration.terms_version));
	mh_strbuf_addlit(extra, ",\"en\":{\"name\":");
	mh_json_add_str(extra, mh_str(settings->registration.terms_name));
	mh_strbuf_addlit(extra, ",\"url\":");
	mh_json_add_str(extra, mh_str(settings->registration.terms_url));
	mh_strbuf_addlit(extra, "}}}}");
}

static void add_stages(const struct flow *flow, unsigned mask,
		       struct mh_strbuf *extra)
{
	mh_strbuf_addch(extra, '[');
	for (size_t i = 0; i < flow->n; i++) {
		if (!(mask & 1u << flow->stages[i]))
			continue;
		mh_json_add_comma(extra);
		mh_json_add_str(extra, mh_str(stage_names[flow->stages[i]]));
	}
	mh_strbuf_addch(extra, ']');
}

/*
 * Makes `err` the answer that says what to do. A failure in it already stays
 * as its errcode: the client may try again.
 */
static int challenge(struct mh_request *req, const struct step *step,
		     struct mh_error *err)
{
	struct mh_strbuf *extra = &err->extra;
	unsigned completed = completed_of(req->server->uia, step);

	err->status = 401;
	err->no_errcode = err->code == MH_OK;
	mh_strbuf_clear(extra);
	if (completed) {
		mh_strbuf_addlit(extra, "\"completed\":");
		add_stages(&step->flow, completed, extra);
		mh_strbuf_addch(extra, ',');
	}
	mh_strbuf_addlit(extra, "\"flows\":[{\"stages\":");
	add_stages(&step->flow, ~0u, extra);
	mh_strbuf_addlit(extra, "}],\"params\":{");
	for (size_t i = 0; i < step->flow.n; i++)
		if (step->flow.stages[i] == STAGE_TERMS)
			add_terms(req->server->settings, extra);
	mh_strbuf_addf(extra, "},\"session\":\"%03zx-%s\"", step->slot,
		       step->letters);
	return -1;
}

static int refuse(struct mh_request *req, const struct step *step,
		  const char *why, struct mh_error *err)
{
	mh_fail(err, MH_M_FORBIDDEN, "%s", why);
	return challenge(req, step, err);
}

/* --- stages -------------------------------------------------------------- */

/* Records a stage; goes on with the request when it was the last. */
static int complete(struct mh_request *req, struct step *step, enum stage stage,
		    struct mh_error *err)
{
	struct mh_uia *uia = req->server->uia;
	struct attempt *attempt;
	unsigned wanted = 0;
	bool finished = false;

	for (size_t i = 0; i < step->flow.n; i++)
		wanted |= 1u << step->flow.stages[i];
	pthread_mutex_lock(&uia->lock);
	attempt = attempt_of(uia, step);
	if (attempt) {
		attempt->completed |= 1u << stage;
		if (step->done.registration_token.data)
			memcpy(attempt->token, step->done.registration_token.data,
			       step->done.registration_token.len + 1);
		finished = (attempt->completed & wanted) == wanted;
		if (finished && attempt->token[0])
			step->done.registration_token = mh_arena_str(
				&req->arena, mh_str(attempt->token));
		if (finished)
			attempt->expires = INT64_MIN; /* it was good once */
	}
	pthread_mutex_unlock(&uia->lock);
	return finished ? step->then(req, &step->done, err) :
			  challenge(req, step, err);
}

static int password_checked(struct mh_request *req, bool right, void *context,
			    struct mh_error *err)
{
	struct step *step = context;

	if (!right)
		return refuse(req, step, "wrong user or password", err);
	return complete(req, step, STAGE_PASSWORD, err);
}

/* Is the person that `auth` names the one who asks? */
static int names_requester(struct mh_request *req, const json_t *auth,
			   struct mh_error *err)
{
	struct mh_str user, type;
	json_t *identifier;
	int rc = mh_json_get_object(auth, "identifier", &identifier, err);

	if (rc > 0) {
		if (mh_json_need_str(identifier, "type", &type, err) < 0)
			return -1;
		if (!mh_str_is(type, "m.id.user"))
			return 0;
		rc = mh_json_get_str(identifier, "user", &user, err);
	} else if (rc == 0) {
		rc = mh_json_get_str(auth, "user", &user, err);
	}
	if (rc < 0)
		return -1;
	if (rc == 0)
		return 1; /* there is no other whom it could be about */
	return mh_str_eq(user, req->who.user_id) ||
	       mh_str_eq(user, mh_id_localpart(req->who.user_id));
}

static int try_password(struct mh_request *req, struct step *step,
			const json_t *auth, struct mh_error *err)
{
	struct mh_rate_key key = { MH_RATE_BY_ACCOUNT, req->who.user_id };
	struct mh_account account = { 0 };
	struct mh_str password;
	int rc = names_requester(req, auth, err);

	if (rc < 0 || mh_json_need_str(auth, "password", &password, err) < 0)
		return -1;
	if (rc == 0)
		return refuse(req, step, "wrong user or password", err);
	if (mh_rate_limits_take(req->server->limits, MH_RATE_LOGIN, &key, 1,
				err) < 0 ||
	    mh_account_get(mh_request_db(req), req->who.user, &req->arena,
			   &account, err) < 0)
		return -1;
	return mh_password_check(req, password, account.password_hash,
				 password_checked, step, err);
}

static int try_token(struct mh_request *req, struct step *step,
		     const json_t *auth, struct mh_error *err)
{
	struct mh_str token;
	int rc;

	if (mh_json_need_str(auth, "token", &token, err) < 0)
		return -1;
	if (token.len == 0 || token.len > TOKEN_MAX ||
	    !mh_opaque_id_valid(token))
		return refuse(req, step, "the registration token is not valid",
			      err);
	rc = mh_registration_token_valid(mh_request_db(req), token,
					 mh_clock_wall(req->server->clock),
					 err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return refuse(req, step, "the registration token is not valid",
			      err);
	step->done.registration_token = mh_arena_str(&req->arena, token);
	return complete(req, step, STAGE_TOKEN, err);
}

static int try_stage(struct mh_request *req, struct step *step,
		     const json_t *auth, struct mh_str type,
		     struct mh_error *err)
{
	unsigned completed = completed_of(req->server->uia, step);
	enum stage stage;
	size_t i = 0;

	while (i < step->flow.n && completed & 1u << step->flow.stages[i])
		i++;
	/* A reload may have taken away what was still to do. */
	if (i == step->flow.n)
		return complete(req, step, step->flow.stages[0], err);
	stage = step->flow.stages[i];
	if (!mh_str_is(type, stage_names[stage])) {
		for (i = 0; i < step->flow.n; i++)
			if (completed & 1u << step->flow.stages[i] &&
			    mh_str_is(type, stage_names[step->flow.stages[i]]))
				return challenge(req, step, err);
		return refuse(req, step, "this is not the next stage of a flow",
			      err);
	}
	switch (stage) {
	case STAGE_PASSWORD:
		return try_password(req, step, auth, err);
	case STAGE_TOKEN:
		return try_token(req, step, auth, err);
	default:
		return complete(req, step, stage, err);
	}
}

/* --- what is asked -------------------------------------------------------- */

static int flow_of(const struct mh_server *server, enum mh_uia_kind kind,
		   struct flow *ret, struct mh_error *err)
{
	const struct mh_settings *settings = server->settings;

	*ret = (struct flow){ 0 };
	if (kind == MH_UIA_ACCOUNT) {
		ret->stages[ret->n++] = STAGE_PASSWORD;
		return 0;
	}
	if (settings->registration.mode == MH_REGISTRATION_CLOSED)
		return mh_fail(err, MH_M_FORBIDDEN, "registration is closed");
	if (settings->registration.mode == MH_REGISTRATION_TOKEN)
		ret->stages[ret->n++] = STAGE_TOKEN;
	if (settings->registration.terms_url[0])
		ret->stages[ret->n++] = STAGE_TERMS;
	if (ret->n == 0)
		ret->stages[ret->n++] = STAGE_DUMMY;
	return 0;
}

/* A digest of everything an attempt is bound to. */
static int bind(struct mh_request *req, const json_t *body, struct step *step,
		struct mh_error *err)
{
	MH_CLEANUP(json_decrefp) json_t *rest = NULL;
	MH_STRBUF(text);

	mh_strbuf_addf(&text, "%s %s\n", mh_method_name(req->route->method),
		       req->route->path);
	if (step->kind == MH_UIA_ACCOUNT) {
		mh_json_add_str(&text, req->who.user_id);
		for (size_t i = 0; i < req->n_params; i++)
			mh_json_add_str(&text, req->path_params[i]);
		rest = json_copy((json_t *)(uintptr_t)body);
		json_object_del(rest, "auth");
		if (mh_canonical_json_value(rest, MH_JSON_TOLERANT, &text,
					    err) < 0)
			return -1;
	}
	mh_sha256(mh_strbuf_str(&text), step->bound_to);
	return 0;
}

int mh_uia_require(struct mh_request *req, enum mh_uia_kind kind,
		   int (*then)(struct mh_request *req,
			       const struct mh_uia_done *done,
			       struct mh_error *err),
		   struct mh_error *err)
{
	struct step *step = MH_ARENA_NEW(&req->arena, struct step);
	struct mh_str id = MH_STR_NONE, type = MH_STR_NONE;
	json_t *body, *auth = NULL;
	int has_type = 0;

	step->kind = kind;
	step->then = then;
	if (flow_of(req->server, kind, &step->flow, err) < 0 ||
	    mh_request_json(req, &body, err) < 0 ||
	    mh_json_get_object(body, "auth", &auth, err) < 0 ||
	    bind(req, body, step, err) < 0)
		return -1;
	if (auth) {
		has_type = mh_json_get_str(auth, "type", &type, err);
		if (has_type < 0 ||
		    mh_json_get_str(auth, "session", &id, err) < 0)
			return -1;
	}
	parse_id(id, step);
	open_attempt(req->server->uia, step);
	if (!has_type)
		return challenge(req, step, err);
	return try_stage(req, step, auth, type, err);
}
