/**
 * Goal: no PUBACKed message is lost and no record is stored twice or out of order, whatever is killed or cut; and the rig
 * that says so would see it if it were not so. Method: the script exactly-once.ts with few faults and fixed seeds, on the
 * build as it is and on builds that break the promise. `npm run test:fault:full` runs it at length.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { BreakName } from '../support/broken-build.ts';
import { Child } from '../support/child.ts';
import { procedures, serversFor } from '../support/procedures.ts';
import { atEnd, type Scope } from '../support/scope.ts';

const SCRIPT = join(import.meta.dirname, 'exactly-once.ts');
/** A bound for what hangs; a busy machine needs several minutes. */
const TIMEOUT_MS = 900_000;

interface Faults {
  messages?: number;
  kills?: number;
  outages?: number;
  cuts?: number;
}

interface Outcome {
  code: number | null;
  text: string;
  /** The number in the row of the table that begins with `what`. */
  count(what: string): number;
}

/** What is not given is left out. */
async function runRig(scope: Scope, { messages = 0, kills = 0, outages = 0, cuts = 0 }: Faults, ...more: string[]) {
  const counts = ['--messages', messages, '--kills', kills, '--outages', outages, '--cuts', cuts].map(String);
  const child = new Child(process.execPath, [SCRIPT, ...counts, ...more]);
  atEnd(scope, async () => {
    await child.kill();
  });
  const { code } = await child.exited;
  const text = child.lines.join('\n');
  const outcome: Outcome = {
    code,
    text,
    count: (what) => {
      const row = child.lines.find((line) => line.startsWith(what));
      assert.ok(row, `the table has a row "${what}":\n${text}`);
      return Number(row.slice(what.length).trim().replaceAll(',', ''));
    },
  };
  return outcome;
}

// Mostly waits: for boxes and hubs to start, and between attempts to reconnect.
describe('exactly once', { concurrency: 3, timeout: TIMEOUT_MS }, () => {
  it('every procedure has a hub', () => {
    for (const procedure of procedures) assert.ok(serversFor(procedure).length > 0, procedure);
  });

  // The newest hub gets the most; what differs from version to version shows with less.
  const some = { messages: 4_000, kills: 1, outages: 1, cuts: 2 };
  const more = { messages: 12_000, kills: 3, outages: 1, cuts: 4 };
  const runs = procedures.flatMap((procedure) =>
    serversFor(procedure).map(({ version }, index, { length }) => ({
      procedure,
      version,
      faults: index === length - 1 ? more : some,
    })),
  );
  runs.forEach(({ procedure, version, faults }, index) => {
    it(`${procedure} on ${version}: kept through kills, an outage and cut links`, async (scope) => {
      const options = ['--procedure', procedure, '--hub', version, '--seed', String(index + 1)];
      const { code, text, count } = await runRig(scope, faults, ...options);
      assert.equal(code, 0, text);
      assert.ok(count('PUBACKed') > faults.messages, text);
      if (faults.kills > 1) assert.ok(count('sent again by the senders') > 0, 'the kills hit publishes under way');
      assert.ok(count('in the stream') >= count('PUBACKed'), text);
    });
  });

  for (const procedure of ['read-back', 'atomic']) {
    it(`${procedure} below a prefix: kept through an outage and cut links`, async (scope) => {
      const faults = { outages: 1, cuts: 3 };
      const options = ['--procedure', procedure, '--prefix', 'plant.one', '--seed', '3'];
      const { code, text } = await runRig(scope, faults, ...options);
      assert.equal(code, 0, text);
    });
  }

  // Each procedure is killed with it in flash-saver.test.ts.
  for (const procedure of ['read-back']) {
    it(`${procedure} with the flash saver: kept through kills, an outage and cut links`, async (scope) => {
      const faults = { messages: 5_000, kills: 1, outages: 1, cuts: 4 };
      const { code, text } = await runRig(scope, faults, '--procedure', procedure, '--saver', '--seed', '5');
      assert.equal(code, 0, text);
    });
  }

  const broken: [build: BreakName, procedure: string, faults: Faults, fault: string, ...more: string[]][] = [
    ['early-ack', 'read-back', { messages: 40_000, kills: 12 }, 'lost'],
    ['no-reconcile', 'read-back', { cuts: 1 }, 'duplicated by record id'],
    ['no-reconcile', 'own', { cuts: 1 }, 'duplicated by record id'],
    ['early-trim', 'read-back', { cuts: 2 }, 'lost'],
    ['no-watermark', 'atomic', { cuts: 1 }, 'duplicated by record id'],
    ['unheld', 'read-back', { cuts: 4 }, 'lost', '--saver'],
  ];
  for (const [build, procedure, faults, fault, ...more] of broken) {
    it(`${procedure}: a build with ${build} is caught: ${fault}`, async (scope) => {
      // A kill may hit a moment in which even such a build owes nobody anything.
      let text = '';
      for (const seed of ['7', '8', '9']) {
        const run = await runRig(scope, faults, '--procedure', procedure, '--break', build, '--seed', seed, ...more);
        if (run.code === 1 && run.count(fault) > 0) return;
        text += run.text;
      }
      assert.fail(`not caught with three seeds\n${text}`);
    });
  }
});
