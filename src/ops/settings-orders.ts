import type { Handler } from './api-server.ts';
import { answerJson, bodyOf, numberIn, textIn } from './exchange.ts';
import type { Settings } from './settings.ts';

/** As the loader takes it, with room to say that it is too long. */
const TEXT_CHARACTERS_MAX = 128 * 1024;
const REVISION_CHARACTERS_MAX = 64;
const CONFIRM_S = 60;

/** `/api/config`: for operators alone where something changes. */
export function settingsHandlers(settings: Settings): Record<string, Handler> {
  return {
    'GET /api/config': ({ response }) => answerJson(response, settings.state()),
    'POST /api/config/check': async ({ request, response }) =>
      answerJson(response, settings.check(textIn(await bodyOf(request), 'text', null, TEXT_CHARACTERS_MAX))),
    'POST /api/config/apply': async ({ request, response }) =>
      answerJson(response, applied(settings, await bodyOf(request), 'operator on the page'), 202),
    'POST /api/config/keep': ({ response }) => answerJson(response, settings.keep()),
    'POST /api/config/revert': ({ response }) => answerJson(response, settings.revert('an operator')),
  };
}

/** The body of an apply, from the page or by NATS. Throws ApiFault. */
export function applied(settings: Settings, body: Record<string, unknown>, by: string) {
  const text = textIn(body, 'text', null, TEXT_CHARACTERS_MAX);
  const revision = textIn(body, 'revision', '', REVISION_CHARACTERS_MAX);
  return settings.apply(text, revision, numberIn(body, 'confirmS', CONFIRM_S, 10, 600), by);
}

export function checked(settings: Settings, body: Record<string, unknown>) {
  return settings.check(textIn(body, 'text', null, TEXT_CHARACTERS_MAX));
}
