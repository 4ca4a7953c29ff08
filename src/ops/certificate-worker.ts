import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import * as x509 from '@peculiar/x509';
import type { CertificateOrder, MadeCertificate } from './certificate.ts';

/** Makes one certificate and ends: its libraries are 10 MB resident, which the box gets back with the thread. */

/** What browsers take of a self-made one; the curve that every one of them knows. */
const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Right whatever the clock says: a Pi has none of its own, and who trusts this certificate trusts its fingerprint. */
const NOT_BEFORE = new Date('1970-01-02T00:00:00Z');
const NOT_AFTER = new Date('2049-12-31T00:00:00Z');

async function make({ name, hosts, addresses }: CertificateOrder): Promise<MadeCertificate> {
  const keys = (await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const alternatives = [
    ...hosts.map((value) => ({ type: 'dns' as const, value })),
    ...addresses.map((value) => ({ type: 'ip' as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    signingAlgorithm: KEY,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(alternatives),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const lines = key.match(/.{1,64}/g)?.join('\n');
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
  };
}

parentPort?.postMessage(await make(workerData));
