// SPDX-License-Identifier: Apache-2.0
// The first milestone: two people register, open a room, talk, and see each
// other's messages, edits, redactions, reactions and receipts, with an
// unmodified SDK; then the node is killed and everything is still there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Node, problems, spec } from "./harness.mjs";
import { body, client, inRoom, sdk, seen, started } from "./sdk.mjs";

let node, aliceAccount, bobAccount, alice, bob, roomId;

before(async () => {
    node = await Node.start();
});
after(async () => {
    alice?.stopClient();
    bob?.stopClient();
    await node?.stop();
});

test("two people register and log in", async () => {
    aliceAccount = await node.account("alice");
    const registered = await node.account("bob");
    const login = await client(node, {}).login("m.login.password", {
        identifier: { type: "m.id.user", user: "bob" },
        password: registered.password,
    });
    assert.equal(login.user_id, "@bob:test.example");
    bobAccount = login;
    alice = await started(node, aliceAccount);
    bob = await started(node, bobAccount);
});

test("one opens a room and invites the other, who joins", async () => {
    const created = await alice.createRoom({
        name: "Village hall", preset: "private_chat", invite: [bobAccount.user_id],
    });
    roomId = created.room_id;
    await inRoom(alice, roomId);
    await inRoom(bob, roomId, "invite");
    await bob.joinRoom(roomId);
    await inRoom(bob, roomId);
    assert.equal(alice.getRoom(roomId).name, "Village hall");
});

test("messages arrive the moment they are sent, both ways", async () => {
    await alice.sendTextMessage(roomId, "hello bob");
    await seen(bob, roomId, "alice's message", (e) => body(e) === "hello bob");
    await bob.sendTextMessage(roomId, "hello alice");
    await seen(alice, roomId, "bob's message", (e) => body(e) === "hello alice");
});

test("an edit, a reaction and a redaction reach the other", async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, "tpyo");
    await seen(bob, roomId, "the typo", (e) => e.getId() === eventId);
    await alice.sendEvent(roomId, "m.room.message", {
        msgtype: "m.text", body: "* typo",
        "m.new_content": { msgtype: "m.text", body: "typo" },
        "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    await seen(bob, roomId, "the edit", (e) => e.getId() === eventId && body(e) === "typo");
    await bob.sendEvent(roomId, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "👍" },
    });
    await seen(alice, roomId, "the reaction", (e) => e.getType() === "m.reaction");
    const { event_id: secret } = await alice.sendTextMessage(roomId, "never mind this");
    await seen(bob, roomId, "the message to redact", (e) => e.getId() === secret);
    await alice.redactEvent(roomId, secret, undefined, { reason: "slip" });
    await seen(bob, roomId, "the redaction", (e) => e.getId() === secret && e.isRedacted());
});

test("a receipt, typing and a profile change are seen", async () => {
    const { event_id: eventId } = await alice.sendTextMessage(roomId, "read me");
    const event = await seen(bob, roomId, "the message", (e) => e.getId() === eventId);
    const receipt = new Promise((done) => alice.on(sdk.RoomEvent.Receipt, (e) =>
        Object.keys(e.getContent()).includes(eventId) && done()));
    await bob.sendReadReceipt(event);
    await receipt;
    const typing = new Promise((done) => alice.on(sdk.RoomMemberEvent.Typing, (e, member) =>
        member.userId === bobAccount.user_id && member.typing && done()));
    await bob.sendTyping(roomId, true, 20000);
    await typing;
    const named = new Promise((done) => alice.on(sdk.RoomMemberEvent.Name, (e, member) =>
        member.name === "Bob the Builder" && done()));
    await bob.setDisplayName("Bob the Builder");
    await named;
});

test("everything that was said can be paged back to", async () => {
    for (let i = 0; i < 60; i++)
        await alice.sendTextMessage(roomId, `line ${i}`);
    const reader = client(node, bobAccount);
    const found = new Set();
    let from = null;
    do {
        const page = await reader.createMessagesRequest(roomId, from, 17, sdk.Direction.Backward);
        page.chunk.forEach((e) => found.add(e.event_id));
        from = page.chunk.length ? page.end : undefined;
        for (const e of page.chunk.filter((x) => x.type === "m.room.message"))
            assert.ok(e.event_id.startsWith("$"));
    } while (from);
    assert.ok(found.size >= 68, `${found.size} events`);
});

test("kill -9 loses nothing, and the clients go on", async () => {
    const { event_id: last } = await alice.sendTextMessage(roomId, "before the cut");
    const since = alice.store.getSyncToken();
    await node.kill();
    await node.restart();
    const sync = await node.request("GET", `/_matrix/client/v3/sync?timeout=0&since=${since}`,
        { token: aliceAccount.access_token });
    assert.equal(sync.status, 200);
    const { event_id: next } = await alice.sendTextMessage(roomId, "after the cut");
    await seen(bob, roomId, "the message after the restart", (e) => e.getId() === next);
    await seen(bob, roomId, "the message before it", (e) => e.getId() === last);
});

test("logging out ends the session at once", async () => {
    bob.stopClient();
    await bob.logout(true);
    const who = await node.request("GET", "/_matrix/client/v3/account/whoami",
        { token: bobAccount.access_token });
    assert.equal(who.status, 401);
    assert.equal(who.body.errcode, "M_UNKNOWN_TOKEN");
});

test("every response fits the spec's schema", { skip: !spec && "the spec is not there" }, () => {
    assert.deepEqual([...new Set(problems)], []);
});
