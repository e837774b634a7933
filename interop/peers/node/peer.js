// SPDX-License-Identifier: MIT
// The package ws of Node.js, both roles: see interop/README.md.
"use strict";

const assert = require("assert");
const fs = require("fs");
const http = require("http");
const https = require("https");
const WebSocket = require("ws");

const HELLO = "hello, zażółć gęślą jaźń";
const PING = "are you there";
const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20];
const BIG = 16 << 20;
const LIMIT = 1 << 10;
const LIMIT_MS = 60000;
const OPTIONS = {perMessageDeflate: false, maxPayload: 0};

function pattern(size) {
    const bytes = Buffer.alloc(size);
    for (let index = 0; index < size; index++) bytes[index] = index % 251;
    return bytes;
}

const PUSHED = ["update 1", "update 2", "update 3",
                Buffer.from(Array.from({length: 256}, (_, index) => index))];

// --- Client ----------------------------------------------------------------------------------

const [role, host, port, ...rest] = process.argv.slice(2);

// A connection whose messages, pings and end can be waited for.
class Connection {
    constructor(path, protocols = [], options = {}) {
        const scheme = rest[0] === "-" ? "ws" : "wss";
        const address = host.includes(":") ? `[${host}]` : host;
        const trusted = rest[0] === "-" ? {} : {ca: fs.readFileSync(rest[0])};
        this.events = {message: [], ping: [], pong: []};
        this.waiting = {message: [], ping: [], pong: []};
        this.socket = new WebSocket(`${scheme}://${address}:${port}${path}`, protocols,
                                    {...OPTIONS, ...trusted, ...options});
        this.socket.on("message", (data, binary) =>
            this.put("message", binary ? data : data.toString()));
        this.socket.on("ping", (data) => this.put("ping", data.toString()));
        this.socket.on("pong", (data) => this.put("pong", data.toString()));
        this.opened = new Promise((resolve, reject) => {
            this.socket.once("open", resolve);
            this.socket.on("error", reject);
        });
        this.opened.catch(() => {});
        this.closed = new Promise((resolve) => {
            this.socket.once("close", (code, reason) => resolve([code, reason.toString()]));
        });
    }

    put(kind, value) {
        const waiting = this.waiting[kind].shift();
        if (waiting) waiting(value);
        else this.events[kind].push(value);
    }

    next(kind = "message") {
        if (this.events[kind].length) return Promise.resolve(this.events[kind].shift());
        const event = new Promise((resolve) => this.waiting[kind].push(resolve));
        return Promise.race([event, this.closed.then(([code]) => {
            throw new Error(`closed with ${code} where a ${kind} was due`);
        })]);
    }

    async echoes(message) {
        this.socket.send(message);
        assert.deepStrictEqual(await this.next(), message);
    }

    end() {
        this.socket.close();
        return this.closed;
    }
}

async function opened(...parameters) {
    const connection = new Connection(...parameters);
    await connection.opened;
    return connection;
}

async function withConnection(path, use, ...more) {
    const connection = await opened(path, ...more);
    await use(connection);
    await connection.end();
}

const checks = {
    "text": () => withConnection("/echo", async (connection) => {
        await connection.echoes(HELLO);
        await connection.echoes("");
    }),
    "binary": () => withConnection("/echo", (connection) => connection.echoes(pattern(256))),
    "sizes": () => withConnection("/whole", async (connection) => {
        for (const size of SIZES) await connection.echoes(pattern(size));
    }),
    "16MiB": () => withConnection("/echo", (connection) => connection.echoes(pattern(BIG))),
    "frag-sent": () => withConnection("/fragments", async (connection) => {
        await connection.echoes(HELLO);
        await connection.echoes(pattern(100000));
    }),
    "frag-rcvd": () => withConnection("/whole", async (connection) => {
        connection.socket.send("one ", {fin: false});
        connection.socket.send("", {fin: false});
        connection.socket.ping(PING);
        connection.socket.send("żwo ", {fin: false});
        connection.socket.send("three", {fin: true});
        assert.strictEqual(await connection.next(), "one żwo three");
        assert.strictEqual(await connection.next("pong"), PING);
    }),
    "ping-sent": () => withConnection("/ping", async (connection) => {
        assert.strictEqual(await connection.next("ping"), PING);
        assert.strictEqual(await connection.next(), "pinged");
    }),
    "ping-rcvd": () => withConnection("/echo", async (connection) => {
        connection.socket.ping(PING);
        assert.strictEqual(await connection.next("pong"), PING);
        connection.socket.ping();
        assert.strictEqual(await connection.next("pong"), "");
    }),
    async "close-sent"() {
        const connection = await opened("/close");
        connection.socket.send("4001 going, zażółć");
        assert.deepStrictEqual(await connection.closed, [4001, "going, zażółć"]);
    },
    async "close-rcvd"() {
        const connection = await opened("/echo?close-rcvd");
        connection.socket.close(4002, "bye, zażółć");
        assert.strictEqual((await connection.closed)[0], 4002);
    },
    "subproto": () => withConnection("/echo", async (connection) => {
        assert.strictEqual(connection.socket.protocol, "chat");
    }, ["superchat", "chat"]),
    "headers": () => withConnection("/info?headers", async (connection) => {
        const lines = (await connection.next()).split("\n");
        for (const line of ["url: /info?headers", "origin: http://interop.example",
                            "cookie: taste=sweet", "x-real-ip: 192.0.2.7"])
            assert(lines.includes(line), `no '${line}' among ${lines}`);
    }, [], {origin: "http://interop.example",
            headers: {"Cookie": "taste=sweet", "X-Real-IP": "192.0.2.7"}}),
    async "refused"() {
        await assert.rejects(opened("/refused"), /403/);
    },
    async "limit"() {
        const connection = await opened("/echo");
        await connection.echoes(pattern(LIMIT));
        connection.socket.send(pattern(LIMIT + 1));
        assert.strictEqual((await connection.closed)[0], 1009);
    },
    "push": () => withConnection("/push", async (connection) => {
        for (const message of PUSHED) assert.deepStrictEqual(await connection.next(), message);
    }),
    async "many"() {
        const all = await Promise.all(Array.from({length: 200}, () => opened("/echo")));
        await Promise.all(all.map((connection, index) => connection.echoes(`I am ${index}`)));
        await Promise.all(all.map((connection) => connection.end()));
    },
};

async function client(features) {
    let failed = 0;
    for (const feature of features) {
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error("not done in time")), LIMIT_MS);
        });
        try {
            await Promise.race([checks[feature](), late]);
            console.log(`ok ${feature}`);
        } catch (error) {
            console.log(`fail ${feature}: ${error.message.replace(/\n/g, " ").slice(0, 300)}`);
            failed = 1;
        }
        clearTimeout(timer);
    }
    process.exit(failed);
}

// --- Server ----------------------------------------------------------------------------------

const paths = {
    "/echo"(socket) {
        socket.on("message", (data, binary) => socket.send(data, {binary}));
    },
    "/fragments"(socket) {
        socket.on("message", (data, binary) => {
            const third = Math.floor(data.length / 3);
            socket.send(data.subarray(0, third), {binary, fin: false});
            socket.send(data.subarray(third, 2 * third), {binary, fin: false});
            socket.send(data.subarray(2 * third), {binary, fin: true});
        });
    },
    "/close"(socket) {
        socket.on("message", (data) => {
            const [, code, reason] = /^(\d+) ?(.*)$/.exec(data.toString());
            socket.close(Number(code), reason);
        });
    },
    "/info"(socket, request) {
        const lines = [`url: ${request.url}`];
        for (const [name, value] of Object.entries(request.headers))
            lines.push(`${name}: ${value}`);
        socket.send(lines.join("\n") + "\n");
    },
    "/push"(socket) {
        for (const message of PUSHED) socket.send(message);
    },
    "/ping"(socket) {
        socket.on("pong", (data) => socket.send(`pong ${data}`));
        socket.ping(PING);
    },
    "/pinged"(socket) {
        let seen = "";
        socket.on("ping", (data) => { seen = data.toString(); });
        socket.on("message", () => socket.send(`ping ${seen}`));
    },
};

function server(files) {
    const path = (request) => request.url.split("?")[0];
    const web = files.length ? https.createServer({cert: fs.readFileSync(files[0]),
                                                   key: fs.readFileSync(files[1])})
                             : http.createServer();
    const server = new WebSocket.Server({
        ...OPTIONS, server: web,
        verifyClient: ({req}) => path(req) in paths,
        handleProtocols: (protocols) => protocols.has("chat") ? "chat" : false,
    });
    server.on("connection", (socket, request) => {
        socket.on("close", (code, reason) =>
            console.log(`closed ${request.url} ${code} ${reason}`));
        socket.on("error", (error) => console.log(`error ${request.url} ${error.message}`));
        paths[path(request)](socket, request);
    });
    web.on("tlsClientError", (error) => console.log(`tls ${error.message}`));
    web.listen(Number(port), host, () => console.log(`listening ${port}`));
}

if (role === "client") client(rest.slice(1));
else server(rest);
