import { covers, isSystemSubject } from '../core/subject.ts';
import { type Address, collide, isLoopback } from './address.ts';
import { NATS_LISTEN } from './nats.ts';
import { type Path, pathText, quote, type Report } from './problems.ts';
import { checkSerial } from './serial-checks.ts';
import { formatSize } from './units.ts';
import { checkUpstream } from './upstream-checks.ts';
import type { Draft, Refused } from './validate.ts';

/** What must be true between keys. Every check sees only sound values, so each problem is reported once. */
export function check(draft: Draft, refused: Refused, report: Report): void {
  checkListeners(draft, refused, report);
  checkUsers(draft, refused, report);
  checkLanes(draft, report);
  checkUpstream(draft, refused, report);
  checkSerial(draft, refused, report);
}

function checkListeners({ mqtt, nats, status, users = [] }: Draft, refused: Refused, report: Report): void {
  const bound: { path: Path; address: Address }[] = [];
  type Add = (
    path: Path,
    address: Address | null | undefined,
    anonymous: boolean | undefined,
    hasUsers: boolean,
  ) => void;
  const add: Add = (path, address, anonymous, hasUsers) => {
    if (!address) return;
    if (!hasUsers && !refused([...path, 'anonymous'])) checkAnonymous(path, address, anonymous, report);
    const other = bound.find((earlier) => collide(earlier.address, address));
    if (other === undefined) bound.push({ path: [...path, 'listen'], address });
    else {
      report(
        [...path, 'listen'],
        `${addressText(address)} can't be bound beside ${addressText(other.address)} of ${pathText(other.path)}`,
        'give one of them another port',
      );
    }
  };
  mqtt?.listeners?.forEach((listener, index) => {
    add(['mqtt', 'listeners', index], listener?.listen, listener?.anonymous, users.length > 0 || refused(['users']));
    checkListenerTls(['mqtt', 'listeners', index, 'tls'], listener?.tls, report);
  });
  const hasUsers = users.length > 0 || refused(['users']);
  // Where it is not written it need not be had, so it is in nobody's way; but it is anonymous all the same.
  if (nats !== undefined && nats.listen === undefined && !refused(['nats'])) {
    if (!hasUsers && !refused(['nats', 'listen']) && !refused(['nats', 'anonymous'])) {
      checkAnonymous(['nats'], NATS_LISTEN, nats.anonymous, report);
    }
  } else add(['nats'], nats?.listen, nats?.anonymous, hasUsers);
  nats?.listeners?.forEach((listener, index) => {
    add(['nats', 'listeners', index], listener?.listen, listener?.anonymous, hasUsers);
    checkListenerTls(['nats', 'listeners', index, 'tls'], listener?.tls, report);
  });
  // Its users are those who know its secrets.
  add(['status'], status?.listen, status?.anonymous, true);
  checkStatus(status, refused, report);
}

function checkAnonymous(path: Path, address: Address, anonymous: boolean | undefined, report: Report): void {
  if (isLoopback(address.host)) {
    if (anonymous !== false) return;
    report([...path, 'anonymous'], 'false, but there are no users: nobody could connect', 'remove the key');
  } else if (anonymous !== true) {
    report(
      [...path, anonymous === undefined ? 'listen' : 'anonymous'],
      `${addressText(address)} is open to the network and there are no users`,
      `add users (petiole user add NAME), or write "anonymous: true" if everybody who reaches it may connect, or listen on 127.0.0.1:${address.port}`,
    );
  }
}

function checkStatus(status: Draft['status'], refused: Refused, report: Report): void {
  const at = (...keys: string[]): Path => ['status', ...keys];
  const has = (key: 'cert' | 'key') => status?.tls?.[key] !== undefined || refused(at('tls', key));
  if (has('cert') && !has('key')) {
    report(at('tls', 'cert'), 'a certificate without its key', 'add key: the file of its private key');
  }
  if (has('key') && !has('cert')) {
    report(at('tls', 'key'), 'a private key without its certificate', 'add cert: its certificate');
  }
  if (status?.viewer !== undefined && status.anonymous !== undefined) {
    report(at('anonymous'), 'viewer and anonymous are both given', 'keep viewer: it says the same and more');
  }
}

interface ListenerTls {
  readonly ca?: string | undefined;
  readonly client_certificates?: string | undefined;
}

function checkListenerTls(path: Path, tls: ListenerTls | undefined, report: Report): void {
  const asked = tls?.client_certificates ?? 'none';
  if (asked !== 'none' && tls?.ca === undefined) {
    report(
      [...path, 'client_certificates'],
      `${asked}, but there is no authority to check them by`,
      'add ca: the file of the authority that signs the certificates of clients',
    );
  }
}

function checkUsers({ users = [], mqtt, nats }: Draft, refused: Refused, report: Report): void {
  const names = new Map<string, number>();
  const certificates = new Map<string, number>();
  const nkeys = new Map<string, number>();
  const listeners = [...(mqtt?.listeners ?? []), ...(nats?.listeners ?? [])];
  const asksForCertificates = listeners.some((one) => (one?.tls?.client_certificates ?? 'none') !== 'none');
  users.forEach((user, index) => {
    if (user === undefined) return;
    const at = (key: string): Path => ['users', index, key];
    const unique = (key: 'name' | 'certificate' | 'nkey', seen: Map<string, number>): void => {
      const value = user[key];
      if (value === undefined) return;
      const first = seen.get(value);
      if (first === undefined) seen.set(value, index);
      else report(at(key), `${quote(value)} is the ${key} of users[${first}] already`, 'give each user its own');
    };
    unique('name', names);
    unique('certificate', certificates);
    unique('nkey', nkeys);
    const proofs = ['password_hash', 'token_hash', 'nkey', 'certificate'] as const;
    if (!proofs.some((key) => user[key] !== undefined || refused(at(key)))) {
      report(
        at('name'),
        'a user without a password, a token, an NKey or a certificate could never connect',
        'run `petiole user passwd NAME`, or add certificate: the common name of its client certificate',
      );
    }
    if (user.certificate !== undefined && !asksForCertificates && !refused(['mqtt']) && !refused(['nats'])) {
      report(
        at('certificate'),
        'no listener asks for the certificates of clients',
        'add tls with ca and client_certificates: optional (or required) to a listener of mqtt or nats',
      );
    }
  });
}

function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function checkLanes({ lanes = [], mqtt }: Draft, report: Report): void {
  const names = new Map<string, number>();
  const streams = new Map<string, { index: number; own: boolean }>();
  lanes.forEach((lane, index) => {
    if (lane === undefined) return;
    const { name, max_bytes: maxBytes, stream } = lane;
    if (name !== undefined) {
      const first = names.get(name);
      if (first === undefined) names.set(name, index);
      else
        report(['lanes', index, 'name'], `${quote(name)} is the name of lanes[${first}] already`, 'rename one of them');
    }
    const packetMax = mqtt?.packet_max;
    if (maxBytes !== undefined && packetMax !== undefined && maxBytes < packetMax) {
      const message = `${formatSize(maxBytes)} can't hold one packet of mqtt.packet_max (${formatSize(packetMax)})`;
      report(['lanes', index, 'max_bytes'], message, 'raise max_bytes or lower mqtt.packet_max');
    }
    if (lane.drain === 'live-first') checkParts(['lanes', index], lane, packetMax, report);
    if (stream?.name === undefined) return;
    const own = stream.own === true;
    const first = streams.get(stream.name);
    if (first === undefined) streams.set(stream.name, { index, own });
    else if (own || first.own) {
      report(
        ['lanes', index, 'stream', 'name'],
        `${quote(stream.name)} is the stream of lanes[${first.index}] too, and "own: true" says it is one lane's alone`,
        'give each lane a stream of its own, or take "own: true" away from both',
      );
    }
  });
  checkReachable(lanes, report);
}

/** A quarter of a live-first lane is for what goes up at once, and its two parts write to the same stream. */
function checkParts(
  path: Path,
  { max_bytes: maxBytes, stream }: NonNullable<NonNullable<Draft['lanes']>[number]>,
  packetMax: number | undefined,
  report: Report,
): void {
  if (stream?.own === true) {
    const message = 'live-first, but "own: true" wants all records of the stream in one order';
    report([...path, 'drain'], message, 'write drain: oldest-first, or take "own: true" away');
  }
  if (maxBytes !== undefined && packetMax !== undefined && maxBytes >= packetMax && maxBytes / 4 < packetMax) {
    const message = `a quarter of ${formatSize(maxBytes)} can't hold one packet of mqtt.packet_max (${formatSize(packetMax)})`;
    report([...path, 'max_bytes'], message, 'raise max_bytes, lower mqtt.packet_max, or write drain: oldest-first');
  }
}

/** First match wins: a lane whose every subject an earlier lane takes would stay empty for ever. */
function checkReachable(lanes: NonNullable<Draft['lanes']>, report: Report): void {
  // A filter that stands in several lanes is compared once, for its first lane is the one that takes it.
  const earlier = new Map<string, number>();
  lanes.forEach((lane, index) => {
    const subjects = lane?.subjects ?? [];
    const takers = new Set<number>();
    const covered = subjects.every((subject) => {
      const taker = subject === undefined ? undefined : takerOf(subject, earlier);
      if (taker !== undefined) takers.add(taker);
      return taker !== undefined;
    });
    if (covered && subjects.length > 0) {
      const by = [...takers].map((taker) => `lanes[${taker}]`).join(' and ');
      const message = `nothing can reach this lane: ${by} above it takes all its subjects`;
      report(['lanes', index, 'subjects'], message, `move this lane above ${by}, or narrow the subjects there`);
      return;
    }
    for (const subject of subjects) {
      if (subject !== undefined && !earlier.has(subject)) earlier.set(subject, index);
    }
  });
}

function takerOf(subject: string, earlier: ReadonlyMap<string, number>): number | undefined {
  const same = earlier.get(subject);
  if (same !== undefined) return same;
  for (const [filter, index] of earlier) {
    // A bare wildcard does not take the system's subjects; only a lane that names them does.
    const named = !isSystemSubject(subject) || isSystemSubject(filter);
    if (named && covers(filter, subject)) return index;
  }
  return undefined;
}
