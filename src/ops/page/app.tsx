import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { printable } from '../words.ts';
import { session } from './box.ts';
import { Devices } from './devices.tsx';
import { feedState, frame } from './feed.ts';
import { Icon } from './icons.tsx';
import { Journal } from './journal.tsx';
import { Live } from './live.tsx';
import { Logs } from './logs.tsx';
import { More } from './more.tsx';
import { useObserved } from './observed.ts';
import { Overview } from './overview.tsx';
import { Spoken } from './parts.tsx';
import { route, type ViewName, views } from './route.ts';
import { Serial } from './serial.tsx';
import { Settings } from './settings.tsx';
import { Account, isSigningIn, SignIn } from './sign-in.tsx';
import { TrialNotice } from './trial.tsx';

const contents: Record<ViewName, () => JSX.Element> = {
  overview: Overview,
  devices: Devices,
  live: Live,
  journal: Journal,
  serial: Serial,
  settings: Settings,
  logs: Logs,
  more: More,
};

/** The whole page: the door for those who have to sign in, else the rail and one view. */
export function App(): JSX.Element {
  const state = useObserved(session);
  const signingIn = useObserved(isSigningIn);
  if (state === null) return <p class="starting">Reading the status</p>;
  if (state.role === 'none' || signingIn) return <SignIn state={state} />;
  return <Shell />;
}

function Shell(): JSX.Element {
  const name = useObserved(route);
  const feed = useObserved(feedState);
  const status = useObserved(frame);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const title = views.find((view) => view.name === name)?.title ?? 'More';
  const { name: box, version } = status?.snapshot.gateway ?? {
    name: session.value?.gateway ?? '',
    version: session.value?.version ?? '',
  };
  const gateway = printable(box);
  useEffect(() => {
    document.title = `${status?.tone === 'failing' ? '⚠ ' : ''}${title} · ${gateway} – Petiole`;
  }, [title, gateway, status?.tone]);
  useEffect(() => {
    // A new view begins at its top, and a screen reader begins to read there.
    if (!first.current) {
      scrollTo(0, 0);
      main.current?.focus();
    }
    first.current = false;
  }, [name]);
  const View = contents[name];
  return (
    <div class={`shell ${feed.isLive || status === null ? '' : 'stale'}`}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="rail">
        <div class="brand">
          <Icon name="leaf" />
          <div>
            <p class="brand-name">{gateway || 'Petiole'}</p>
            <p class="brand-detail">Petiole {printable(version)}</p>
          </div>
        </div>
        <Rail name={name} />
        <div class="rail-foot">
          <p class="feed" data-live={feed.isLive ? 'yes' : 'no'}>
            {feed.text}
          </p>
          <Account />
        </div>
      </header>
      <div class="content">
        <main ref={main} tabIndex={-1}>
          <TrialNotice />
          <View />
        </main>
      </div>
      <Announcer />
    </div>
  );
}

function Rail({ name }: { name: ViewName }): JSX.Element {
  const isUnderMore = !views.some((view) => view.name === name && view.isCore);
  return (
    <nav class="nav" aria-label="Views">
      <ul>
        {views.map((view) => (
          <li key={view.name} class={view.isCore ? '' : 'only-wide'}>
            <a href={`#/${view.name}`} aria-current={view.name === name ? 'page' : undefined}>
              <Icon name={view.icon} />
              {view.title}
            </a>
          </li>
        ))}
        <li class="only-phone">
          <a href="#/more" aria-current={isUnderMore ? 'page' : undefined}>
            <Icon name="more" />
            More
          </a>
        </li>
      </ul>
    </nav>
  );
}

/** The sentence changes with every message; a screen reader hears of it only when what is wrong changes. */
function Announcer(): JSX.Element {
  const status = useObserved(frame);
  const spoken = useRef({ key: '', sentence: '' });
  if (status !== null) {
    const key = status.tone + status.snapshot.problems.map(({ part, code }) => ` ${part} ${code}`).join();
    if (key !== spoken.current.key) spoken.current = { key, sentence: printable(status.sentence, 500) };
  }
  return <Spoken text={spoken.current.sentence} />;
}
