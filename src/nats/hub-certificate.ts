import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

/**
 * The hub's certificate on a box whose clock is behind. A Pi begins in 1970, where no certificate is valid yet, and may
 * need its hub before it finds a time server. The right time is then at least the last known good one (the floor), and
 * what can be known by that is asked: signatures, names, purpose, and that nothing had expired by then. That a
 * certificate begins later than the floor proves nothing, so it passes. RFC 5280, 6.1, without name constraints and
 * policies: the one thing that is taken on trust is the beginning.
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
    if (current.validToDate.getTime() < floorMs) return `it expired on ${current.validTo}`;
    const child: X509Certificate = current;
    const signs = (issuer: X509Certificate) => issuer.ca && child.checkIssued(issuer) && child.verify(issuer.publicKey);
    const anchor = anchors.find((one) => one.raw.equals(child.raw) || (one.subject === one.issuer && signs(one)));
    if (anchor) return anchor.validToDate.getTime() < floorMs ? `its authority expired on ${anchor.validTo}` : '';
    const issuer = chain.find((one) => one !== child && signs(one));
    if (!issuer) return 'no authority that is trusted here has signed it';
    current = issuer;
  }
  return 'its chain of authorities is too long';
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
