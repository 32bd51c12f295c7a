import type { JSX } from 'preact';

const PATHS = {
  add: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  send: 'M5 12l14-7-5 15-3-6-6-2zm6 2 8-9',
  close: 'M6 6l12 12M18 6L6 18',
  clock: 'M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  check: 'M5 13l4 4L19 7',
  checks: 'M2 13l4 4L16 7M12 16l1 1L23 7',
  alert: 'M12 8v5m0 3h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
  again: 'M20 11a8 8 0 1 0-2.3 6.7M20 5v6h-6',
  shield: 'M12 3l7 3v5c0 5-3 8.5-7 10-4-1.5-7-5-7-10V6l7-3zm-3 9 2 2 4-4',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm-6 9c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5m2 3.5c2 1 3 3 3 5.5',
  settings:
    'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm7-3 2-1-1-3-2.2.3-1.5-1.5L16.5 4l-3-1-1.5 2-1.5-2-3 1 .3 2.8L6.2 8.3 4 8l-1 3 2 1-2 1 1 3 2.2-.3 1.6 1.5L7.5 20l3 1 1.5-2 1.5 2 3-1-.3-2.8 1.5-1.5L20 16l1-3-2-1z',
  link: 'M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5m4-5v5',
  unread: 'M4 6h16v12H4zM4 7l8 6 8-6',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M5 19l1.5-1.5m11-11L19 5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z',
  auto: 'M12 3v18M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zm0 4 6-1m-6 5h9m-9 4 7 1',
  chat: 'M4 5h16v11H10l-4 4v-4H4z',
  pulse: 'M3 12h4l3-8 4 16 3-8h4',
  open: 'M14 4h6v6M20 4l-9 9M18 14v6H4V6h6',
  down: 'M12 5v14m-6-6 6 6 6-6',
  bell: 'M6 16V11a6 6 0 1 1 12 0v5l2 2H4zM10 21h4',
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing without a meaning of its own: the text beside it, or the label of its button, says it. */
export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
