import { hubBackoff } from '../../src/core/backoff.ts';
import type { GatewayError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import type { HubInfo } from '../../src/nats/hub-info.ts';
import { LeafLink } from '../../src/nats/leaf-link.ts';
import type { LeafListener, LeafOptions, LeafStatus } from '../../src/nats/leaf-types.ts';
import { atEnd, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

export interface SeenMessage {
  subject: string;
  reply: string;
  headers: string;
  payload: string;
  queues: readonly string[];
  shownAs: string;
}

/** Writes down all that a leaf link tells its owner. */
export class SeenByBox implements LeafListener {
  readonly ups: { hub: HubInfo; epoch: number }[] = [];
  readonly downs: GatewayError[] = [];
  readonly messages: SeenMessage[] = [];
  readonly inboxes: { token: string; payload: string }[] = [];
  interestChanges = 0;
  drains = 0;
  /** What a responder does with a message. */
  answer: (message: SeenMessage) => void = () => {};

  up(hub: HubInfo, epoch: number): void {
    this.ups.push({ hub, epoch });
  }

  down(reason: GatewayError): void {
    this.downs.push(reason);
  }

  message(
    subject: string,
    reply: string,
    headers: Buffer,
    payload: Buffer,
    queues: readonly string[],
    shownAs: string,
  ): void {
    const seen = { subject, reply, headers: headers.toString(), payload: payload.toString(), queues, shownAs };
    this.messages.push(seen);
    this.answer(seen);
  }

  inbox(token: string, _headers: Buffer, payload: Buffer): void {
    this.inboxes.push({ token, payload: payload.toString() });
  }

  interestChanged(): void {
    this.interestChanges++;
  }

  drained(): void {
    this.drains++;
  }
}

export interface LeafBox {
  link: LeafLink;
  seen: SeenByBox;
}

/** A started leaf link that is stopped when the scope ends. Reconnects fast unless the test says otherwise. */
export async function startLeafBox(
  scope: Scope,
  url: string | string[],
  options: Partial<LeafOptions> = {},
): Promise<LeafBox> {
  const name = options.name ?? 'plant1';
  const seen = new SeenByBox();
  const link = new LeafLink(
    {
      name,
      serverId: `ID-${name}`,
      urls: typeof url === 'string' ? [url] : url,
      user: null,
      password: null,
      token: null,
      nkeySeed: null,
      credentials: null,
      tls: { ca: null, cert: null, key: null, handshakeFirst: false },
      proxy: null,
      account: null,
      isolate: false,
      prefix: '',
      denyImports: [],
      denyExports: [],
      pingIntervalMs: 20_000,
      connectTimeoutMs: 5_000,
      inboxPrefix: `_INBOX.${name}`,
      backoff: { ...hubBackoff, firstMs: 50 },
      ...options,
    },
    seen,
    silentLog,
  );
  atEnd(scope, () => link.stop());
  await link.start();
  return { link, seen };
}

/** The same, linked to its hub. */
export async function startLinkedBox(
  scope: Scope,
  url: string | string[],
  options: Partial<LeafOptions> = {},
): Promise<LeafBox> {
  const box = await startLeafBox(scope, url, options);
  await waitFor('the link to be up', () => {
    if (box.link.up) return true;
    throw new Error(box.link.status().lastError?.message ?? 'no attempt has failed');
  });
  return box;
}

/** What the link says once an attempt has failed. */
export async function failureOf({ link }: LeafBox): Promise<NonNullable<LeafStatus['lastError']>> {
  return waitFor('a failed attempt', () => link.status().lastError);
}
