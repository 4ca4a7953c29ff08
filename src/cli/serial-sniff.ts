import { closeSync, openSync, writeSync } from 'node:fs';
import { GatewayError } from '../core/errors.ts';
import { stretchText } from '../serial/capture-file.ts';
import { GUESS_BYTES_MAX, type Guess, guess } from '../serial/guess.ts';
import type { Line } from '../serial/line.ts';
import { type Chosen, choosePort, openChosen, type SerialOptions } from './serial-options.ts';
import { hexDump } from './serial-text.ts';

/** In the order of how often devices have them. */
const RATES = [9600, 115_200, 19_200, 57_600, 38_400, 4800, 2400, 1200, 230_400, 460_800, 921_600];
/** Modbus devices have even parity unless told otherwise; read without, most of what they say is dropped by the driver. */
const EVEN_RATES = [9600, 19_200, 115_200, 38_400];
/** How long to listen at each rate: devices that report once a second are heard twice. */
const TRY_MS = 2_500;
/** What came so far is looked at so often. */
const LOOK_MS = 250;
/** Sure enough to stop trying. */
const SURE = 0.9;
/** Worth going on with, where nothing better was found. */
const WORTH = 0.5;

/** `petiole serial sniff`. */
export async function sniff(options: SerialOptions): Promise<number> {
  const chosen = choosePort(options.rest[0] ?? '', options);
  const isFixed = options.baud !== null || chosen.port !== null || chosen.identity.tcp !== null;
  const ear = new Ear(options);
  try {
    const settings = isFixed ? chosen : await ear.findRate(chosen);
    if (settings === null) return 1;
    return await ear.follow(settings);
  } finally {
    ear.end();
  }
}

/** What is heard, and what is told of it. */
class Ear {
  readonly #options: SerialOptions;
  readonly #stopping: Promise<void>;
  readonly #capture: number | null;
  #isStopping = false;
  #bytes = 0;
  /** The newest, as many as a guess looks at. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #firstMs = 0;

  constructor(options: SerialOptions) {
    this.#options = options;
    this.#capture = options.save === null ? null : openSync(options.save, 'w');
    this.#stopping = new Promise((resolve) => {
      const stop = (): void => {
        this.#isStopping = true;
        resolve();
      };
      process.once('SIGINT', stop).once('SIGTERM', stop);
    });
  }

  end(): void {
    if (this.#capture !== null) closeSync(this.#capture);
  }

  /** Listens at one rate after the other; null where nothing is worth going on with. */
  async findRate(chosen: Chosen): Promise<Chosen | null> {
    const { parity } = chosen.settings;
    const isAsked = this.#options.parity !== null;
    const tries = [...RATES.map((baud) => ({ baud, parity }))];
    if (!isAsked) tries.push(...EVEN_RATES.map((baud) => ({ baud, parity: 'even' as const })));
    let best: { chosen: Chosen; guess: Guess } | null = null;
    let heard = 0;
    let line: Awaited<ReturnType<typeof openChosen>> | null = null;
    let opened = '';
    try {
      for (const one of tries) {
        if (this.#isStopping) return null;
        const next = { ...chosen, settings: { ...chosen.settings, ...one } };
        if (line?.setBaud === undefined || opened !== one.parity) {
          await line?.close(new GatewayError('stopping', 'the next parity'));
          line = await openChosen(next, (chunk) => this.#keep(chunk));
          opened = one.parity;
        } else await line.setBaud(one.baud);
        this.#forget();
        const found = await this.#listen(line);
        heard += this.#bytes;
        this.#told(`${one.baud}`.padStart(7), one.parity, this.#bytes, found);
        if (best === null || found.sureness > best.guess.sureness) best = { chosen: next, guess: found };
        if (found.sureness >= SURE) break;
      }
    } finally {
      await line?.close(new GatewayError('stopping', 'done'));
    }
    if (best !== null && best.guess.sureness >= WORTH) return best.chosen;
    const silence =
      'Nothing came at any rate. It may be a device that only answers (petiole serial send), a bus without a master, or not connected.';
    const noise =
      'Nothing that came looks like text, NMEA, Modbus, a board or frames. If the rate is known, give it with --baud; check ground, levels and parity too.';
    process.stderr.write(`${heard === 0 ? silence : noise}\n`);
    return null;
  }

  /** Shows everything that comes, and at the end what it looks like. */
  async follow(chosen: Chosen): Promise<number> {
    const { settings, identity } = chosen;
    const { json, seconds, rest } = this.#options;
    this.#forget();
    if (this.#capture !== null) {
      const of = chosen.port === null ? '' : ` of ${chosen.port.name}`;
      writeSync(this.#capture, `# petiole serial capture${of}\n# ${rest[0]}, ${settings.baud} baud\n`);
    }
    const line = await openChosen(chosen, (chunk) => {
      this.#keep(chunk);
      this.#show(chunk);
    });
    if (!json) {
      const how = identity.tcp === null ? ` at ${settings.baud} baud, parity ${settings.parity}` : '';
      process.stderr.write(`Listening${how}; Ctrl-C ends it.\n`);
    }
    const lost = await this.#until(line, seconds === null ? null : seconds * 1000);
    await line.close(new GatewayError('stopping', 'done'));
    this.#conclude(settings.baud, settings.parity);
    if (lost !== null) throw lost;
    return this.#bytes === 0 ? 1 : 0;
  }

  #show(chunk: Buffer): void {
    const now = new Date();
    if (this.#capture !== null) {
      if (this.#bytes === chunk.length) this.#firstMs = now.getTime();
      writeSync(this.#capture, stretchText({ atMs: Math.max(0, now.getTime() - this.#firstMs), bytes: chunk }));
    }
    const shown = this.#options.json
      ? `${JSON.stringify({ at: now.toISOString(), hex: chunk.toString('hex') })}\n`
      : hexDump(chunk, `${now.toISOString().slice(11, 23)}  `);
    process.stdout.write(shown);
  }

  #told(baud: string, parity: string, bytes: number, found: Guess): void {
    const { what, why, sureness } = found;
    if (this.#options.json) {
      process.stdout.write(`${JSON.stringify({ baud: Number(baud), parity, bytes, what, why, sureness })}\n`);
      return;
    }
    const place = parity === 'none' ? '' : ` ${parity} parity`;
    process.stdout.write(
      `${baud}${place} ${String(bytes).padStart(7)} bytes  ${what}${bytes === 0 ? '' : ` (${why})`}\n`,
    );
  }

  #conclude(baud: number, parity: string): void {
    const found = guess(Buffer.concat(this.#kept));
    this.#told(`${baud}`.padStart(7), parity, this.#bytes, found);
    if (this.#options.json || found.configuration.length === 0) return;
    const has = (key: string): boolean => found.configuration.some((line) => line.startsWith(`${key}:`));
    const lines = [`baud: ${baud}`, ...(parity === 'none' || has('parity') ? [] : [`parity: ${parity}`])];
    process.stdout.write(`For the entry in "serial:" of the configuration:\n`);
    for (const line of [...lines, ...found.configuration]) process.stdout.write(`    ${line}\n`);
  }

  /** Until it is sure, or the time for one rate is over. */
  async #listen(line: Line): Promise<Guess> {
    const endMs = performance.now() + TRY_MS;
    let looked = -1;
    for (;;) {
      const lost = await this.#until(line, Math.min(LOOK_MS, Math.max(1, endMs - performance.now())));
      if (lost !== null) throw lost;
      const isOver = this.#isStopping || performance.now() >= endMs;
      if (this.#bytes === looked && !isOver) continue;
      looked = this.#bytes;
      const found = guess(Buffer.concat(this.#kept));
      if (isOver || found.sureness >= SURE) return found;
    }
  }

  /** Null when the time is over or somebody stops it; why where the line is lost. */
  async #until(line: Line, ms: number | null): Promise<GatewayError | null> {
    let timer: NodeJS.Timeout | undefined;
    const over =
      ms === null
        ? []
        : [
            new Promise<void>((resolve) => {
              timer = setTimeout(resolve, ms);
            }),
          ];
    const lost = await Promise.race([line.ended, this.#stopping, ...over]);
    clearTimeout(timer);
    return lost instanceof GatewayError ? lost : null;
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#kept.push(Buffer.from(chunk));
    this.#keptBytes += chunk.length;
    while (this.#keptBytes - (this.#kept[0]?.length ?? 0) >= GUESS_BYTES_MAX) {
      this.#keptBytes -= this.#kept.shift()?.length ?? 0;
    }
  }

  #forget(): void {
    this.#bytes = 0;
    this.#kept = [];
    this.#keptBytes = 0;
  }
}
