// BullMQ against a server: `node bullmq.mjs PORT`. Queues, delays, priorities, repeated jobs, a
// rate limit, flows of parents and children, all with BullMQ's own scripts as it ships them. Says
// what it did, and ends with 1 when a job is lost, comes twice, or comes out of order.

import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';

const port = Number(process.argv[2]);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const JOBS = 1000;
const PATIENCE_MS = 60_000;
const open = [];

function kept(thing) {
  open.push(thing);
  thing.on?.('error', error => fail(`a connection reports ${error}`));
  return thing;
}

function fail(why) {
  console.error(`bullmq: ${why}`);
  process.exit(1);
}

function expect(what, found, wanted) {
  const [a, b] = [found, wanted].map(value => JSON.stringify(value));
  if (a !== b) fail(`${what}: found ${a}, expected ${b}`);
}

async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) fail(`waited too long for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

const numbers = count => Array.from({ length: count }, (_, number) => number);
const queue = name => kept(new Queue(name, { connection }));
const worker = (name, work, more = {}) => kept(new Worker(name, work, { connection, ...more }));

// A thousand jobs, every fiftieth fails at its first attempt, sixteen at a time.
async function thousand() {
  const jobs = queue('thousand');
  const done = [];
  const work = async job => {
    if (job.data.number % 50 === 0 && job.attemptsMade === 0) throw new Error('the first time');
    done.push(job.data.number);
  };
  worker('thousand', work, { concurrency: 16 });
  const opts = { attempts: 3, backoff: { type: 'fixed', delay: 10 } };
  await jobs.addBulk(numbers(JOBS).map(number => ({ name: 'job', data: { number }, opts })));
  const states = ['completed', 'active', 'wait', 'delayed', 'failed'];
  await until('all jobs', async () => (await jobs.getJobCounts(...states)).completed === JOBS);
  const left = { completed: JOBS, active: 0, wait: 0, delayed: 0, failed: 0 };
  expect('counts', await jobs.getJobCounts(...states), left);
  expect('jobs done', done.sort((a, b) => a - b), numbers(JOBS));
}

async function delays() {
  const jobs = queue('delays');
  const done = [];
  const work = async job => {
    if (Date.now() < job.timestamp + job.opts.delay) fail('a delayed job came too early');
    done.push(job.data.number);
  };
  await worker('delays', work).waitUntilReady();
  for (const number of [5, 1, 3, 2, 4]) {
    await jobs.add('job', { number }, { delay: number * 150 });
  }
  await until('delayed jobs', () => done.length === 5);
  expect('the order of delays', done, [1, 2, 3, 4, 5]);
}

async function priorities() {
  const jobs = queue('priorities');
  const done = [];
  for (const number of numbers(100)) {
    const priority = 1 + ((number * 7) % 10);
    await jobs.add('job', { priority }, { priority });
  }
  worker('priorities', async job => done.push(job.data.priority));
  await until('jobs with priorities', () => done.length === 100);
  expect('the order of priorities', done, [...done].sort((a, b) => a - b));
}

async function repeated() {
  const jobs = queue('repeated');
  let runs = 0;
  worker('repeated', async () => (runs += 1));
  await jobs.upsertJobScheduler('often', { every: 100 }, { name: 'tick', data: {} });
  await until('a repeated job', () => runs >= 5);
  expect('schedulers', (await jobs.getJobSchedulers()).length, 1);
  expect('removal', await jobs.removeJobScheduler('often'), true);
  expect('schedulers left', (await jobs.getJobSchedulers()).length, 0);
}

async function limited() {
  const jobs = queue('limited');
  const at = [];
  const limiter = { max: 10, duration: 200 };
  worker('limited', async () => at.push(Date.now()), { concurrency: 16, limiter });
  await jobs.addBulk(numbers(50).map(number => ({ name: 'job', data: { number } })));
  await until('limited jobs', () => at.length === 50);
  const took = at.at(-1) - at[0];
  if (took < 2 * 200) fail(`the rate limit was not kept: 50 jobs in ${took} ms`);
}

async function flow() {
  const flows = kept(new FlowProducer({ connection }));
  queue('parents');
  worker('children', async job => job.data.value, { concurrency: 4 });
  const sum = async job => {
    return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
  };
  worker('parents', sum);
  const events = kept(new QueueEvents('parents', { connection }));
  await events.waitUntilReady();
  const children = numbers(20).map(value => {
    return { name: 'child', data: { value }, queueName: 'children' };
  });
  const tree = await flows.add({ name: 'sum', queueName: 'parents', data: {}, children });
  expect('the sum over children', await tree.job.waitUntilFinished(events, PATIENCE_MS), 190);
}

async function management() {
  const jobs = queue('management');
  await jobs.pause();
  const job = await jobs.add('job', { value: 1 });
  await job.updateData({ value: 2 });
  await job.updateProgress(50);
  await job.log('a line');
  expect('logs', await jobs.getJobLogs(job.id), { logs: ['a line'], count: 1 });
  expect('data', (await jobs.getJob(job.id)).data, { value: 2 });
  expect('is paused', await jobs.isPaused(), true);
  await jobs.resume();
  const deduplication = { id: 'once' };
  const [one, two] = [
    await jobs.add('job', {}, { deduplication }),
    await jobs.add('job', {}, { deduplication }),
  ];
  expect('deduplication', two.id, one.id);
  await job.remove();
  await jobs.drain();
  await jobs.obliterate({ force: true });
  const counts = Object.values(await jobs.getJobCounts());
  expect('what is left', counts.every(count => count === 0), true);
}

const began = Date.now();
for (const part of [thousand, delays, priorities, repeated, limited, flow, management]) {
  const start = Date.now();
  await part();
  console.log(`bullmq: ${part.name} in ${Date.now() - start} ms`);
}
await Promise.all(open.map(thing => thing.close()));
console.log(`bullmq: all well in ${Date.now() - began} ms`);
process.exit(0);
