// SET then GET of a fresh key by 100 users for 30 seconds; every status and value is checked.
// Fails (exit code 99) unless every check of every request holds.
import http from 'k6/http';
import { check } from 'k6';

const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:15500';
const JSON_HEADERS = { headers: { 'Content-Type': 'application/json' } };

export const options = {
  vus: Number(__ENV.VUS || 100),
  duration: __ENV.DURATION || '30s',
  thresholds: { checks: ['rate==1'] },
  summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
};

export default function () {
  const key = `k6:set-get:${__VU}:${__ITER}`;
  const value = `value of ${key}`;

  const body = JSON.stringify({ key, value, ttl: 60 });
  const set = http.post(`${BASE_URL}/kv/set`, body, {
    ...JSON_HEADERS,
    tags: { name: 'POST /kv/set' },
  });
  check(set, { 'set answers 200': (r) => r.status === 200 });

  // Without a tag of its own every key would become a time series.
  const get = http.get(`${BASE_URL}/kv/get/${encodeURIComponent(key)}`, {
    tags: { name: 'GET /kv/get/{key}' },
  });
  check(get, {
    'get answers 200': (r) => r.status === 200,
    'get answers the value': (r) => r.status === 200 && r.json() === value,
  });
}
