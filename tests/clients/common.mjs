// What the scripts for ioredis and node-redis share: lines to run, servers to compare.

import { readFileSync } from 'node:fs';

// Commands that change what a connection is for, which clients keep in hand themselves.
const APART = /SUBSCRIBE|MULTI|EXEC|DISCARD|WATCH|QUIT|RESET|HELLO|CLIENT REPLY|SHUTDOWN/;

// Parts of the fixture of `tests/compatibility.rs`: the examples of each command, as words; without
// those that need a cluster.
export function examples() {
  const path = new URL('../fixtures/compatibility.txt', import.meta.url);
  const parts = [];
  let section = '';
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [mark, rest] = [line.split(' ', 1)[0], line.slice(line.indexOf(' ') + 1)];
    if (mark === '#') section = rest;
    if (mark === '=') parts.push({ section, name: rest.split(/ [-@]/)[0], lines: [] });
    if (mark === '>') parts.at(-1).lines.push({ text: rest, words: words(rest) });
    if (mark.startsWith('<')) parts.at(-1).lines.at(-1).exact = mark === '<';
  }
  return parts.filter(({ section, name }) => section !== 'cluster' && !APART.test(name));
}

function words(line) {
  const special = { "''": '' };
  const byte = code => String.fromCharCode(parseInt(code.slice(1), 16));
  const unescape = (all, code) => (code === 'n' ? '\n' : byte(code));
  return line.split(' ').map(word => special[word] ??
    word.replaceAll('~', ' ').replace(/\\(n|x..)/g, unescape));
}

// A value that can be compared: objects without prototypes and maps by their pairs.
export function plain(value) {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (value instanceof Map) return [...value].map(plain);
  if (value instanceof Set) return [...value].map(plain).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value === 'bigint') return Number(value);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

export async function result(call) {
  try {
    return JSON.stringify(plain(await call()));
  } catch (error) {
    return `error: ${error.message}`;
  }
}

export function conclude(who, counts, wrong) {
  console.log(`${who}: ${counts}, ${wrong.length} differ`);
  wrong.forEach(text => console.log(text));
  process.exit(wrong.length > 0 ? 1 : 0);
}
