import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import type { Scope } from '../support/scope.ts';
import { atEnd } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** Drops the file descriptor of a barrier at once, as systemd does once it has read what came before it. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening')
while True: print(s.recv(4096).decode())
`;

/** The far end of NOTIFY_SOCKET: what systemd would be told, as one text. */
async function serviceManager(scope: Scope): Promise<{ env: NodeJS.ProcessEnv; text: () => string }> {
  const socket = join(tempDir(scope, 'notify'), 'notify');
  const child = new Child('python3', ['-u', '-c', RECEIVER, socket]);
  atEnd(scope, () => child.kill().then(() => {}));
  await child.line('listening', (line) => line === 'listening', 10_000);
  return { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '900000' }, text: () => child.lines.join('\n') };
}

test('the service manager is told what the box does, and the watchdog is fed', async (t) => {
  const manager = await serviceManager(t);
  const box = await startBox(t, { env: manager.env });
  await waitFor('READY', () => manager.text().includes('READY=1'));
  await waitFor('two feeds', () => manager.text().split('WATCHDOG=1').length > 2);
  assert.match(manager.text(), /STATUS=No upstream is configured: messages will be kept here until there is one/);
  await box.stop();
  await waitFor('STOPPING', () => manager.text().includes('STOPPING=1'));
});

test('a writer thread that hangs is not covered up by a lively event loop', async (t) => {
  const manager = await serviceManager(t);
  const box = await startBox(t, { env: manager.env });
  await waitFor('a feed', () => manager.text().includes('WATCHDOG=1'));
  const inject = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:delay_enter=600000000'];
  const strace = new Child('strace', ['-f', '-qq', '-o', '/dev/null', ...inject, '-p', String(box.pid)]);
  await waitFor('strace to be attached', () => isTraced(box.pid));
  void mosquittoPub(box.mqttPort, '-q', '1', '-t', 'a', '-m', 'x');
  await waitFor('the verdict', () => manager.text().includes('STATUS=No answer from: the writer thread'));
  const fedBefore = manager.text().split('WATCHDOG=1').length;
  await waitFor('another verdict', () => manager.text().split('No answer').length > 2);
  assert.equal(manager.text().split('WATCHDOG=1').length, fedBefore);
  assert.ok(box.log.some(({ part, msg }) => part === 'watchdog' && msg?.includes('the watchdog is not fed')));
  // Mended: the same box is fed again.
  await strace.kill();
  await waitFor('a feed', () => manager.text().split('WATCHDOG=1').length > fedBefore);
  await box.kill9();
});

function isTraced(pid: number): boolean {
  return /^TracerPid:\s+[1-9]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}
