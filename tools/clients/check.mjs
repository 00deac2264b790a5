// ioredis and node-redis against a server: strings, keys, expiry, pipelines, and cluster clients.
//
// Usage: check.mjs HOST PORT SHARD_PORT, where SHARD_PORT is one of the shard-aware ports. Every
// check prints PASS or FAIL; the exit code is 1 when any failed. Keys below `js:` are overwritten.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Redis, Cluster } from 'ioredis';
import { createClient, createCluster } from 'redis';

const require = createRequire(import.meta.url);
const IOREDIS = `ioredis ${require('ioredis/package.json').version}`;
const NODE_REDIS = `node-redis ${require('redis/package.json').version}`;
const [host, port, shardPort] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

let failed = 0;

async function check(library, name, body) {
  try {
    await body();
    console.log(`PASS ${library} ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${library} ${name}: ${error.message}`);
  }
}

/** What both plain and cluster connections of ioredis must do; keys share the tag of `p`. */
async function ioredisCommands(redis, library, p) {
  await check(library, 'strings', async () => {
    assert.equal(await redis.set(`${p}a`, 'one'), 'OK');
    assert.equal(await redis.set(`${p}a`, 'two', 'NX'), null);
    assert.equal(await redis.set(`${p}a`, 'two', 'XX', 'GET'), 'one');
    assert.equal(await redis.append(`${p}a`, '!'), 4);
    assert.equal(await redis.getrange(`${p}a`, 0, 2), 'two');
    assert.equal(await redis.getdel(`${p}a`), 'two!');
    assert.equal(await redis.set(`${p}n`, 41), 'OK');
    assert.equal(await redis.incr(`${p}n`), 42);
    await assert.rejects(redis.incrby(`${p}n`, 'x'), /not an integer/);
    const bytes = Buffer.from([0, 255, 13, 10]);
    await redis.set(`${p}bin`, bytes);
    assert.deepEqual(await redis.getBuffer(`${p}bin`), bytes);
  });
  await check(library, 'keys of one tag', async () => {
    assert.equal(await redis.mset(`${p}m1`, 1, `${p}m2`, 2), 'OK');
    assert.deepEqual(await redis.mget(`${p}m1`, `${p}m2`, `${p}none`), ['1', '2', null]);
    assert.equal(await redis.rename(`${p}m1`, `${p}m3`), 'OK');
    assert.equal(await redis.exists(`${p}m1`, `${p}m2`, `${p}m3`), 2);
    assert.equal(await redis.del(`${p}m2`, `${p}m3`), 2);
  });
  await check(library, 'expiry', async () => {
    await redis.set(`${p}e`, 'x', 'EX', 100);
    const ttl = await redis.ttl(`${p}e`);
    assert.ok(ttl >= 98 && ttl <= 100, `ttl ${ttl}`);
    assert.equal(await redis.expire(`${p}e`, 10, 'GT'), 0);
    assert.equal(await redis.persist(`${p}e`), 1);
    assert.equal(await redis.pexpire(`${p}e`, 20), 1);
    const deadline = Date.now() + 5000;
    while (await redis.exists(`${p}e`)) assert.ok(Date.now() < deadline, 'it outlived its deadline');
  });
  await check(library, 'pipeline', async () => {
    const pipeline = redis.pipeline();
    for (let n = 0; n < 500; n += 1) pipeline.set(`${p}pipe`, n).get(`${p}pipe`);
    const replies = await pipeline.exec();
    replies.forEach(([error, reply], at) => {
      assert.equal(error, null);
      assert.equal(reply, at % 2 ? String((at - 1) / 2) : 'OK');
    });
  });
}

async function ioredisPlain() {
  const redis = new Redis({ host, port, maxRetriesPerRequest: 1 });
  await ioredisCommands(redis, IOREDIS, 'js:io:');
  await check(IOREDIS, 'scan stream', async () => {
    await Promise.all(Array.from({ length: 300 }, (_, n) => redis.set(`js:scan:${n}`, n)));
    const found = new Set();
    for await (const keys of redis.scanStream({ match: 'js:scan:*', count: 40 })) {
      keys.forEach((key) => found.add(key));
    }
    assert.equal(found.size, 300);
  });
  await check(IOREDIS, 'keys of several cores at once', async () => {
    const pairs = Array.from({ length: 100 }, (_, n) => [`js:spread:${n}`, String(n)]);
    assert.equal(await redis.mset(...pairs.flat()), 'OK');
    const values = await redis.mget(pairs.map(([key]) => key));
    assert.deepEqual(values, pairs.map(([, value]) => value));
  });
  await redis.quit();
}

async function ioredisCluster() {
  const library = `${IOREDIS} Cluster`;
  const redis = new Cluster([{ host, port: shardPort }], { clusterRetryStrategy: () => null });
  await ioredisCommands(redis, library, '{js:cluster}:');
  await check(library, `500 keys over ${redis.nodes('master').length} nodes`, async () => {
    const numbers = Array.from({ length: 500 }, (_, n) => n);
    await Promise.all(numbers.map((n) => redis.set(`js:cluster:${n}`, n)));
    const values = await Promise.all(numbers.map((n) => redis.get(`js:cluster:${n}`)));
    assert.deepEqual(values, numbers.map(String));
  });
  await redis.quit();
}

async function nodeRedis(client, library) {
  client.on('error', () => {});
  await client.connect();
  await check(library, 'strings and expiry', async () => {
    assert.equal(await client.set('js:node:a', 'one', { EX: 100 }), 'OK');
    assert.equal(await client.get('js:node:a'), 'one');
    assert.ok((await client.ttl('js:node:a')) > 90);
    assert.equal(await client.set('js:node:a', 'two', { NX: true }), null);
    await client.set('js:node:n', '1');
    assert.equal(await client.incrBy('js:node:n', 4), 5);
    assert.equal(await client.del('js:node:a'), 1);
  });
  await check(library, '500 keys', async () => {
    const numbers = Array.from({ length: 500 }, (_, n) => n);
    await Promise.all(numbers.map((n) => client.set(`js:node:${n}`, String(n))));
    const values = await Promise.all(numbers.map((n) => client.get(`js:node:${n}`)));
    assert.deepEqual(values, numbers.map(String));
  });
  await client.close();
}

await ioredisPlain();
await ioredisCluster();
await nodeRedis(createClient({ url: `redis://${host}:${port}` }), NODE_REDIS);
await nodeRedis(
  createClient({ url: `redis://${host}:${port}`, RESP: 3 }),
  `${NODE_REDIS} RESP3`,
);
await nodeRedis(
  createCluster({ rootNodes: [{ url: `redis://${host}:${shardPort}` }] }),
  `${NODE_REDIS} Cluster`,
);
process.exit(failed ? 1 : 0);
