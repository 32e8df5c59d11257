// pg-boss on PostgreSQL.
//
// work() hands a whole batch to the handler, and looks again only after its polling interval, half a second at the
// least: after a full batch the handler calls notifyWorker(), whose documentation is to bypass that interval. A batch
// is in hand, succeeds and fails as one. Each fetch sorts all that waits, so larger batches drain faster still; no size
// is advised, and a thousand at once is as much as the other peers take. insert() is its bulk call. Its pool of 10
// connections is the default.

import PgBoss from "pg-boss";
import pg from "pg";

import { inSlots, main } from "./contract.mjs";

const QUEUE = "bench";
const BATCH = 1000;
const POLLING_SECONDS = 0.5;
const PENDING = "select where exists (select from pgboss.job where name = $1 and state < 'completed')";

const connectionString = process.env.DATABASE_URL;
const SUBMITTER = { connectionString, supervise: false, schedule: false };
let boss = null;
let pool = null;

async function start(settings) {
  const instance = new PgBoss(settings);
  instance.on("error", console.error);
  await instance.start();
  return instance;
}

await main({
  about: {
    name: "pg-boss",
    package: "pg-boss",
    store: "PostgreSQL",
    page: "https://pgboss.io/api/workers",
    settings: {
      batchSize: BATCH,
      pollingIntervalSeconds: POLLING_SECONDS,
      notifyWorker: "after every full batch",
      max: "10 (default)",
      bulk: "insert by 10,000",
    },
    history: "kept as completed, after 12 h moved to an archive, there for 7 days (defaults)",
    after_kill: "active until they expire after 15 min (default), then retried, at most twice",
  },
  submits: ["one", "in_flight", "bulk"],
  batch: 10000,
  pollingSeconds: POLLING_SECONDS,

  async prepare() {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query("drop schema if exists pgboss cascade");
    await client.end();
    const maker = await start(SUBMITTER);
    await maker.createQueue(QUEUE);
    await maker.stop({ graceful: false });
  },

  async connect() {
    boss = await start(SUBMITTER);
    pool = new pg.Pool({ connectionString, max: 1 });
    await boss.getQueue(QUEUE);
  },

  submitOne: (n) => boss.send(QUEUE, { n }),

  submitMany: (numbers) => boss.insert(numbers.map((n) => ({ name: QUEUE, data: { n } }))),

  settle: () => pool.query("analyze pgboss.job"),

  pending: async () => (await pool.query(PENDING, [QUEUE])).rowCount > 0,

  async work(slots, started) {
    const worker = await start({ connectionString });
    const settings = { batchSize: BATCH, pollingIntervalSeconds: POLLING_SECONDS };
    const id = await worker.work(QUEUE, settings, async (jobs) => {
      if (jobs.length === BATCH) worker.notifyWorker(id);
      await inSlots(jobs, slots, async () => started());
    });
    return () => worker.stop({ timeout: 5000 });
  },

  async close() {
    await pool.end();
    await boss.stop({ graceful: false });
  },
});
