import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { ListenerAddress } from '../core/listen.ts';
import type { Protocol } from './protocol.ts';

interface Failure {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: (protocol: Protocol) => string;
}

const failures: Readonly<Record<string, Failure>> = {
  EADDRINUSE: {
    code: 'address_in_use',
    what: 'is in use by another program',
    hint: ({ setting, rival }) => `stop that program (often ${rival}), or change ${setting}`,
  },
  EACCES: {
    code: 'listen_denied',
    what: 'is not allowed to this user',
    hint: ({ setting }) => `choose a port above 1023 for ${setting}, or give the service CAP_NET_BIND_SERVICE`,
  },
  EADDRNOTAVAIL: {
    code: 'address_not_available',
    what: 'is not an address of this machine',
    hint: ({ setting }) => `set ${setting} to an address of this machine, or to 0.0.0.0 for all`,
  },
  ENOTFOUND: {
    code: 'name_not_found',
    what: 'is a name that leads to no address',
    hint: ({ setting }) => `write an address into ${setting}`,
  },
};

export function addressText({ host, port }: ListenerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Why an address can't be had, and what to do. */
export function explain(error: NodeJS.ErrnoException, protocol: Protocol, address: ListenerAddress): GatewayError {
  const where = addressText(address);
  const known = failures[error.code ?? ''];
  if (known === undefined) {
    const message = `cannot listen for ${protocol.name} on ${where}: ${error.message}`;
    return new GatewayError('address_not_available', message, { hint: `change ${protocol.setting}`, cause: error });
  }
  const message = `cannot listen for ${protocol.name}: ${where} ${known.what}`;
  return new GatewayError(known.code, message, { hint: known.hint(protocol), cause: error });
}
