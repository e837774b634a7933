// SPDX-License-Identifier: MIT
// What a page does with the WebSocket of its browser. runChecks() is called by the driver, which
// gets the results back; they are shown in the page too, for the screenshot.
"use strict";

const HELLO = "hello, zażółć gęślą jaźń";
const LIMIT_MS = 30000;

function pattern(size) {
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index++) bytes[index] = index % 251;
    return bytes;
}

function expect(got, wanted, what) {
    if (got !== wanted) throw new Error(`${what}: got ${got} instead of ${wanted}`);
}

function expectBytes(got, wanted) {
    expect(got.length, wanted.length, "bytes");
    for (let index = 0; index < wanted.length; index++)
        if (got[index] !== wanted[index]) throw new Error(`byte ${index} is another one`);
}

// A connection whose messages and whose end can be waited for.
class Connection {
    constructor(url, protocols = []) {
        this.messages = [];
        this.waiting = [];
        this.socket = new WebSocket(url, protocols);
        this.socket.binaryType = "arraybuffer";
        this.socket.onmessage = (event) => {
            const waiting = this.waiting.shift();
            if (waiting) waiting(event.data);
            else this.messages.push(event.data);
        };
        this.opened = new Promise((resolve, reject) => {
            this.socket.onopen = resolve;
            this.socket.onerror = () => reject(new Error("not connected"));
        });
        this.opened.catch(() => {});
        this.closed = new Promise((resolve) => { this.socket.onclose = resolve; });
    }

    next() {
        if (this.messages.length) return Promise.resolve(this.messages.shift());
        const message = new Promise((resolve) => this.waiting.push(resolve));
        return Promise.race([message, this.closed.then((event) => {
            throw new Error(`closed with ${event.code} where a message was due`);
        })]);
    }

    async echoes(message) {
        this.socket.send(message);
        const answer = await this.next();
        if (typeof message === "string") expect(answer, message, "echo");
        else expectBytes(new Uint8Array(answer), message);
    }

    end() {
        this.socket.close();
        return this.closed;
    }
}

async function opened(url, protocols) {
    const connection = new Connection(url, protocols);
    await connection.opened;
    return connection;
}

const checks = {
    async "text"(base) {
        const connection = await opened(base + "/echo");
        await connection.echoes(HELLO);
        await connection.echoes("");
        await connection.end();
    },
    async "binary"(base) {
        const connection = await opened(base + "/echo");
        await connection.echoes(pattern(256));
        connection.socket.binaryType = "blob";
        connection.socket.send(new Blob([pattern(1000), pattern(234)]));
        const answer = await connection.next();
        expect(answer instanceof Blob, true, "a Blob came back");
        const bytes = new Uint8Array(await answer.arrayBuffer());
        expectBytes(bytes.subarray(0, 1000), pattern(1000));
        expectBytes(bytes.subarray(1000), pattern(234));
        await connection.end();
    },
    async "sizes"(base) {
        const connection = await opened(base + "/whole");
        for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20])
            await connection.echoes(pattern(size));
        await connection.end();
    },
    async "16MiB"(base) {
        // Browsers send a message of this size in frames of their own choice.
        const connection = await opened(base + "/whole");
        await connection.echoes(pattern(16 << 20));
        await connection.end();
    },
    async "frag-sent"(base) {
        const connection = await opened(base + "/fragments");
        await connection.echoes(HELLO);
        await connection.echoes(pattern(100000));
        await connection.end();
    },
    async "close-sent"(base) {
        const connection = await opened(base + "/close");
        connection.socket.send("4001 going, zażółć");
        const event = await connection.closed;
        expect(event.code, 4001, "code");
        expect(event.reason, "going, zażółć", "reason");
        expect(event.wasClean, true, "clean");
    },
    async "close-rcvd"(base) {
        const connection = await opened(base + "/echo?close-rcvd");
        connection.socket.close(4002, "bye, zażółć");
        const event = await connection.closed;
        expect(event.code, 4002, "code");
        expect(event.wasClean, true, "clean");
    },
    async "subproto"(base) {
        const connection = await opened(base + "/echo", ["superchat", "chat"]);
        expect(connection.socket.protocol, "chat", "subprotocol");
        await connection.end();
    },
    async "headers"(base) {
        document.cookie = "taste=sweet; path=/; SameSite=Lax";
        const connection = await opened(base + "/info?headers");
        const lines = (await connection.next()).split("\n");
        const wanted = ["url: /info?headers", "origin: " + location.origin, "cookie: taste=sweet"];
        for (const line of wanted)
            if (!lines.includes(line)) throw new Error(`no '${line}' among ${lines}`);
        await connection.end();
    },
    async "refused"(base) {
        const connection = new Connection(base + "/refused");
        const event = await connection.closed;
        expect(event.code, 1006, "code");
        expect(event.wasClean, false, "clean");
    },
    async "push"(base, behindProxy = false) {
        const connection = await opened(base + "/push");
        for (const number of [1, 2, 3]) expect(await connection.next(), `update ${number}`, "push");
        expect(new Uint8Array(await connection.next()).length, 256, "bytes pushed");
        await connection.end();
        // A page that has sent nothing for a while, and has got nothing.
        const idle = await opened(base + "/waiting");
        await new Promise((resolve) => { setTimeout(resolve, 500); });
        expect(idle.messages.length, 0, "messages before there were news");
        // Behind a proxy only one of its listeners gets the news at a time.
        for (let times = 0; times < 4; times++) {
            const teller = await opened(base + "/news");
            await teller.echoes(HELLO);
            await teller.end();
            if (!behindProxy) break;
        }
        expect(await idle.next(), HELLO, "news");
        await idle.end();
    },
    async "many"(base) {
        // A browser delays connections while many others to the same address are being opened.
        const connections = [];
        while (connections.length < 96)
            connections.push(...await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(
                () => opened(base + "/echo"))));
        await Promise.all(connections.map((connection, index) =>
            connection.echoes(`I am ${index}`)));
        await Promise.all(connections.map((connection) => connection.end()));
    },
};
// Behind a proxy that forwards what the page sends.
async function throughProxy(base) {
    for (const name of ["text", "binary", "sizes", "frag-sent", "close-sent", "close-rcvd",
                        "subproto", "headers", "refused", "push", "many"]) {
        try {
            await checks[name](base, true);
        } catch (error) {
            throw new Error(`${name}: ${error.message}`);
        }
    }
    // Whether such ends are clean could be chance: a single one shows little.
    await Promise.all(Array.from({length: 40}, () => checks["close-sent"](base)));
}
checks["nginx>plain"] = checks["nginx>tls"] = throughProxy;
// The server's certificate is of an unknown authority.
checks["tls-bad"] = checks["refused"];

function show(text, good) {
    const item = document.createElement("li");
    item.textContent = text;
    item.className = good ? "ok" : "fail";
    document.getElementById("transcript").append(item);
}

// wanted: [[feature, base URL], ...]; answers with [[feature, fault or null], ...]
async function runChecks(wanted) {
    const results = [];
    document.getElementById("browser").textContent =
        `${location.origin}, ${navigator.userAgent}`;
    for (const [feature, base] of wanted) {
        const time = new Promise((_, reject) =>
            setTimeout(() => reject(new Error("not done in time")), LIMIT_MS));
        const start = performance.now();
        let fault = null;
        try {
            await Promise.race([checks[feature](base), time]);
        } catch (error) {
            fault = String(error.message);
        }
        const passed = `${Math.round(performance.now() - start)} ms`;
        show(`${feature}, ${base}: ${fault === null ? "ok" : fault}, ${passed}`, fault === null);
        results.push([feature, fault]);
    }
    return results;
}
