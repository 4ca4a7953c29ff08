import { GatewayError } from '../core/errors.ts';
import { reason, returnCode } from './reason-codes.ts';

export interface PacketErrorOptions {
  /** One sentence for the operator: what to change at the client. */
  hint?: string;
  /** What a CONNACK of 3.1.1 says; 0 closes without one. */
  returnCode?: number;
}

/** What a client sent and may not: ends its connection, and only that one. */
export class PacketError extends GatewayError {
  /** MQTT 5 reason code of the CONNACK or DISCONNECT. */
  readonly reasonCode: number;
  readonly returnCode: number;

  constructor(reasonCode: number, message: string, options: PacketErrorOptions = {}) {
    super('protocol_violation', message, { retriable: false, hint: options.hint ?? '' });
    this.name = 'PacketError';
    this.reasonCode = reasonCode;
    this.returnCode = options.returnCode ?? returnCode.none;
  }
}

/** A packet that cannot be read as the specification has it [MQTT5 4.13]. */
export function malformed(message: string): PacketError {
  return new PacketError(reason.malformedPacket, message, {
    hint: 'the client library sends broken packets: update it',
  });
}

/** A packet that can be read and must not come, or not now [MQTT5 4.13]. */
export function protocolError(message: string, hint = ''): PacketError {
  return new PacketError(reason.protocolError, message, { hint });
}
