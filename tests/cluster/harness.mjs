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
import { mkdtempSync, rmSync, writeFileSync, readFileSync, existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { load } from "./openapi.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const program = process.env.MOOTHALLD ?? resolve(here, "../../build/moothalld");

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

export class Node {
    #child;
    #exited;
    log = "";

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
            "[log]", `level = ${process.env.MOOTHALL_LOG ?? "warn"}`,
            ...(options.extra ?? []), "",
        ].join("\n"));
        await node.restart();
        return node;
    }

    get pid() {
        return this.#child.pid;
    }

    async restart() {
        const child = spawn(program, ["-c", this.config], { stdio: ["ignore", "ignore", "pipe"] });
        this.#child = child;
        this.#exited = new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })));
        let ended;
        this.#exited.then((how) => { ended = how; });
        child.stderr.setEncoding("utf8");
        child.stderr.on("data", (text) => { this.log += text; });
        for (let tries = 0; ; tries++) {
            if (ended || tries > 600)
                throw new Error(`moothalld did not start: ${JSON.stringify(ended)}\n${this.log}`);
            const up = await fetch(`${this.url}/_matrix/client/versions`).then((r) => r.ok, () => false);
            if (up)
                return;
            // The port refuses at once while nobody listens: yield a turn.
            await new Promise((done) => setTimeout(done, 20));
        }
    }

    async kill() {
        this.#child.kill("SIGKILL");
        await this.#exited;
    }

    // Ends it as a service manager does, and expects a clean end.
    async terminate() {
        this.#child.kill("SIGTERM");
        return await this.#exited;
    }

    async stop() {
        if (this.#child.exitCode === null && this.#child.signalCode === null)
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

export function damageReport(node) {
    return existsSync(node.database) ? node.database : null;
}
