import { gzipSync } from 'node:zlib';
import { describeError } from '../core/errors.ts';
import type { ApiParts } from './api-parts.ts';
import type { Handler } from './api-server.ts';
import { answer } from './exchange.ts';
import { hardware } from './hardware.ts';
import { shownLine } from './log-lines.ts';
import type { Look } from './look.ts';
import { tarOf } from './tar.ts';

/** What looks like a secret, wherever it stands: keys in PEM form, credentials in a URL, hashes, seeds of NKeys, JWTs. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [^-]*PRIVATE KEY-----[\s\S]*?-----END [^-]*PRIVATE KEY-----/g, '[redacted key]'],
  [/(\w:\/\/)[^\s/@"]+@/g, '$1[redacted]@'],
  [/\$(?:scrypt|sha256)\$[\w=,+/$-]+/g, '[redacted hash]'],
  [/\bS[UAONC][A-Z2-7]{56}\b/g, '[redacted seed]'],
  [/\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*/g, '[redacted token]'],
];
/** Shorter ones would take harmless words with them. */
const KNOWN_CHARACTERS_MIN = 6;

/**
 * `GET /api/bundle`: what somebody who helps wants to see, in one archive: status, health, history, the machine, the
 * configuration and the newest log lines. Secrets of the configuration are taken out wherever their text occurs.
 */
export function bundleHandlers(look: Look, parts: ApiParts): Record<string, Handler> {
  return {
    'GET /api/bundle': async ({ response }) => {
      const atMs = Date.now();
      const files = await contents(look, parts);
      const known = parts.settings?.secrets() ?? [];
      const redacted = files.map(([name, text]) => [name, redactedText(text, known)] as const);
      const time = new Date(atMs).toISOString().replace(/[:.]/g, '-');
      const name = `petiole-${parts.gateway ?? 'box'}-${time}.tar.gz`;
      const headers = { 'Content-Disposition': `attachment; filename="${name}"` };
      answer(response, 200, 'application/gzip', gzipSync(tarOf(redacted, atMs)), headers);
    },
  };
}

async function contents(look: Look, { logs, monitor, settings }: ApiParts): Promise<[name: string, text: string][]> {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const files: [string, string][] = [['status.json', json(look.snapshot(performance.now()))]];
  // A machine that does not say what it is must not keep the rest from who helps.
  files.push(['hardware.json', json(await hardware().catch(describeError))]);
  if (monitor) {
    files.push(['health.json', json(await monitor.sample())]);
    files.push(['history.json', json(await monitor.history.read('day'))]);
  }
  if (settings) {
    const { text, values } = settings.state();
    files.push(['petiole.yaml', text], ['settings.json', json(values)]);
  }
  if (logs) files.push(['log.ndjson', logs.lines.map((line) => `${JSON.stringify(shownLine(line))}\n`).join('')]);
  return files;
}

/** `known`: secrets of this box, as they are. */
export function redactedText(text: string, known: readonly string[]): string {
  let shown = text;
  for (const secret of known) {
    if (secret.length < KNOWN_CHARACTERS_MIN) continue;
    // Also as JSON writes it.
    const written = JSON.stringify(secret).slice(1, -1);
    shown = shown.replaceAll(secret, '[redacted]').replaceAll(written, '[redacted]');
  }
  for (const [pattern, word] of SECRETS) shown = shown.replace(pattern, word);
  return shown;
}
