import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import { type Box, DIST, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { freePort } from '../support/ports.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

function petiole(scope: Scope, box: Box, ...args: string[]): Child {
  const child = new Child('node', [join(DIST, 'main.js'), ...args, '--config', box.configFile]);
  atEnd(scope, () => child.kill().then(() => {}));
  return child;
}

const config = { lanes: [{ name: 'telemetry', subjects: ['line3.>'] }] };

test('tail shows what MQTT devices publish, under topics and under subjects', async (t) => {
  const box = await startBox(t, { config });
  const tail = petiole(t, box, 'tail', 'line3/#', 'other.>', '--count', '3');
  const binary = petiole(t, box, 'tail', '--json', '--count', '3');
  await waitFor('both to listen', async () => (await box.status()).nats.clients.length === 2);
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'line3/temp', '-m', '{"c": 21.5}');
  await mosquittoPub(box.mqttPort, '-q', '1', '-t', 'other/x', '-m', 'bell \u0007 and \u001b[31m');
  await mosquittoPub(box.mqttPort, '-V', '5', '-t', 'line3', '-m', 'up', '-D', 'publish', 'user-property', 'unit', 'C');
  assert.equal((await tail.exited).code, 0, tail.lines.join('\n'));
  const shown = tail.lines.join('\n');
  assert.match(shown, /line3\.temp \{"c": 21\.5\}/);
  assert.match(shown, /line3 \[unit: C\] up/);
  assert.ok(!/\p{Cc}/u.test(shown.replaceAll('\n', '')), 'nothing that a terminal would obey');
  assert.equal((await binary.exited).code, 0);
  const first = JSON.parse(binary.lines[0] ?? '');
  assert.deepEqual([first.subject, Buffer.from(first.payload, 'base64').toString()], ['line3.temp', '{"c": 21.5}']);
});

test('pub publishes, with a receipt where a lane takes it; request prints the answer', async (t) => {
  const box = await startBox(t, { config });
  const program = await connect({ servers: box.natsUrl, reconnect: false });
  atEnd(t, () => program.close());
  const got: string[] = [];
  program.subscribe('a.b', { callback: (_, m) => void got.push(`${m.string()} ${m.headers?.get('K')}`) });
  program.subscribe('echo', { callback: (_, m) => void m.respond(`you said ${m.string()}`) });
  await program.flush();

  assert.equal((await petiole(t, box, 'pub', 'a/b', 'hello', '--header', 'K=v').exited).code, 0);
  await waitFor('it', () => got.length === 1);
  assert.deepEqual(got, ['hello v']);

  const receipt = petiole(t, box, 'pub', 'line3.temp', '21', '--receipt', '--format', 'json');
  assert.equal((await receipt.exited).code, 0, receipt.lines.join('\n'));
  assert.equal(JSON.parse(receipt.lines[0] ?? '').seq, 1);

  const answer = petiole(t, box, 'request', 'echo', 'this');
  await answer.exited;
  assert.deepEqual(answer.lines, ['you said this']);
  const piped = petiole(t, box, 'request', 'echo');
  piped.process.stdin?.end('from a pipe');
  await piped.exited;
  assert.deepEqual(piped.lines, ['you said from a pipe']);
});

test('what cannot be said is told with its cure', async (t) => {
  const box = await startBox(t, {});
  for (const [args, code, words] of [
    [['request', 'nobody', 'x'], 1, /Nobody answers on nobody/],
    [['request', 'x', 'y', '--server', `nats://127.0.0.1:${await freePort()}`], 1, /Start the box/],
    [['tail', '--format', 'xml'], 64, /--format is one of/],
    [['pub'], 64, /one SUBJECT/],
  ] as const) {
    const child = petiole(t, box, ...args);
    assert.equal((await child.exited).code, code);
    assert.match(child.lines.join('\n'), words);
  }
});
