import { GatewayError } from './errors.ts';
import { type Message, NO_HEADERS, type Party } from './message.ts';
import type { Subscription } from './router.ts';

/** A request is a few fields. */
const FIELDS_BYTES_MAX = 512;

/**
 * The subscription that answers requests on `$PETIOLE.<gateway>.<family>.<action>`, from the box and from the hub: with
 * what `act` gives as JSON, or with {"error":{code,message,hint}} where it throws or rejects with a GatewayError.
 */
export function answerRequests(
  gateway: string,
  family: string,
  act: (action: string, request: Message) => object | Promise<object>,
  publish: (message: Message) => void,
): Subscription {
  const owner: Party = { kind: 'box', name: family };
  const prefix = `$PETIOLE.${gateway}.${family}.`;
  const answer = async (request: Message): Promise<void> => {
    let body: object;
    try {
      body = await act(request.subject.slice(prefix.length), request);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      body = { error: { code: error.code, message: error.message, hint: error.hint } };
    }
    const { reply: subject } = request;
    if (subject === '') return;
    const payload = Buffer.from(JSON.stringify(body));
    publish({ subject, reply: '', headers: NO_HEADERS, payload, receivedAtMs: Date.now(), origin: owner });
  };
  const deliver = (request: Message): boolean => {
    void answer(request);
    return true;
  };
  return { filter: `${prefix}*`, queue: '', owner, deliver };
}

/** The fields of a request; none where it is no JSON object, or longer than such a request is. */
export function fieldsOf(text: Buffer): Record<string, unknown> {
  try {
    if (text.length <= FIELDS_BYTES_MAX) return Object(JSON.parse(text.toString()));
  } catch {
    // Told by who misses a field.
  }
  return {};
}

/** The port that a request names; throws `config_invalid` where it names none. */
export function portOf(payload: Buffer): string {
  const { port } = fieldsOf(payload);
  if (typeof port !== 'string' || port === '') throw wrongRequest('it names no port', 'send {"port":"board1"}');
  return port;
}

export function wrongRequest(message: string, hint: string): GatewayError {
  return new GatewayError('config_invalid', `The request can't be served: ${message}`, { hint, retriable: false });
}
