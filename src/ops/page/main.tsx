import './style/page.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { learnSession } from './box.ts';
import { startFeed } from './feed.ts';
import { signInByLink } from './sign-in.tsx';

/** How long until the box is asked again who we are, where it did not answer the first time. */
const RETRY_MS = 2000;

async function start(root: HTMLElement): Promise<void> {
  startFeed();
  try {
    await learnSession();
  } catch {
    setTimeout(() => void start(root), RETRY_MS);
    return;
  }
  await signInByLink();
  root.textContent = '';
  render(<App />, root);
}

const root = document.getElementById('page');
if (root !== null) void start(root);
