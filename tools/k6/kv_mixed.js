// 70 % GET, 25 % SET, 5 % DEL over a shared key space by 100 users for 30 seconds.
// A GET may find its key or miss it; what it finds must be a value that SET wrote for that key.
import http from 'k6/http';
import { check } from 'k6';

const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:15500';
const KEYS = Number(__ENV.KEYS || 10000);
const JSON_HEADERS = { headers: { 'Content-Type': 'application/json' } };

export const options = {
  vus: Number(__ENV.VUS || 100),
  duration: __ENV.DURATION || '30s',
  thresholds: { checks: ['rate==1'] },
  summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
};

// A miss is an answer here, not a failed request.
http.setResponseCallback(http.expectedStatuses(200, 404));

const valueOf = (key) => `value of ${key}`;

function set(key) {
  const body = JSON.stringify({ key, value: valueOf(key), ttl: 60 });
  const reply = http.post(`${BASE_URL}/kv/set`, body, {
    ...JSON_HEADERS,
    tags: { name: 'POST /kv/set' },
  });
  check(reply, { 'set answers 200': (r) => r.status === 200 });
}

function get(key) {
  const reply = http.get(`${BASE_URL}/kv/get/${encodeURIComponent(key)}`, {
    tags: { name: 'GET /kv/get/{key}' },
  });
  check(reply, {
    'get answers 200 or 404': (r) => r.status === 200 || r.status === 404,
    'get answers the value of its key': (r) => r.status !== 200 || r.json() === valueOf(key),
  });
}

function del(key) {
  const reply = http.del(`${BASE_URL}/kv/del/${encodeURIComponent(key)}`, null, {
    tags: { name: 'DELETE /kv/del/{key}' },
  });
  check(reply, { 'del answers 200': (r) => r.status === 200 });
}

export default function () {
  const key = `k6:mixed:${Math.floor(Math.random() * KEYS)}`;
  const dice = Math.random();
  if (dice < 0.7) {
    get(key);
  } else if (dice < 0.95) {
    set(key);
  } else {
    del(key);
  }
}
