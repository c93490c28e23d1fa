// SPDX-License-Identifier: Apache-2.0
// The spec's own OpenAPI files as a judge of our responses.
//
// The repository does not contain the spec: MATRIX_SPEC_DIR names it (default:
// ../shared/matrix-spec beside the source tree). Where it is missing, load()
// returns null and the tests that need it are counted as skipped.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import Ajv2020 from "ajv/dist/2020.js";
import YAML from "yaml";

const here = dirname(fileURLToPath(import.meta.url));
export const specDir = process.env.MATRIX_SPEC_DIR
    ?? resolve(here, "../../../shared/matrix-spec");

const METHODS = ["get", "put", "post", "delete", "head", "patch"];

class Loader {
    #files = new Map();

    file(path) {
        if (!this.#files.has(path))
            this.#files.set(path, YAML.parse(readFileSync(path, "utf8")));
        return this.#files.get(path);
    }

    // Replaces every $ref by what it names. A schema that contains itself is
    // cut at the second level with {}, which accepts anything.
    resolve(node, path, open = []) {
        if (Array.isArray(node))
            return node.map((item) => this.resolve(item, path, open));
        if (node === null || typeof node !== "object")
            return node;
        if (typeof node.$ref === "string") {
            const [file, pointer = ""] = node.$ref.split("#");
            const target = file ? resolve(dirname(path), file) : path;
            const key = `${target}#${pointer}`;
            if (open.includes(key))
                return {};
            let value = this.file(target);
            for (const step of pointer.split("/").filter(Boolean))
                value = value[step.replaceAll("~1", "/").replaceAll("~0", "~")];
            const { $ref, ...beside } = node;
            return { ...this.resolve(value, target, [...open, key]),
                     ...this.resolve(beside, path, open) };
        }
        return Object.fromEntries(Object.entries(node).map(
            ([name, value]) => [name, this.resolve(value, path, open)]));
    }
}

// OpenAPI says things JSON Schema does not: examples and formats are dropped.
function plain(node, isProperties = false) {
    if (Array.isArray(node))
        return node.map((item) => plain(item));
    if (node === null || typeof node !== "object")
        return node;
    const out = {};
    for (const [name, value] of Object.entries(node)) {
        if (!isProperties && (name === "example" || name === "examples" || name === "format"
            || name.startsWith("x-") || name === "externalDocs" || name === "description"
            || name === "title" || name === "xml" || name === "discriminator"))
            continue;
        out[name] = plain(value, !isProperties
            && (name === "properties" || name === "patternProperties"));
    }
    return out;
}

export class Spec {
    operations = [];
    #ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });

    constructor(dir) {
        const loader = new Loader();
        const api = join(dir, "data/api/client-server");
        for (const name of readdirSync(api).filter((f) => f.endsWith(".yaml")).sort()) {
            const path = join(api, name);
            const doc = loader.file(path);
            const base = basePath(doc);
            for (const [route, item] of Object.entries(doc.paths ?? {})) {
                for (const method of METHODS.filter((m) => item[m])) {
                    this.operations.push({
                        file: name,
                        id: item[method].operationId,
                        method: method.toUpperCase(),
                        path: base + route,
                        pattern: pattern(base + route),
                        responses: () => loader.resolve(item[method].responses, path),
                        validators: new Map(),
                    });
                }
            }
        }
        // Literal segments win over parameters: /keys/changes over /keys/{x}.
        this.operations.sort((a, b) =>
            (a.path.match(/{/g)?.length ?? 0) - (b.path.match(/{/g)?.length ?? 0));
    }

    find(method, path) {
        return this.operations.find((op) => op.method === method && op.pattern.test(path));
    }

    // What is wrong with this response, as a list of sentences.
    check(method, path, status, body) {
        const op = this.find(method, path);
        if (!op)
            return [];
        if (!op.validators.has(status))
            op.validators.set(status, this.#compile(op, status));
        const validate = op.validators.get(status);
        if (!validate || validate(body))
            return [];
        return validate.errors.map((e) =>
            `${method} ${op.path} ${status}: ${e.instancePath || "/"} ${e.message} ${JSON.stringify(e.params)}`);
    }

    #compile(op, status) {
        const response = op.responses()[String(status)];
        const schema = response?.content?.["application/json"]?.schema;
        return schema ? this.#ajv.compile(plain(schema)) : null;
    }
}

function basePath(doc) {
    const server = doc.servers?.[0];
    if (!server)
        return "";
    return server.variables?.basePath?.default ?? new URL(server.url).pathname;
}

function pattern(path) {
    const source = path.split("/").map((segment) =>
        segment.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/{[^}]+}/g, "[^/]*")).join("/");
    return new RegExp(`^${source}$`);
}

let loaded;
export function load() {
    if (loaded === undefined)
        loaded = existsSync(join(specDir, "data/api/client-server")) ? new Spec(specDir) : null;
    return loaded;
}
