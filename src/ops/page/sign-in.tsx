import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { FirstVisit, SessionState, SignIn as SignInBody } from '../api.ts';
import { printable, span } from '../words.ts';
import { BoxError, post, remove, session } from './box.ts';
import { Icon } from './icons.tsx';
import { Observed, useObserved } from './observed.ts';
import { Button, Complaint, Field, type Refusal } from './parts.tsx';

/** A viewer that signs in to change something. */
export const isSigningIn = new Observed(false);

/** The secret in the address of a QR code. */
const LINK = /^#sign-in=(.+)$/;

/** Signs in with the secret that the address carries, and takes it out of the address, for that may be looked at. */
export async function signInByLink(): Promise<void> {
  const secret = LINK.exec(location.hash)?.[1];
  if (secret === undefined) return;
  history.replaceState(null, '', location.pathname);
  try {
    await signIn(decodeURIComponent(secret));
  } catch {
    // The door then says what to do.
  }
}

async function signIn(secret: string): Promise<void> {
  session.set(await post<SessionState>('/api/session', { secret } satisfies SignInBody));
  isSigningIn.set(false);
}

async function signOut(): Promise<void> {
  session.set(await remove<SessionState>('/api/session'));
}

/** Who one is, at the foot of the rail. */
export function Account(): JSX.Element | null {
  const state = useObserved(session);
  if (state === null) return null;
  const role = state.role === 'operator' ? 'Operator' : 'Viewer';
  return (
    <div class="account">
      <p class="soft">{state.isSignedIn ? `Signed in as ${role.toLowerCase()}` : `${role}, not signed in`}</p>
      {state.isSignedIn ? (
        <Button kind="bare" icon="leave" onClick={() => void signOut().catch(() => {})}>
          Sign out
        </Button>
      ) : (
        <Button kind="bare" icon="key" onClick={() => isSigningIn.set(true)}>
          Sign in
        </Button>
      )}
    </div>
  );
}

/** The door. */
export function SignIn({ state }: { state: SessionState }): JSX.Element {
  const [secret, setSecret] = useState('');
  const [error, setError] = useState<Refusal | null>(null);
  const [isBusy, setBusy] = useState(false);
  const wait = useWait(state);
  useEffect(() => {
    document.title = `Sign in · ${printable(state.gateway)} – Petiole`;
  }, [state.gateway]);
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await signIn(secret);
    } catch (failure) {
      if (failure instanceof BoxError) setError(failure);
      await again();
    }
    setBusy(false);
  };
  return (
    <main class="door">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div class="mark">
          <Icon name="leaf" />
          <div>
            <h1>{printable(state.gateway) || 'Petiole'}</h1>
            <p class="soft">Petiole {printable(state.version)}</p>
          </div>
        </div>
        {state.firstVisit && <First visit={state.firstVisit} onUse={setSecret} />}
        {/* A password keeper files the secret under the name of the box. */}
        <input type="text" name="username" autocomplete="username" value={state.gateway} readOnly hidden />
        <Field
          label="Secret of this box"
          hint="It stands on the console at the first start; root on the box reads it by petiole status --secret."
        >
          {(id) => (
            <input
              id={id}
              name="secret"
              type="password"
              autocomplete="current-password"
              required
              maxLength={256}
              value={secret}
              onInput={(event) => setSecret(event.currentTarget.value)}
            />
          )}
        </Field>
        <Complaint error={error} />
        <Button type="submit" kind="primary" disabled={isBusy || wait > 0}>
          {wait > 0 ? `Wait ${span(wait)}` : 'Sign in'}
        </Button>
        {state.role !== 'none' && <Button onClick={() => isSigningIn.set(false)}>Go on as a viewer</Button>}
      </form>
    </main>
  );
}

/** After a failure the box says how long this address has to wait. */
async function again(): Promise<void> {
  const response = await fetch('/api/session').catch(() => null);
  if (response?.ok) session.set((await response.json()) as SessionState);
}

function useWait(state: SessionState): number {
  const { retryInS } = state;
  const [left, setLeft] = useState(retryInS);
  useEffect(() => {
    const endsAt = performance.now() + retryInS * 1000;
    const show = (): void => setLeft(Math.max(0, Math.ceil((endsAt - performance.now()) / 1000)));
    show();
    const timer = setInterval(show, 500);
    return () => clearInterval(timer);
    // Each answer counts anew, even where it says the same.
  }, [state]);
  return left;
}

/** On the box itself, until somebody has signed in: the secret, and the way in for a phone. */
function First(props: { visit: FirstVisit; onUse: (secret: string) => void }): JSX.Element {
  const { secret, url, qr } = props.visit;
  return (
    <div class="first">
      <p>This is the first visit. Keep this secret: it is what the operator signs in with.</p>
      <p class="secret mono">{secret}</p>
      <svg
        class="qr"
        viewBox={`0 0 ${qr.size} ${qr.size}`}
        role="img"
        aria-label={url === '' ? 'The secret as a QR code' : 'A QR code that signs a phone in'}
      >
        <path d={qr.path} />
      </svg>
      {url !== '' && <p class="hint">A phone in the same network signs in by this code.</p>}
      <Button onClick={() => props.onUse(secret)}>Use it here</Button>
    </div>
  );
}
