// What every peer on Node shares: the commands of a peer program, and the marks that a worker leaves of its starts.
//
// A peer file calls main() with an object of
//   about                    what it is: package, language is added, store, page, settings, history, after_kill
//   submits                  the ways it offers, of "one", "in_flight", "bulk"
//   prepare()                makes its schema anew or empties its queue
//   connect()                opens what submitting needs and asks the server one thing
//   submitOne(n)             one job with payload {n}, resolved when its store has said yes
//   submitMany(numbers)      the documented bulk call, at most `batch` numbers at once
//   settle()                 if there: after the clock of a submission, what the server would do by itself in a while
//   pending()                true while a job waits or is in hand
//   work(slots, started)     runs a worker whose handler only calls started(); resolves to a function that stops it
//   close()                  closes what connect() opened
//   pollingSeconds           if there: how often an idle worker looks for jobs, where no one wakes it
// All functions are async. Times are CLOCK_MONOTONIC, in seconds unless a name says otherwise.

import { closeSync, openSync, readFileSync, readSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const MARK = { prefix: "starts-", bytes: 24, every: 250 }; // little-endian int64 count, double first, double last
const WATCH_MILLISECONDS = 10;
const LOOK_MILLISECONDS = 0.3;
const PATIENCE_SECONDS = 60; // a job that has not started by then never will

const OPTIONS = {
  how: { type: "string" },
  jobs: { type: "string", default: "0" },
  slots: { type: "string", default: "64" },
  "in-flight": { type: "string", default: "100" },
  count: { type: "string", default: "100" },
  gap: { type: "string", default: "0.05" },
};

// Node's high-resolution clock is CLOCK_MONOTONIC itself, so its times can be set beside those of other programs.
export function monotonic() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds + nanoseconds / 1e9;
}

// The starts of this process. There is no mmap here, and a write costs more than a no-op job: one at the first start,
// at every 250th, and at every one from the last on; `jobs` 0 means that each start is awaited and so written.
export class Marks {
  #buffer = Buffer.alloc(MARK.bytes);
  #count = 0;
  #file = null;
  #folder;
  #first = 0;
  #jobs;

  constructor(folder, jobs) {
    this.#folder = folder;
    this.#jobs = jobs;
  }

  started = () => {
    this.#count += 1;
    if (this.#count === 1 || this.#count >= this.#jobs || this.#count % MARK.every === 0) this.#write(monotonic());
  };

  #write(now) {
    if (this.#file === null) {
      this.#file = openSync(join(this.#folder, `${MARK.prefix}${process.pid}`), "w");
      this.#first = now;
    }
    this.#buffer.writeBigInt64LE(BigInt(this.#count), 0);
    this.#buffer.writeDoubleLE(this.#first, 8);
    this.#buffer.writeDoubleLE(now, 16);
    writeSync(this.#file, this.#buffer, 0, MARK.bytes, 0);
  }
}

// The starts of all worker processes of a run: { count, last }. Files stay open, for a look is made every 0.3 ms.
export class Starts {
  #buffer = Buffer.alloc(MARK.bytes);
  #files = new Map();
  #folder;

  constructor(folder) {
    this.#folder = folder;
  }

  read() {
    for (const name of readdirSync(this.#folder)) {
      if (!name.startsWith(MARK.prefix) || this.#files.has(name)) continue;
      this.#files.set(name, openSync(join(this.#folder, name), "r"));
    }
    const sum = { count: 0, last: 0 };
    for (const file of this.#files.values()) {
      if (readSync(file, this.#buffer, 0, MARK.bytes, 0) < MARK.bytes) continue; // made just now, nothing in it
      sum.count += Number(this.#buffer.readBigInt64LE(0));
      sum.last = Math.max(sum.last, this.#buffer.readDoubleLE(16));
    }
    return sum;
  }

  close() {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }
}

// Runs `handle` on all of `items`, at most `slots` at a time: for peers that hand a whole batch to one handler.
export async function inSlots(items, slots, handle) {
  let next = 0;
  const runner = async () => {
    while (next < items.length) await handle(items[next++]);
  };
  await Promise.all(Array.from({ length: Math.min(slots, items.length) }, runner));
}

const COMMANDS = {
  async about(peer) {
    const manifest = new URL(`./node_modules/${peer.about.package}/package.json`, import.meta.url);
    const { version } = JSON.parse(readFileSync(manifest, "utf8"));
    say({ ...peer.about, version, language: "Node", submits: peer.submits });
  },

  async prepare(peer) {
    await peer.prepare();
    say({ prepared: true });
  },

  async submit(peer, { how, jobs, "in-flight": inFlight }) {
    if (!peer.submits.includes(how)) throw new Error(`--how is one of ${peer.submits.join(", ")}: ${how}`);
    const numbers = Array.from({ length: jobs }, (_, n) => n);
    await peer.connect();
    const begun = monotonic();
    if (how === "one") {
      for (const n of numbers) await peer.submitOne(n);
    } else if (how === "in_flight") {
      await inSlots(numbers, inFlight, (n) => peer.submitOne(n));
    } else {
      for (let at = 0; at < jobs; at += peer.batch) await peer.submitMany(numbers.slice(at, at + peer.batch));
    }
    const seconds = monotonic() - begun;
    await peer.settle?.(); // PostgreSQL plans by statistics that it gathers within a minute: a drain begins earlier
    await peer.close();
    say({ seconds, jobs });
  },

  async work(peer, { jobs, slots }) {
    const asked = new Promise((resolve) => process.once("SIGTERM", resolve));
    const marks = new Marks(process.env.BENCH_DIR, jobs);
    const stop = await peer.work(slots, marks.started);
    await asked;
    await stop();
  },

  // The store is not asked before the last start, so that the drain has the machine for itself. An answer tells how
  // it was when the question was put: that is the time given, not the time it took to look.
  async watch(peer, { jobs }) {
    const starts = new Starts(process.env.BENCH_DIR);
    await peer.connect();
    say({ watching: true });
    for (;;) {
      const asked = monotonic();
      if (starts.read().count >= jobs && !(await peer.pending())) {
        say({ empty_at: asked });
        break;
      }
      await sleep(WATCH_MILLISECONDS);
    }
    starts.close();
    await peer.close();
  },

  // A worker that polls sleeps from one job's end on: a next job that comes always at once would always wait longest.
  async ping(peer, { count, gap }) {
    const starts = new Starts(process.env.BENCH_DIR);
    const latencies = [];
    const pollingSeconds = peer.pollingSeconds ?? 0;
    await peer.connect();
    for (let n = 0; n < count; n += 1) {
      const before = starts.read().count;
      const submitted = monotonic();
      await peer.submitOne(n);
      latencies.push((startAfter(starts, before) - submitted) * 1000);
      await sleep((gap * (0.5 + Math.random()) + pollingSeconds * Math.random()) * 1000);
    }
    starts.close();
    await peer.close();
    say({ latencies_ms: latencies });
  },
};

// Timers of Node take a whole millisecond at least; this wait does not.
const CELL = new Int32Array(new SharedArrayBuffer(4));

function startAfter(starts, count) {
  const giveUp = monotonic() + PATIENCE_SECONDS;
  for (;;) {
    const now = starts.read();
    if (now.count > count) return now.last;
    if (monotonic() > giveUp) throw new Error(`no start within ${PATIENCE_SECONDS} s: is a worker running?`);
    Atomics.wait(CELL, 0, 0, LOOK_MILLISECONDS);
  }
}

function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function numbersOf(options) {
  const numbers = Object.entries(options).map(([name, value]) => [name, name === "how" ? value : Number(value)]);
  return Object.fromEntries(numbers);
}

export async function main(peer) {
  for (const level of ["log", "info", "debug"]) console[level] = console.error; // stdout is for the answers alone
  const { positionals, values } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const command = COMMANDS[positionals[0]];
  if (!command) throw new Error(`a command of ${Object.keys(COMMANDS).join(", ")}: ${positionals[0]}`);
  await command(peer, numbersOf(values));
  process.exit(0); // some clients keep a timer or a socket after they were closed
}
