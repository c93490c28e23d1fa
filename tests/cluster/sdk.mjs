// SPDX-License-Identifier: Apache-2.0
// Unmodified matrix-js-sdk clients for the tests.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { judgedFetch, until } from "./harness.mjs";

logger.setLevel("silent", false);
export { sdk };

export function client(node, account, options = {}) {
    return sdk.createClient({
        baseUrl: node.url,
        userId: account.user_id,
        accessToken: account.access_token,
        deviceId: account.device_id,
        fetchFn: judgedFetch,
        useAuthorizationHeader: true,
        timelineSupport: true,
        ...options,
    });
}

export async function started(node, account, options = {}) {
    const matrix = client(node, account, options);
    await matrix.startClient({ initialSyncLimit: 20, pollTimeout: 10000, ...options.start });
    await until("the first sync", () => matrix.isInitialSyncComplete(), (look) => {
        matrix.on(sdk.ClientEvent.Sync, look);
        return () => matrix.off(sdk.ClientEvent.Sync, look);
    });
    return matrix;
}

// Waits until `matrix` knows the room with this membership of its user.
export function inRoom(matrix, roomId, membership = "join") {
    return until(`${membership} of ${roomId}`, () =>
        matrix.getRoom(roomId)?.getMyMembership() === membership && matrix.getRoom(roomId),
    (look) => {
        const events = [sdk.ClientEvent.Room, sdk.RoomEvent.MyMembership, sdk.ClientEvent.Sync];
        events.forEach((e) => matrix.on(e, look));
        return () => events.forEach((e) => matrix.off(e, look));
    });
}

// Waits for an event of the room's live timeline that `wanted` accepts.
export function seen(matrix, roomId, what, wanted) {
    return until(what, () => {
        const room = matrix.getRoom(roomId);
        return room?.getLiveTimeline().getEvents().find(wanted)
            ?? [...(room?.getThreads() ?? [])].flatMap((t) => t.events).find(wanted);
    }, (look) => {
        const events = [sdk.RoomEvent.Timeline, sdk.RoomEvent.Redaction, sdk.ClientEvent.Sync,
                        sdk.ClientEvent.Event, sdk.MatrixEventEvent.Decrypted, sdk.ThreadEvent.Update];
        events.forEach((e) => matrix.on(e, look));
        return () => events.forEach((e) => matrix.off(e, look));
    });
}

export function body(event) {
    return event.getContent().body;
}
