import type { ApiError, SessionState } from '../api.ts';
import { Observed } from './observed.ts';

/** Longest wait for an answer; a request to a device may itself take 30 s. */
const ANSWER_TIMEOUT_MS = 40_000;

/** Why the box did not do it, fit to be shown. */
export class BoxError extends Error {
  readonly code: string;
  readonly hint: string;
  readonly statusCode: number;

  constructor(code: string, message: string, hint: string, statusCode: number) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.statusCode = statusCode;
  }
}

/** Who we are to the box; null until it has been asked. */
export const session = new Observed<SessionState | null>(null);

export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>('GET', path + queryOf(query), undefined, signal);
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return ask<T>('POST', path, body);
}

export function remove<T>(path: string): Promise<T> {
  return ask<T>('DELETE', path, undefined);
}

export type Query = Record<string, string | number | readonly string[]>;

/** `?q=pump&limit=100`, without what is empty; a list is repeated. */
export function queryOf(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== '') parameters.append(name, String(one));
  }
  return parameters.size === 0 ? '' : `?${parameters}`;
}

async function ask<T>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  const csrf = session.value?.csrf ?? '';
  if (method !== 'GET' && csrf !== '') headers['petiole-csrf'] = csrf;
  const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new BoxError('no_answer', 'The box does not answer', 'Check that it runs and that this device reaches it', 0);
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as T;
  const { error } = (answer ?? {}) as Partial<ApiError>;
  if (response.status === 401 && path !== '/api/session') await learnSession();
  throw new BoxError(
    error?.code ?? 'refused',
    error?.message ?? `The box answered ${response.status}`,
    error?.hint ?? '',
    response.status,
  );
}

/** Asks the box again who we are: at the start, and when a session has ended. */
export async function learnSession(): Promise<void> {
  session.set(await get<SessionState>('/api/session'));
}

/** Calls `load` at once and then every `intervalMs`, while the page is seen; each answer is awaited. */
export function poll(load: (signal: AbortSignal) => Promise<void>, intervalMs: number): () => void {
  const controller = new AbortController();
  let timer = 0;
  const turn = async (): Promise<void> => {
    try {
      if (!document.hidden) await load(controller.signal);
    } catch {
      // The feed says that the box is gone; the next turn asks again.
    }
    if (!controller.signal.aborted) timer = setTimeout(() => void turn(), intervalMs);
  };
  void turn();
  return () => {
    controller.abort();
    clearTimeout(timer);
  };
}
