import { randomBytes } from 'node:crypto';
import type { UpstreamConfig } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { LeafLink } from '../nats/leaf-link.ts';
import { JetStream } from '../upstream/jetstream.ts';
import type { Fetching, Inbox } from '../upstream/read-back.ts';

/** How long a hub may take to let us in; then its last refusal is told. */
const UP_MS = 20_000;

export interface HubSession {
  hub: LeafLink;
  jetStream: JetStream;
  inbox: Inbox;
  stop(): Promise<void>;
}

/** A leaf link of a command's own, beside that of a running box, with which it can read the hub's streams. */
export async function openHub(upstream: UpstreamConfig, gateway: string): Promise<HubSession> {
  const run = randomBytes(6).toString('hex');
  const name = `${gateway}-audit-${run}`;
  // Below the box's own name: its user may be allowed to hear no other inbox.
  const inboxPrefix = `_INBOX.${gateway}.${run}`;
  const fetches = new Map<string, Fetching>();
  let next = 1;
  let up: () => void = () => undefined;
  const isUp = new Promise<void>((resolve) => {
    up = resolve;
  });
  const hub = new LeafLink(
    {
      ...upstream,
      name,
      serverId: `N${run
        .toUpperCase()
        .replaceAll(/[0189]/g, 'A')
        .padEnd(55, 'A')}`,
      inboxPrefix,
    },
    {
      up: () => up(),
      down: (reason) => {
        for (const fetching of [...fetches.values()]) fetching.fail(reason);
      },
      message: () => undefined,
      inbox: (token, headers, payload) => fetches.get(token)?.take(headers, payload),
      interestChanged: () => undefined,
      drained: () => undefined,
    },
    silentLog,
  );
  const inbox: Inbox = {
    open: (fetching) => {
      const token = `f.${next++}`;
      fetches.set(token, fetching);
      return `${inboxPrefix}.${token}`;
    },
    close: (reply) => {
      fetches.delete(reply.slice(inboxPrefix.length + 1));
    },
  };
  await hub.start();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const { lastError, url } = hub.status();
      const hint = lastError?.hint ?? 'check --hub: it is the leafnode port, 7422 by default';
      const why = lastError?.message ?? 'it does not answer';
      reject(new GatewayError('connection_timeout', `no link to ${url ?? 'the hub'}: ${why}`, { hint }));
    }, UP_MS);
  });
  try {
    await Promise.race([isUp, late]);
  } catch (error) {
    await hub.stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return { hub, jetStream: new JetStream(hub), inbox, stop: () => hub.stop() };
}
