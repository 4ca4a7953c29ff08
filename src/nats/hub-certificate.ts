import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { BasicConstraintsExtension, X509Certificate as Parsed } from '@peculiar/x509';

/**
 * The hub's certificate on a box whose clock is behind. A Pi begins in 1970, where no certificate is valid yet, and may
 * need its hub before it finds a time server. The right time is then at least the last known good one (the floor), and
 * what can be known by that is asked: signatures, names, purpose, path lengths, and that nothing had expired by then. That
 * a certificate begins later than the floor proves nothing, so it passes: the one thing that is taken on trust is the
 * beginning. RFC 5280, 6.1, without name constraints and policies: a chain that has them waits for the right time.
 */

/** What a box asks before it trusts a line whose only fault is "not yet valid". */
export interface ClockFloor {
  /** Last known good time where the wall clock is behind it, null where it is not. */
  ms(): number | null;
  /** The certificate of this hub was checked by that time. */
  used(url: string, floorMs: number): void;
}

/** Certificates between the hub's and an authority, both counted: public ones have two or three. */
const CHAIN_MAX = 8;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** Basic constraints, key usage, extended key usage and subject alternative name: what is looked at here or by TLS. */
const UNDERSTOOD = new Set(['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17']);
/** Narrows what an authority may vouch for, whether it is marked critical or not. */
const NAME_CONSTRAINTS = '2.5.29.30';
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The authorities in PEM files. */
export function authoritiesOf(pems: readonly string[]): X509Certificate[] {
  return pems.flatMap((pem) => pem.match(PEM) ?? []).map((one) => new X509Certificate(one));
}

/** What speaks against the certificate besides the wall clock; '' for nothing. */
export function objectionOf(chain: readonly X509Certificate[], anchors: readonly X509Certificate[], floorMs: number) {
  let [current] = chain;
  if (!current) return 'there is no certificate';
  if (current.keyUsage !== undefined && !current.keyUsage.includes(SERVER_AUTH)) return 'it is not one of a server';
  for (let depth = 0; depth < CHAIN_MAX; depth++) {
    const wrong = wrongIn(current, depth, floorMs);
    if (wrong) return wrong;
    const child: X509Certificate = current;
    const signs = (issuer: X509Certificate) => issuer.ca && child.checkIssued(issuer) && child.verify(issuer.publicKey);
    const anchor = anchors.find((one) => one.raw.equals(child.raw) || (one.subject === one.issuer && signs(one)));
    if (anchor) return anchor.raw.equals(child.raw) ? '' : wrongIn(anchor, depth + 1, floorMs);
    const issuer = chain.find((one) => one !== child && signs(one));
    if (!issuer) return 'no authority that is trusted here has signed it';
    current = issuer;
  }
  return 'its chain of authorities is too long';
}

/** What speaks against one certificate of the chain; `depth`: 0 for the hub's own, 1 for who signed that. */
function wrongIn({ raw, validTo, validToDate }: X509Certificate, depth: number, floorMs: number): string {
  const whose = depth === 0 ? 'it' : 'an authority of it';
  if (validToDate.getTime() < floorMs) return `${whose} expired on ${validTo}`;
  const parsed = new Parsed(raw);
  const strange = parsed.extensions.find(
    ({ type, critical }) => type === NAME_CONSTRAINTS || (critical && !UNDERSTOOD.has(type)),
  );
  if (strange) return `${whose} has an extension that is not checked without the right time: ${strange.type}`;
  const pathLength = parsed.getExtension(BasicConstraintsExtension)?.pathLength;
  if (depth > 0 && pathLength !== undefined && depth - 1 > pathLength) {
    return `${whose} may not vouch for other authorities (path length ${pathLength})`;
  }
  return '';
}

/** What the hub has shown, its own certificate first. */
export function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let peer = socket.getPeerCertificate(true);
  while (peer?.raw && chain.length < CHAIN_MAX) {
    chain.push(new X509Certificate(peer.raw));
    if (peer.issuerCertificate === peer) break;
    peer = peer.issuerCertificate;
  }
  return chain;
}
