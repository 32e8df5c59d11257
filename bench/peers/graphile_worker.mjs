// Graphile Worker on PostgreSQL, with its local queue and batched completion.
//
// Its performance page: a local queue of 500, completions and failures in batches without a delay, a pool of one more
// than the concurrency; and no line of log for each success, as its own performance test has it.

process.env.NO_LOG_SUCCESS = "1"; // read when the package is loaded, hence the imports below

const { Logger, makeWorkerUtils, run } = await import("graphile-worker");
const { default: pg } = await import("pg");
const { main } = await import("./contract.mjs");

const TASK = "noop";
const PENDING = "select from graphile_worker._private_jobs order by id desc limit 1"; // the newest goes last

const connectionString = process.env.DATABASE_URL;
const BATCHING = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
let utils = null;

const ask = (sql) => utils.withPgClient((client) => client.query(sql));

await main({
  about: {
    name: "graphile-worker, local queue",
    package: "graphile-worker",
    store: "PostgreSQL",
    page: "https://worker.graphile.org/docs/performance",
    settings: {
      concurrentJobs: "as many as slots",
      maxPoolSize: "slots + 1; 10 (default) to submit",
      ...BATCHING,
      bulk: "addJobs by 10,000",
    },
    history: "none: a finished job is deleted",
    after_kill: "locked for 4 h, with all jobs of its local queue; nothing frees them before but its Pro version",
  },
  submits: ["one", "in_flight", "bulk"],
  batch: 10000,

  async prepare() {
    const client = new pg.Client({ connectionString });
    await client.connect();
    await client.query("drop schema if exists graphile_worker cascade");
    await client.end();
    const maker = await makeWorkerUtils({ preset: { worker: { connectionString, logger } } });
    await maker.migrate();
    await maker.release();
  },

  async connect() {
    utils = await makeWorkerUtils({ preset: { worker: { connectionString, logger } } });
    await ask("select 1");
  },

  submitOne: (n) => utils.addJob(TASK, { n }),

  submitMany: (numbers) => utils.addJobs(numbers.map((n) => ({ identifier: TASK, payload: { n } }))),

  settle: () => ask("analyze graphile_worker._private_jobs"),

  pending: async () => (await ask(PENDING)).rowCount > 0,

  async work(slots, started) {
    const runner = await run({
      preset: { worker: { connectionString, logger, concurrentJobs: slots, maxPoolSize: slots + 1, ...BATCHING } },
      taskList: { [TASK]: async () => started() },
      noHandleSignals: true,
    });
    runner.promise.catch(console.error);
    return () => runner.stop();
  },

  close: () => utils.release(),
});
