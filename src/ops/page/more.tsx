import type { JSX } from 'preact';
import { Icon } from './icons.tsx';
import { views } from './route.ts';
import { Account } from './sign-in.tsx';

/** On a phone: the views that have no place on the bar. */
export function More(): JSX.Element {
  return (
    <>
      <div class="view-head">
        <h1>More</h1>
      </div>
      <section class="panel" aria-label="More views">
        <ul class="more-list">
          {views
            .filter((view) => !view.isCore)
            .map((view) => (
              <li key={view.name}>
                <a href={`#/${view.name}`}>
                  <Icon name={view.icon} />
                  {view.title}
                  <Icon name="chevron" />
                </a>
              </li>
            ))}
        </ul>
      </section>
      <section class="panel" aria-label="Account">
        <Account />
      </section>
    </>
  );
}
