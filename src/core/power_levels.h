/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power levels (client-server API, m.room.power_levels), parsed once from the
 * event's content. With version 12's creators, whose level is infinite, and
 * without a power levels event, whose defaults differ.
 */
#pragma once

#include "core/event.h"

#define MH_POWER_INFINITE INT64_MAX

struct mh_power_levels;

/*
 * `power_levels` may be NULL (the room has none); `create` is the room's
 * create event. Keeps nothing borrowed. M_BAD_JSON for a content that the
 * room version does not accept: wrong types of `users` in every version, of
 * anything from version 10 on, and creators among `users` in version 12.
 * Where an old version lets other nonsense pass ("ban": "high"), that member
 * counts as absent.
 */
int mh_power_levels_new(const struct mh_event *create,
			const struct mh_event *power_levels,
			struct mh_power_levels **ret, struct mh_error *err);
void mh_power_levels_free(struct mh_power_levels *levels);
MH_DEFINE_CLEANUP(struct mh_power_levels *, mh_power_levels_free)

int64_t mh_power_of_user(const struct mh_power_levels *levels,
			 struct mh_str user_id);
/* The level an event of this type needs. */
int64_t mh_power_for_event(const struct mh_power_levels *levels,
			   struct mh_str type, bool is_state);
enum mh_power_action {
	MH_POWER_BAN,
	MH_POWER_KICK,
	MH_POWER_INVITE,
	MH_POWER_REDACT,
};
int64_t mh_power_for_action(const struct mh_power_levels *levels,
			    enum mh_power_action action);
/* notifications.<key>, by default 50 ("room"). */
int64_t mh_power_for_notification(const struct mh_power_levels *levels,
				  struct mh_str key);
/* The room's creators: users of infinite power (v12), else its creator. */
bool mh_room_is_creator(const struct mh_event *create, struct mh_str user_id);

/*
 * May `sender` replace `from` by `to`? The rules for a m.room.power_levels
 * event where there is one already: nobody gives or takes a level above their
 * own, or touches another user of their own level. When not, `reason` says
 * what was tried.
 */
bool mh_power_levels_change_allowed(const struct mh_power_levels *from,
				    const struct mh_power_levels *to,
				    struct mh_str sender, char *reason,
				    size_t reason_size);
