import type { GatewayError } from '../core/errors.ts';

/** As NATS micro services tell of errors, so that stock clients see one. */
export function errorHeaders({ code, message }: GatewayError): Buffer {
  const status =
    code === 'request_timeout' ? 504 : code === 'modbus_exception' ? 502 : code === 'config_invalid' ? 400 : 503;
  const line = message.replaceAll(/[^\x20-\x7e]/g, '?');
  return Buffer.from(`NATS/1.0\r\nNats-Service-Error-Code: ${status}\r\nNats-Service-Error: ${code}: ${line}\r\n\r\n`);
}
