// SPDX-License-Identifier: Apache-2.0
// Real daemons on loopback, and clients whose every response is judged by the
// spec's schemas.
//
//	const node = await Node.start();
//	const alice = await node.register("alice");	  an unmodified SDK client
//	await node.kill(); await node.restart();	  as after a power cut
//	await node.stop();				  removes its data
//
// Nothing here sleeps: until() waits for a condition that some event of the
// program under test makes true, and gives up at a deadline.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { load } from "./openapi.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const moothalld = process.env.MOOTHALLD ?? resolve(here, "../../build/moothalld");

// Responses that did not fit the spec, over the whole test file.
export const problems = [];
export const spec = load();

export async function freePort() {
    const server = createServer();
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

// Resolves once `condition()` is truthy; `emitter.on(event)` says when to look.
export function until(what, condition, subscribe, ms = 20000) {
    return new Promise((done, fail) => {
        let unsubscribe = () => {};
        const look = () => {
            let value;
            try {
                value = condition();
            } catch (error) {
                finish(() => fail(error));
                return;
            }
            if (value)
                finish(() => done(value));
        };
        const deadline = setTimeout(() => finish(() => fail(new Error(`waited ${ms} ms for ${what}`))), ms);
        const finish = (end) => {
            clearTimeout(deadline);
            unsubscribe();
            end();
        };
        unsubscribe = subscribe(look) ?? unsubscribe;
        look();
    });
}

// fetch() that checks each JSON response against the spec's schema.
export async function judgedFetch(input, init = {}) {
    const response = await fetch(input, init);
    const url = new URL(typeof input === "string" ? input : input.url ?? input.href);
    const type = response.headers.get("content-type") ?? "";
    if (spec && type.startsWith("application/json")) {
        const body = await response.clone().json();
        problems.push(...spec.check(init.method ?? "GET", url.pathname, response.status, body));
    }
    return response;
}

// A process whose log can be waited for: daemon.says(/ready/).
export class Daemon {
    log = "";
    #waiting = [];

    constructor(...args) {
        this.child = spawn(moothalld, args, { stdio: ["ignore", "ignore", "pipe"] });
        this.exited = new Promise((done) => this.child.once("exit", (code, signal) => done({ code, signal })));
        this.child.stderr.setEncoding("utf8");
        this.child.stderr.on("data", (text) => {
            this.log += text;
            this.#waiting.forEach((look) => look());
        });
        this.exited.then(() => this.#waiting.forEach((look) => look()));
    }

    get ended() {
        return this.child.exitCode !== null || this.child.signalCode !== null;
    }

    says(pattern, from = 0) {
        return until(`${pattern} in the log`, () => {
            if (pattern.test(this.log.slice(from)))
                return true;
            if (this.ended)
                throw new Error(`ended without ${pattern}: ${this.log}`);
            return false;
        }, (look) => {
            this.#waiting.push(look);
            return () => { this.#waiting = this.#waiting.filter((other) => other !== look); };
        });
    }
}

export class Node {
    #daemon;

    static async start(options = {}) {
        const node = new Node();
        node.dir = mkdtempSync(join(tmpdir(), "moothall-test-"));
        node.port = await freePort();
        node.url = `http://127.0.0.1:${node.port}`;
        node.name = options.name ?? "test.example";
        node.config = join(node.dir, "moothall.conf");
        writeFileSync(node.config, [
            "[server]", `name = ${node.name}`, `data_dir = ${join(node.dir, "data")}`,
            `public_url = ${node.url}`,
            "[listen]", `client = 127.0.0.1:${node.port}`,
            "[registration]", "mode = open",
            "[limits]", `rate_limits = ${options.rateLimits ?? "off"}`,
            "[auth]", "password_cost = minimal",
            ...(options.extra ?? []), "",
        ].join("\n"));
        await node.restart();
        return node;
    }

    get pid() {
        return this.#daemon.child.pid;
    }

    get log() {
        return this.#daemon.log;
    }

    async restart() {
        this.#daemon = new Daemon("-c", this.config);
        await this.#daemon.says(/serves '/);
    }

    async kill() {
        this.#daemon.child.kill("SIGKILL");
        await this.#daemon.exited;
    }

    // Ends it as a service manager does, and expects a clean end.
    async terminate() {
        this.#daemon.child.kill("SIGTERM");
        return await this.#daemon.exited;
    }

    async stop() {
        if (!this.#daemon.ended)
            await this.terminate();
        rmSync(this.dir, { recursive: true, force: true });
    }

    get database() {
        return join(this.dir, "data", "moothall.db");
    }

    rss() {
        const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
        return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
    }

    // One request, judged. Returns { status, body, headers }.
    async request(method, path, { token, body, headers = {} } = {}) {
        const response = await judgedFetch(this.url + path, {
            method,
            headers: {
                ...(token ? { Authorization: `Bearer ${token}` } : {}),
                ...(body !== undefined ? { "Content-Type": "application/json" } : {}),
                ...headers,
            },
            body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
        });
        const text = await response.text();
        let json;
        try {
            json = JSON.parse(text);
        } catch {
            json = undefined;
        }
        return { status: response.status, body: json, text, headers: response.headers };
    }

    // A new account through the API: { user_id, access_token, device_id }.
    async account(username, password = `${username}-secret-passphrase`) {
        const { status, body } = await this.request("POST", "/_matrix/client/v3/register", {
            body: { username, password, auth: { type: "m.login.dummy" },
                    initial_device_display_name: "test" },
        });
        if (status !== 200)
            throw new Error(`register ${username}: ${status} ${JSON.stringify(body)}`);
        return { ...body, password };
    }
}
