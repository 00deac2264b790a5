// node-redis against a server and a Redis: `node node_redis.mjs PORT [REDIS_PORT]`. Each example of
// the compatibility table as it is, in RESP2 and RESP3; then the typed methods over every family.

import { strict as assert } from 'node:assert';
import { createClient } from 'redis';
import { conclude, examples, result } from './common.mjs';

const [port, reference] = process.argv.slice(2).map(Number);
if (!reference) console.error('SKIPPED: node-redis: there is no Redis to compare with');
const wrong = [];
let lines = 0;

const connect = (at, RESP) => createClient({ url: `redis://127.0.0.1:${at}`, RESP }).connect();

// Typed calls; each is run on both servers.
const TYPED = [
  r => r.set('k', 'v', { expiration: { type: 'EX', value: 100 }, condition: 'NX' }),
  r => r.get('k'), r => r.getEx('k', { type: 'PERSIST' }), r => r.incrByFloat('f', 1.5),
  r => r.mSet({ a: '1', b: '2' }), r => r.mGet(['a', 'none', 'b']), r => r.setRange('k', 2, 'x'),
  r => r.lcsIdx('a', 'b'), r => r.bitCount('k', { start: 0, end: -1 }),
  r => r.bitField('bf', [{ operation: 'INCRBY', encoding: 'u8', offset: 0, increment: 5 }]),
  r => r.hSet('h', { a: '1', b: '2' }), r => r.hGetAll('h'), r => r.hmGet('h', ['a', 'z']),
  r => r.hScan('h', '0'), r => r.hRandFieldCountWithValues('h', 5).then(all => all.length),
  r => r.rPush('l', ['1', '2', '3']), r => r.lRange('l', 0, -1), r => r.lPos('l', '2'),
  r => r.lMPop(['l'], 'LEFT', { COUNT: 2 }), r => r.blPop('l', 1), r => r.blPop('l', 0.01),
  r => r.sAdd('s', ['1', '2', '3']), r => r.sMembers('s'), r => r.sInterCard(['s', 's']),
  r => r.smIsMember('s', ['1', '9']), r => r.sScan('s', '0'),
  r => r.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]),
  r => r.zRangeWithScores('z', 0, -1), r => r.zRange('z', '(1', 'inf', { BY: 'SCORE' }),
  r => r.zAddIncr('z', { score: 1, value: 'a' }), r => r.zmScore('z', ['a', 'none']),
  r => r.zUnionWithScores(['z', 'z']), r => r.zPopMin('z'), r => r.bzPopMax('z', 1),
  r => r.zScan('z', '0'), r => r.zRank('z', 'none'),
  r => r.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }),
  r => r.geoPos('g', ['Palermo', 'none']), r => r.geoHash('g', 'Palermo'),
  r => r.geoSearchWith('g', 'Palermo', { radius: 9, unit: 'km' }, ['WITHDIST', 'WITHCOORD']),
  r => r.pfAdd('p', ['a', 'b']), r => r.pfCount('p'),
  r => r.xAdd('x', '1-1', { f: 'v' }), r => r.xRange('x', '-', '+'),
  r => r.xGroupCreate('x', 'gr', '0'),
  r => r.xReadGroup('gr', 'c', { key: 'x', id: '>' }, { COUNT: 1 }), r => r.xPending('x', 'gr'),
  r => r.xAutoClaim('x', 'gr', 'd', 0, '0'), r => r.xInfoGroups('x'), r => r.xAck('x', 'gr', '1-1'),
  r => r.xRead({ key: 'x', id: '0' }), r => r.xLen('x'),
  r => r.copy('a', 'c'), r => r.type('h'), r => r.expire('a', 100), r => r.ttl('a'),
  r => r.sort('s', { DIRECTION: 'DESC' }), r => r.eval('return {KEYS[1], ARGV[1]}',
    { keys: ['k'], arguments: ['v'] }), r => r.scriptLoad('return 1'),
  r => r.multi().incr('n').hGetAll('h').exec(), r => r.configGet('maxmemory-samples'),
  r => r.commandGetKeys(['MSET', 'a', '1']), r => r.objectEncoding('none'),
  r => r.clientInfo().then(info => info.name), r => r.pubSubNumSub(['a']), r => r.role(),
];

async function compare(RESP) {
  const ports = reference ? [port, reference] : [port];
  const clients = await Promise.all(ports.map(at => connect(at, RESP)));
  const flush = () => Promise.all(clients.map(client => client.flushAll()));
  const check = async (text, exact, call) => {
    const found = [];
    for (const client of clients) found.push(await result(() => call(client)));
    lines += 1;
    if (reference && exact && !found[1].includes('unknown') && found[0] !== found[1]) {
      wrong.push(`RESP${RESP} ${text}\n  ours:  ${found[0]}\n  Redis: ${found[1]}`);
    }
  };
  for (const { lines: parts } of examples()) {
        await flush();
    for (const { text, words, exact } of parts) {
      await check(text, exact, client => client.sendCommand(words));
    }
  }
  await flush();
  for (const call of TYPED) await check(String(call), true, call);
  clients.forEach(client => client.destroy());
}

async function features() {
  const client = await connect(port, 3);
  await client.flushAll();
  await Promise.all(Array.from({ length: 500 }, (_, at) => client.set(`k${at}`, `${at}`)));
  const seen = new Set();
  for await (const keys of client.scanIterator({ MATCH: 'k*' })) keys.forEach(key => seen.add(key));
  assert.equal(seen.size, 500);
  const listener = await client.duplicate().connect();
  const message = new Promise(resolve => listener.subscribe('ch', resolve));
  while ((await client.publish('ch', 'hello')) === 0);
  assert.equal(await message, 'hello');
  const watcher = await client.duplicate().connect();
  await watcher.watch('k1');
  await client.set('k1', 'changed');
  await assert.rejects(watcher.multi().get('k1').exec(), /watch/i);
}

await compare(2);
await compare(3);
await features();
conclude('node-redis', `${lines} lines`, wrong);
