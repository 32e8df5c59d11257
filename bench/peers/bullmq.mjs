// BullMQ on Redis, with ioredis, the client of its own tests.
//
// Its guide asks for `maxRetriesPerRequest: null` in workers and says of `concurrency` that it suits handlers that
// wait; `addBulk` is its bulk call. Finished jobs stay in Redis, its default. One connection carries all submitters:
// ioredis pipelines by itself, and BullMQ documents no pool.

import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

import { main } from "./contract.mjs";

const QUEUE = "bench";
const NAME = "noop";

const address = process.env.REDIS_URL;
let queue = null;

await main({
  about: {
    name: "BullMQ",
    package: "bullmq",
    store: "Redis",
    page: "https://docs.bullmq.io/guide/workers/concurrency",
    settings: { concurrency: "as many as slots", maxRetriesPerRequest: null, bulk: "addBulk by 1,000" },
    history: "kept in Redis memory, all of them (default; removeOnComplete would thin them out)",
    after_kill:
      "stalled: once the lock of 30 s lapsed, a check every 30 s puts them back to wait, at most once, then failed",
  },
  submits: ["one", "in_flight", "bulk"],
  batch: 1000,

  async prepare() {
    const redis = new Redis(address);
    await redis.flushdb(); // obliterate() walks through every finished job: minutes after a long run
    await redis.quit();
  },

  async connect() {
    queue = new Queue(QUEUE, { connection: new Redis(address) });
    await queue.waitUntilReady();
    await queue.getJobCountByTypes("wait");
  },

  submitOne: (n) => queue.add(NAME, { n }),

  submitMany: (numbers) => queue.addBulk(numbers.map((n) => ({ name: NAME, data: { n } }))),

  pending: async () => (await queue.getJobCountByTypes("wait", "active", "delayed", "prioritized", "paused")) > 0,

  async work(slots, started) {
    const connection = new Redis(address, { maxRetriesPerRequest: null });
    const worker = new Worker(QUEUE, async () => started(), { connection, concurrency: slots });
    worker.on("error", console.error);
    worker.on("failed", console.error);
    await worker.waitUntilReady();
    return () => worker.close();
  },

  close: () => queue.close(),
});
