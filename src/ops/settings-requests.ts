import type { Message, Party } from '../core/message.ts';
import { NO_HEADERS } from '../core/message.ts';
import type { Subscription } from '../core/router.ts';
import { ApiFault, faultOf } from './exchange.ts';
import type { Settings } from './settings.ts';
import { applied, checked } from './settings-orders.ts';

/** A file of the longest size, with its escapes. */
const REQUEST_BYTES_MAX = 256 * 1024;

/**
 * The settings for a fleet tool: requests on `petiole.<gateway>.config.get`, `.check` and `.apply`, with the bodies of
 * `/api/config`. Who may publish there may do it: from the hub by its permissions, here by the rules of a user. Where
 * the box has no users, nobody on it may.
 */
export function settingsRequests(
  settings: Settings,
  gateway: string,
  hasUsers: boolean,
  reply: (message: Message) => void,
): Subscription {
  const owner: Party = { kind: 'box', name: 'config' };
  const prefix = `petiole.${gateway}.config.`;
  return {
    filter: `${prefix}*`,
    queue: '',
    owner,
    deliver: (request) => {
      if (request.reply === '') return true;
      const { reply: subject } = request;
      // After this delivery has returned: the router is not entered twice.
      setImmediate(() => {
        const payload = Buffer.from(JSON.stringify(answerTo(settings, request, prefix, hasUsers)));
        reply({ subject, reply: '', headers: NO_HEADERS, payload, receivedAtMs: Date.now(), origin: owner });
      });
      return true;
    },
  };
}

function answerTo(settings: Settings, { subject, payload, origin }: Message, prefix: string, hasUsers: boolean) {
  try {
    if (origin.kind !== 'hub' && !hasUsers) {
      const hint = 'Configure users, use the status page, or ask by way of the hub';
      throw new ApiFault(403, 'permission_denied', 'Without users nobody here may change the settings', hint);
    }
    const body = bodyOf(payload);
    const action = subject.slice(prefix.length);
    if (action === 'get') return settings.state();
    if (action === 'check') return checked(settings, body);
    if (action === 'apply') return applied(settings, body, `${origin.kind} ${origin.name}`);
    throw new ApiFault(404, 'not_found', 'There is no such request', 'get, check or apply');
  } catch (error) {
    const fault = faultOf(error);
    if (fault === null) throw error;
    return { error: { code: fault.code, message: fault.message, hint: fault.hint }, ...fault.more };
  }
}

function bodyOf(payload: Buffer): Record<string, unknown> {
  if (payload.length === 0) return {};
  try {
    const value: unknown = payload.length > REQUEST_BYTES_MAX ? null : JSON.parse(payload.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new ApiFault(400, 'request_invalid', 'The request is no JSON object', 'Send {"text":"…","confirmS":60}');
}
