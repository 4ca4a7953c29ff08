import type { ProtocolVersion } from './packet-decoder.ts';
import { connackRefused, disconnect } from './packet-encoder.ts';
import type { PacketError } from './packet-error.ts';
import { returnCode } from './reason-codes.ts';

/**
 * The last packet to a client whose connection ends for what it did: a CONNACK before it was accepted, a DISCONNECT
 * after that, or null where its protocol has no words for it. Without its reason string where that makes it larger than
 * the client takes [MQTT-3.2.2-19] [MQTT-3.14.2-3].
 */
export function lastWords(
  { reasonCode, returnCode: code, message }: PacketError,
  version: ProtocolVersion | 0,
  isAccepted: boolean,
  bytesMax: number,
): Buffer | null {
  if (version !== 5) return isAccepted || code === returnCode.none ? null : connackRefused(4, code, '');
  const say = (why: string) => (isAccepted ? disconnect(reasonCode, why) : connackRefused(5, reasonCode, why));
  const told = say(message);
  return told.length <= bytesMax ? told : say('');
}
