// SPDX-License-Identifier: Apache-2.0
// The daemon as a process: options, signals, its data folder, and mootctl.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Daemon, freePort, moothalld } from "./harness.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const mootctl = process.env.MOOTCTL ?? resolve(here, "../../build/mootctl");

const dir = mkdtempSync(join(tmpdir(), "moothall-daemon-"));
const config = join(dir, "moothall.conf");
const data = join(dir, "data");
let node;

function run(program, args, input = "") {
    const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: "utf8" });
    return { status, stdout, stderr };
}

const ctl = (args, input) => run(mootctl, ["-c", config, ...args], input);
const ctlJson = (args, input) => {
    const { status, stdout, stderr } = ctl(["--json", ...args], input);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
};

function writeConfig(port, ...extra) {
    writeFileSync(config, ["[server]", "name = a.example", `data_dir = ${data}`, "[listen]",
        `client = 127.0.0.1:${port}`, "[auth]", "password_cost = minimal", ...extra, ""].join("\n"));
}

before(async () => {
    writeConfig(await freePort());
    node = new Daemon("-c", config);
    await node.says(/serves 'a\.example'/);
});

after(async () => {
    node.child.kill("SIGKILL");
    await node.exited;
    rmSync(dir, { recursive: true, force: true });
});

test("bad options and bad configurations are told apart from failures", () => {
    assert.equal(run(moothalld, ["--nonsense"]).status, 2);
    assert.equal(run(moothalld, ["-c", "/no/where"]).status, 2);
    const bad = run(moothalld, ["-c", config, "-o", "registration.mode=ajar"]);
    assert.equal(bad.status, 2);
    assert.match(bad.stderr, /must be closed, token or open, not 'ajar'/);
    const folder = run(moothalld, ["-c", config, "-o", "server.data_dir=/no/where/at/all"]);
    assert.equal(folder.status, 1);
    assert.match(folder.stderr, /'\/no\/where\/at\/all' cannot be made/);
});

test("the effective configuration and the sample are printed", () => {
    const { status, stdout } = run(moothalld, ["-c", config, "-o", "log.level=debug", "--print-config"]);
    assert.equal(status, 0);
    assert.match(stdout, /^level = debug$/m);
    const sample = run(moothalld, ["--print-sample-config"]);
    assert.equal(sample.status, 0);
    assert.match(sample.stdout, /^\[registration\]$/m);
});

test("data and socket are the owner's alone", () => {
    assert.equal(statSync(data).mode & 0o777, 0o700);
    assert.equal(statSync(join(data, "control.sock")).mode & 0o777, 0o600);
    assert.equal(statSync(join(data, "moothall.db")).mode & 0o777, 0o600);
});

test("a second daemon on the same data is refused, and names the first", () => {
    const second = run(moothalld, ["-c", config]);
    assert.equal(second.status, 1);
    assert.match(second.stderr, new RegExp(`another moothalld \\(process ${node.child.pid}\\)`));
    assert.equal(ctl(["status"]).status, 0);
});

test("clients are served, and an address that is taken is named", async () => {
    const port = /client = 127\.0\.0\.1:(\d+)/.exec(readFileSync(config, "utf8"))[1];
    const response = await fetch(`http://127.0.0.1:${port}/_matrix/client/versions`);
    assert.equal(response.status, 200);
    assert.ok((await response.json()).versions.length > 0);
    const second = run(moothalld, ["-c", config, "-o", `server.data_dir=${join(dir, "other")}`]);
    assert.equal(second.status, 1);
    assert.match(second.stderr, new RegExp(`127\\.0\\.0\\.1:${port}`));
});

test("a read-only data folder is named", { skip: process.getuid() === 0 && "root may write anywhere" }, () => {
    const folder = mkdtempSync(join(dir, "ro-"));
    chmodSync(folder, 0o500);
    const { status, stderr } = run(moothalld, ["-c", config, "-o", `server.data_dir=${folder}`]);
    assert.equal(status, 1);
    assert.match(stderr, /cannot be written/);
});

test("SIGHUP takes up what it can and says what it cannot", async () => {
    const port = /client = 127\.0\.0\.1:(\d+)/.exec(readFileSync(config, "utf8"))[1];
    let from = node.log.length;
    writeConfig(port, "[limits]", "message = off", "[memory]", "budget = 64M");
    node.child.kill("SIGHUP");
    await node.says(/need a restart: memory\.budget/, from);
    assert.match(node.log.slice(from), /changed: limits\.message/);
    from = node.log.length;
    writeConfig(port, "[limits]", "message = some");
    node.child.kill("SIGHUP");
    await node.says(/the configuration stays as it was/, from);
    assert.match(node.log.slice(from), /'message' in \[limits\] must be a rate/);
    writeConfig(port);
    from = node.log.length;
    node.child.kill("SIGHUP");
    await node.says(/reloaded/, from);
});

test("mootctl makes, shows and changes accounts", () => {
    assert.deepEqual(ctlJson(["user", "add", "alice", "--admin"], "a long passphrase\n"),
        { user_id: "@alice:a.example", admin: true });
    assert.equal(ctlJson(["user", "add", "Bob", "--password", "another passphrase"]).user_id, "@bob:a.example");
    const taken = ctl(["user", "add", "alice", "--no-password"]);
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /taken|in use|exists/i);
    assert.equal(ctl(["user", "add", "eve", "--password", "x"]).status, 1);
    assert.equal(ctl(["user", "add", "e v e", "--no-password"]).status, 1);
    assert.deepEqual(ctlJson(["user", "list"]).users.map((user) => user.user_id).sort(),
        ["@alice:a.example", "@bob:a.example"]);
    assert.equal(ctl(["user", "password", "@bob:a.example"], "yet another phrase\n").status, 0);
    assert.equal(ctl(["user", "password", "nobody"], "yet another phrase\n").status, 1);
    assert.equal(ctl(["user", "deactivate", "bob"]).status, 0);
    assert.equal(ctlJson(["user", "show", "bob"]).deactivated, true);
    assert.equal(ctl(["user", "deactivate", "bob"]).status, 1);
});

test("mootctl manages registration tokens", () => {
    const { token } = ctlJson(["registration-token", "create", "--uses", "2", "--hours", "1"]);
    const { tokens } = ctlJson(["registration-token", "list"]);
    assert.equal(tokens.length, 1);
    assert.equal(tokens[0].token, token);
    assert.equal(tokens[0].uses_allowed, 2);
    assert.equal(ctl(["registration-token", "revoke", token]).status, 0);
    assert.equal(ctl(["registration-token", "revoke", token]).status, 1);
});

test("mootctl's exit status tells usage, refusal and absence apart", () => {
    assert.equal(ctl(["fly"]).status, 2);
    assert.equal(ctl(["user", "show"]).status, 2);
    assert.equal(ctl(["user", "show", "nobody"]).status, 1);
    assert.equal(run(mootctl, ["--socket", "/no/where", "status"]).status, 3);
    assert.equal(ctl(["config", "check"]).status, 0);
    assert.equal(run(mootctl, ["-c", "/no/where", "config", "check"]).status, 1);
    for (const words of [[], ["user", "add"], ["room", "show"], ["status"], ["config", "check"]]) {
        const { status, stdout } = run(mootctl, [...words, "--help"]);
        assert.equal(status, 0);
        assert.match(stdout, /^Usage: mootctl/);
    }
    assert.deepEqual(ctlJson(["room", "list"]).rooms, []);
    assert.equal(ctl(["room", "show", "!no:a.example"]).status, 1);
});

test("SIGTERM ends it within 5 seconds, and what was made is there again", async () => {
    const began = process.hrtime.bigint();
    node.child.kill("SIGTERM");
    assert.deepEqual(await node.exited, { code: 0, signal: null });
    assert.ok(process.hrtime.bigint() - began < 5_000_000_000n);
    assert.equal(existsSync(join(data, "control.sock")), false);
    assert.equal(ctl(["status"]).status, 3);
    node = new Daemon("-c", config);
    await node.says(/serves 'a\.example'/);
    assert.equal(ctlJson(["user", "show", "alice"]).admin, true);
});

test("after kill -9 it starts on the same data, stale socket and all", async () => {
    node.child.kill("SIGKILL");
    await node.exited;
    assert.equal(existsSync(join(data, "control.sock")), true);
    node = new Daemon("-c", config);
    await node.says(/serves 'a\.example'/);
    assert.equal(ctlJson(["status"]).server_name, "a.example");
});
