import type { IconName } from './icons.tsx';
import { Observed } from './observed.ts';

/** The views of the page, in the order of the rail; `isCore`: on the bar of a phone, the others are under More. */
export const views = [
  { name: 'overview', title: 'Overview', icon: 'overview', isCore: true },
  { name: 'devices', title: 'Devices', icon: 'devices', isCore: true },
  { name: 'live', title: 'Live', icon: 'live', isCore: true },
  { name: 'journal', title: 'Journal', icon: 'journal', isCore: true },
  { name: 'serial', title: 'Serial', icon: 'serial', isCore: false },
  { name: 'settings', title: 'Settings', icon: 'settings', isCore: false },
  { name: 'logs', title: 'Logs', icon: 'logs', isCore: false },
] as const satisfies readonly { name: string; title: string; icon: IconName; isCore: boolean }[];

export type ViewName = (typeof views)[number]['name'] | 'more';

/** The view in the address (`#/devices`), so that a link or the back button leads to it. */
export const route = new Observed<ViewName>(routeOf(location.hash));
addEventListener('hashchange', () => route.set(routeOf(location.hash)));

function routeOf(hash: string): ViewName {
  const name = hash.replace(/^#\/?/, '');
  if (name === 'more') return name;
  return views.find((view) => view.name === name)?.name ?? 'overview';
}
