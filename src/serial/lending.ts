import type { Message } from '../core/message.ts';
import { answerRequests, fieldsOf, portOf, wrongRequest } from '../core/requests.ts';
import type { Subscription } from '../core/router.ts';

/** Who needs a device for longer asks again: so a program that fell keeps no port. */
const LENT_MAX_S = 600;

export interface Lender {
  lend(port: string, forMs: number): Promise<string>;
  takeBack(port: string): void;
}

/**
 * Requests by which a program on this machine, such as `petiole firmware flash`, gets the device of a port for a while:
 *
 *   $PETIOLE.<gateway>.serial.lend        {"port":"line3","for_s":60}, answered with {"port","device"} once it is free
 *   $PETIOLE.<gateway>.serial.take-back   {"port":"line3"}, answered with {"port"}
 */
export function lendingRequests(gateway: string, lender: Lender, publish: (message: Message) => void): Subscription {
  const act = async (action: string, { payload }: Message): Promise<object> => {
    const port = portOf(payload);
    if (action === 'take-back') {
      lender.takeBack(port);
      return { port };
    }
    if (action !== 'lend') throw wrongRequest(`there is no action ${JSON.stringify(action)}`, 'lend, take-back');
    const seconds = Number(fieldsOf(payload).for_s);
    if (!(seconds > 0 && seconds <= LENT_MAX_S)) {
      throw wrongRequest('it says not for how long', `send "for_s", seconds up to ${LENT_MAX_S}`);
    }
    return { port, device: await lender.lend(port, seconds * 1000) };
  };
  return answerRequests(gateway, 'serial', act, publish);
}
