import type { JSX } from 'preact';

/** Strokes on a grid of 24: one drawing style for the whole page. */
const strokes = {
  leaf: 'M4 20C4 10 10 4 20 4c0 10-6 16-14 14m-2 2c2-5 5-8 9-10',
  overview: 'M4 13a8 8 0 1 1 16 0M12 13l4-4M4 17h16',
  devices: 'M8 4h8a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM10 8h4M12 16.5v.01',
  live: 'M3 12h4l2.5-7 5 14L17 12h4',
  journal:
    'M5 6c0-1.1 3.1-2 7-2s7 .9 7 2-3.1 2-7 2-7-.9-7-2zM5 6v12c0 1.1 3.1 2 7 2s7-.9 7-2V6M5 12c0 1.1 3.1 2 7 2s7-.9 7-2',
  serial: 'M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4',
  settings: 'M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4',
  logs: 'M5 5h14M5 10h14M5 15h9M5 20h6',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  pause: 'M9 5v14M15 5v14',
  play: 'M8 5l11 7-11 7z',
  search: 'M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20 20',
  close: 'M6 6l12 12M18 6L6 18',
  key: 'M8 11a4 4 0 1 1 0 .01M12 11h9M17 11v4',
  leave: 'M14 4H6v16h8M10 12h11M17 8l4 4-4 4',
  chevron: 'M9 6l6 6-6 6',
} as const;

export type IconName = keyof typeof strokes;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={strokes[name]} />
    </svg>
  );
}
