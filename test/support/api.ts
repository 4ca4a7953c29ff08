import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { secretsIn } from '../../src/ops/sign-in-secrets.ts';
import type { Box } from './box.ts';
import { atEnd, type Scope } from './scope.ts';

/** The API of a real box, as its operator. */
export function operatorOf(box: Box) {
  const secret = secretsIn(box.dataDir)?.operator ?? assert.fail('no secrets');
  const headers = { Authorization: `Bearer ${secret}` };
  return {
    headers,
    // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a shape of its own
    async get(path: string): Promise<any> {
      const answer = await fetch(`${box.statusUrl}${path}`, { headers });
      assert.equal(answer.status, 200, `${path}: ${answer.status}`);
      return answer.json();
    },
    // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a shape of its own
    async post(path: string, body: unknown, method = 'POST'): Promise<{ status: number; body: any }> {
      const answer = await fetch(`${box.statusUrl}${path}`, {
        method,
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: answer.status, body: await answer.json() };
    },
  };
}

/** Server-sent events of one path, as they come. */
export function listen(t: Scope, box: Box, path: string, headers: Record<string, string> = {}) {
  // biome-ignore lint/suspicious/noExplicitAny: each event has a shape of its own
  const events: { event: string; data: any }[] = [];
  let rest = '';
  const sent = request(`${box.statusUrl}${path}`, { headers, agent: false }, (response) => {
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      const whole = (rest + text).split('\n\n');
      rest = whole.pop() ?? '';
      for (const each of whole) {
        const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(each) ?? [];
        if (event !== '') events.push({ event, data: JSON.parse(data) });
      }
    });
    response.on('error', () => {});
  });
  sent.on('error', () => {});
  sent.end();
  atEnd(t, () => void sent.destroy());
  const of = (event: string) => events.filter((each) => each.event === event).map(({ data }) => data);
  return { of, close: () => sent.destroy(), opened: once(sent, 'response') };
}
