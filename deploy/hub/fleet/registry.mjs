// What the fleet has issued: one JSON file, written as a whole or not at all. It holds hashes of codes and public keys, no
// secret.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LOCK_WAIT_MS = 20;
/** Nobody holds it for a second: it is what a killed process left. */
const LOCK_STALE_MS = 10_000;
/** Nobody guesses 160 bits. */
const CODE_BYTES = 20;

export const hashOf = (code) => createHash('sha256').update(code).digest('base64url');

/** @typedef {{ publish: string[], subscribe: string[], streams: string[] }} Rights */

export class Registry {
  #file;

  constructor(dir) {
    this.#file = join(dir, 'fleet.json');
  }

  read() {
    if (!existsSync(this.#file)) return { tickets: {}, boxes: {}, revocations: {} };
    return JSON.parse(readFileSync(this.#file, 'utf8'));
  }

  /** Runs `change` on the state and keeps it, one process at a time; what `change` throws leaves it as it was. */
  async update(change) {
    const lock = `${this.#file}.lock`;
    for (;;) {
      try {
        closeSync(openSync(lock, 'wx', 0o600));
        break;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
        const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
        if (age > LOCK_STALE_MS) rmSync(lock, { force: true });
        await sleep(LOCK_WAIT_MS);
      }
    }
    try {
      const state = this.read();
      const result = change(state);
      writeFileSync(`${this.#file}.draft`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600, flush: true });
      renameSync(`${this.#file}.draft`, this.#file);
      return result;
    } finally {
      rmSync(lock, { force: true });
    }
  }

  /** A new one-time code for a name; gives back the code, of which only the hash is kept. */
  async addTicket(name, rights, lifeS) {
    const code = randomBytes(CODE_BYTES).toString('base64url');
    await this.update(({ tickets }) => {
      tickets[name] = { ...rights, codeHash: hashOf(code), expiresAtMs: Date.now() + lifeS * 1000, key: null };
    });
    return code;
  }

  async addBox(name, key, rights) {
    await this.update(({ boxes }) => {
      boxes[name] = { ...rights, key, next: null, issuedAtMs: Date.now() };
    });
  }
}

/**
 * The first key that shows the code gets it; the same key may ask again, since an answer can be lost on its way.
 * Throws a Refusal.
 */
export function redeem(state, { name, code, key }) {
  const ticket = state.tickets[name];
  const given = Buffer.from(hashOf(code));
  if (!ticket || !timingSafeEqual(given, Buffer.from(ticket.codeHash))) {
    throw new Refusal('unknown_code', 'the code is not known', 'take the ticket that was made for this box, whole');
  }
  if (ticket.expiresAtMs <= Date.now()) throw new Refusal('expired_code', 'the code has expired', 'make a new ticket');
  if (ticket.key !== null && ticket.key !== key) {
    throw new Refusal(
      'used_code',
      'the code was used',
      'make a new ticket; if it was not you who used it, revoke the box',
    );
  }
  ticket.key = key;
  const { publish, subscribe, streams } = ticket;
  const before = state.boxes[name]?.key;
  // A box that is enrolled anew has lost its old key, or never should have had it.
  if (before && before !== key) revokeKey(state, before);
  state.boxes[name] = { publish, subscribe, streams, key, next: null, issuedAtMs: Date.now() };
  return state.boxes[name];
}

/** The present key asks for a next one; both are welcome until the next one confirms. */
export function renew(state, { name, key, next }) {
  const box = known(state, name, key);
  box.next = next;
  return box;
}

/** The next key has been seen: the one before is revoked. Gives back whether that changed anything. */
export function confirm(state, { name, key }) {
  const box = state.boxes[name];
  if (!box || (box.next !== key && box.key !== key)) throw unknownKey();
  if (box.key === key) return false;
  revokeKey(state, box.key);
  state.boxes[name] = { ...box, key, next: null, issuedAtMs: Date.now() };
  return true;
}

export function revoke(state, name) {
  const box = state.boxes[name];
  delete state.tickets[name];
  if (!box) return false;
  revokeKey(state, box.key);
  if (box.next) revokeKey(state, box.next);
  delete state.boxes[name];
  return true;
}

function known(state, name, key) {
  const box = state.boxes[name];
  if (!box || box.key !== key) throw unknownKey();
  return box;
}

function revokeKey(state, key) {
  // Everything issued to this key up to now; keys are random, so it never has to be welcome again.
  state.revocations[key] = Math.floor(Date.now() / 1000);
}

const unknownKey = () =>
  new Refusal('unknown_key', 'this key is not that of the box', 'enrol the box anew with a ticket');

/** Told to the box as it is. */
export class Refusal extends Error {
  constructor(code, message, hint) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}
