import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { makeKeys, sealImage } from '../../src/serial/bridge/firmware/image.ts';
import { type Box, startBox } from './box.ts';
import { connectHub } from './hub-stream.ts';
import type { Scope } from './scope.ts';
import { type SimulatedBoard, startBoard } from './simulated-board.ts';
import { waitFor } from './wait-for.ts';

/** Three chunks are a percent. */
const IMAGE_BYTES = 60_000;
/** A board that falls loses what is behind the last page of its flash. */
const PAGE_BYTES = 256;
const STEP = { timeoutMs: 60_000, intervalMs: 2 };

export type End = 'box' | 'board';
export interface Kill {
  end: End;
  /** Of the image that is stored. */
  percent: number;
}

export interface Killed {
  kills: readonly Kill[];
  /** SHA-256 of what was sent and of what the board runs in the end, of each transfer. */
  hashes: readonly { sent: string; runs: string }[];
  /** Falls behind which the transfer went on more than a page before where it was: none may. */
  restarts: number;
}

/**
 * Sends images to a simulated board, and kills the box or the board with SIGKILL when it has stored a percent that is
 * asked for. A percent that is over before the test looks has its turn with the next image: so each is met, however busy
 * the machine is.
 */
export async function killTransfers(
  scope: Scope,
  wanted: readonly Kill[],
  tell: (kill: Kill) => void = () => undefined,
): Promise<Killed> {
  const keys = makeKeys();
  const board = await startBoard(scope, { options: ['--rate', '100', '--baud', '115200'] });
  const box = await startBox(scope, {
    config: {
      serial: [{ name: 'line3', port: board.path, bridge: true }],
      firmware: { keys: [keys.publicKey], approve: 'at-once', confirm_timeout: '60s' },
    },
  });
  const left = new Map(wanted.map((kill) => [`${kill.end} ${kill.percent}`, kill]));
  const kills: Kill[] = [];
  const hashes: { sent: string; runs: string }[] = [];
  let restarts = 0;
  while (left.size > 0) {
    const version = `1.${hashes.length + 1}.0`;
    const head = `petiole-board ${version} good\n`;
    const image = Buffer.from(head + randomBytes(IMAGE_BYTES).toString('base64').slice(head.length, IMAGE_BYTES));
    await waitFor('the board', async () => (await box.status()).serial[0].board?.isThere, STEP);
    const progress = new Progress(board);
    await offer(scope, box, sealImage(image, 'petiole-sim', version, keys.privatePem));
    let before = 0;
    for (;;) {
      const stored = await progress.next();
      if (stored === null) break;
      if (stored + PAGE_BYTES < before) restarts++;
      before = Math.max(before, stored);
      const percent = Math.floor((stored * 100) / image.length);
      const kill = left.get(`box ${percent}`) ?? left.get(`board ${percent}`);
      if (kill === undefined) continue;
      left.delete(`${kill.end} ${percent}`);
      if (kill.end === 'box') await box.kill9();
      else await board.kill();
      kills.push(kill);
      tell(kill);
      if (kill.end === 'box') await box.start();
      else await board.start();
    }
    await waitFor(`${version} to be confirmed`, () => isConfirmed(box, version), STEP);
    hashes.push({ sent: hashOf(image), runs: hashOf(readFileSync(board.runningImage)) });
  }
  return { kills, hashes, restarts };
}

/** What the board says of its flash, over all its processes. */
class Progress {
  readonly #board: SimulatedBoard;
  #seen: number;

  constructor(board: SimulatedBoard) {
    this.#board = board;
    this.#seen = board.told('firmware').length;
  }

  /** Bytes that it has stored, or null once it has them all. */
  async next(): Promise<number | null> {
    const line = await waitFor('the transfer to go on', () => this.#board.told('firmware')[this.#seen], STEP);
    this.#seen++;
    const [state, stored] = line.split(' ');
    if (state === 'receiving') return Number(stored);
    return state === 'idle' ? this.next() : null;
  }
}

async function offer(scope: Scope, box: Box, file: Buffer): Promise<void> {
  const nats = await connectHub(scope, box.natsUrl);
  const head = JSON.stringify({ id: 'kills', offset: 0, total: file.length, port: 'line3' });
  const answer = await nats.request('$PETIOLE.box.firmware.offer', Buffer.concat([Buffer.from(`${head}\n`), file]), {
    timeout: 30_000,
  });
  const { error } = answer.json<{ error?: { message: string } }>();
  if (error !== undefined) throw new Error(error.message);
  await nats.close();
}

async function isConfirmed(box: Box, version: string): Promise<boolean> {
  const [transfer] = (await box.status()).firmware.transfers;
  if (transfer?.state === 'confirmed' && transfer.version === version) return true;
  throw new Error(JSON.stringify(transfer));
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
