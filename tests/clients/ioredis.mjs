// ioredis against a server and a Redis: `node ioredis.mjs PORT [REDIS_PORT]`. Each example of the
// compatibility table goes through the method of its command, in its two forms, strings and
// buffers; then pipelines, transactions, scripts as methods, streams of keys, messages.

import { strict as assert } from 'node:assert';
import Redis from 'ioredis';
import { conclude, examples, plain, result } from './common.mjs';

const [port, reference] = process.argv.slice(2).map(Number);
if (!reference) console.error('SKIPPED: ioredis: there is no Redis to compare with');
const wrong = [];
let lines = 0;

async function compare(suffix) {
  for (const { lines: parts } of examples()) {
        const ports = reference ? [port, reference] : [port];
    const clients = ports.map(at => new Redis(at));
    for (const client of clients) await client.flushall();
    for (const { text, words, exact } of parts) {
      const method = words[0].toLowerCase() + suffix;
      const found = [];
      for (const client of clients) {
        const call = client[method]
          ? () => client[method](...words.slice(1))
          : () => client[suffix ? 'callBuffer' : 'call'](...words);
        found.push(await result(call));
      }
      lines += 1;
      const isNew = found[1]?.includes('unknown');
      if (reference && exact && !isNew && found[0] !== found[1]) {
        wrong.push(`${method}: ${text}\n  ours:  ${found[0]}\n  Redis: ${found[1]}`);
      }
    }
    clients.forEach(client => client.disconnect());
  }
}

async function features() {
  const redis = new Redis(port, { enableAutoPipelining: true });
  await redis.flushall();
  await Promise.all(Array.from({ length: 500 }, (_, at) => redis.set(`k${at}`, at)));
  const piped = await redis.pipeline().get('k1').incr('k1').lpush('k1', 'x').exec();
  assert.equal(piped[1][1], 2);
  assert.match(piped[2][0].message, /^WRONGTYPE/);
  assert.deepEqual(await redis.multi().incr('n').get('n').exec(), [[null, 1], [null, '1']]);
  redis.defineCommand('addAll', { numberOfKeys: 1, lua: `
    for _, value in ipairs(ARGV) do redis.call('RPUSH', KEYS[1], value) end
    return redis.call('LRANGE', KEYS[1], 0, -1)` });
  assert.deepEqual(await redis.addAll('list', 'a', 'b'), ['a', 'b']);
  const seen = new Set();
  const stream = redis.scanStream({ match: 'k*', count: 50 });
  for await (const keys of stream) keys.forEach(key => seen.add(key));
  assert.equal(seen.size, 500);
  const listener = redis.duplicate();
  const message = new Promise(resolve => listener.on('pmessage', (...all) => resolve(all)));
  await listener.psubscribe('ch*');
  await redis.publish('channel', 'hello');
  assert.deepEqual(plain(await message), ['ch*', 'channel', 'hello']);
  const waits = redis.duplicate().blpop('later', 5);
  await redis.rpush('later', 'x');
  assert.deepEqual(await waits, ['later', 'x']);
}

await compare('');
await compare('Buffer');
await features();
conclude('ioredis', `${lines} lines`, wrong);
