import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { LifeState } from '../model/life-state.ts';
import { isMinor, operationCaption } from '../words/operation-words.ts';
import { pathWords } from '../words/reasons.ts';
import { type Box, type Layout, type Piece, pointsOf, waysOf } from './geometry.ts';
import { type Stop, type StopFacts, type StopName, stopsOf, wayOf } from './stops.ts';
import { travel } from './travel.ts';

/** Operations that arrive together travel one after the other. */
const STAGGER_MS = 70;

/** The places that operations pass, and a dot for each operation that was answered. */
export function WaysPicture(facts: StopFacts): JSX.Element {
  const { life } = facts;
  const stops = stopsOf(facts);
  const picture = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const layout = useLayout(picture);
  useTravellers(life, layer, layout);
  const now = life.head?.path;
  const last = life.operations.findLast((one) => !isMinor(one));
  return (
    <figure class="ways" aria-label="Which way operations take">
      <div class="ways-picture" ref={picture}>
        {layout === undefined ? null : <Lines layout={layout} now={now?.now} />}
        <Place stop={stops.client} />
        <Place stop={stops.api} />
        <div class="ways-temporal">
          <span class="ways-label">Temporal</span>
          <Place stop={stops.workflow} />
          <Place stop={stops.worker} />
        </div>
        <span class="ways-road" data-road={now?.now ?? 'workflow'}>
          {now?.now === 'direct' ? 'direct: taken now' : 'direct, if that is slow'}
        </span>
        <Place stop={stops.postgres} />
        <div class="ways-dots" ref={layer} aria-hidden="true" />
      </div>
      <figcaption>
        <span role="status" class={now?.now === 'direct' ? 'is-warning' : undefined}>
          {now === undefined ? '' : pathWords(now.now, now.reason)}
        </span>{' '}
        <span>
          {last === undefined ? 'Send a message, and see which way it takes.' : `Latest: ${operationCaption(last)}.`}
        </span>
        <details>
          <summary>How to read this</summary>
          <p>
            Each dot is an operation, shown when it has its answer: round through the workflow, square directly. Small
            dots are read marks.
          </p>
          <p>
            The workflow takes all that is in its mailbox as one batch. For a batch a worker runs one local activity,
            and that is one transaction in Postgres, which decides: it gives each message its number, or refuses it. The
            API can call the same transaction itself, so people go on chatting while Temporal is slow or away.
          </p>
        </details>
      </figcaption>
    </figure>
  );
}

function Place({ stop: { name, title, now, tone } }: { readonly stop: Stop }): JSX.Element {
  return (
    <div class="ways-place" data-place={name} data-tone={tone}>
      <svg class="icon" data-icon={name} viewBox="0 0 24 24" aria-hidden="true">
        <path d={ICONS[name]} />
      </svg>
      <strong>{title}</strong>
      <span class="ways-now">
        {tone === 'plain' ? null : <span aria-hidden="true">{tone === 'bad' ? '✕ ' : '! '}</span>}
        {now}
      </span>
    </div>
  );
}

const ICONS: Readonly<Record<StopName, string>> = {
  client: 'M4 5h16v11H9l-5 4z M8 9h8 M8 12h5',
  api: 'M4 7h16 M4 12h16 M4 17h16 M8 4v16',
  workflow: 'M12 3a9 9 0 1 1-8.5 6 M3 4v5h5 M12 8v4l3 2',
  worker:
    'M12 9a3 3 0 1 0 0 6a3 3 0 0 0 0-6z M12 3v3 M12 18v3 M3 12h3 M18 12h3 M5.6 5.6l2.1 2.1 M16.3 16.3l2.1 2.1 M18.4 5.6l-2.1 2.1 M7.7 16.3l-2.1 2.1',
  postgres:
    'M5 6c0-1.7 3.1-3 7-3s7 1.3 7 3s-3.1 3-7 3s-7-1.3-7-3z M5 6v12c0 1.7 3.1 3 7 3s7-1.3 7-3V6 M5 12c0 1.7 3.1 3 7 3s7-1.3 7-3',
};

function Lines({ layout, now }: { readonly layout: Layout; readonly now: string | undefined }): JSX.Element {
  const { common, workflow, direct } = waysOf(layout);
  const line = ({ from, to }: Piece, i: number): JSX.Element => (
    <line key={i} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
  );
  return (
    <svg class="ways-lines" aria-hidden="true">
      {line(common, 0)}
      <g class={now === 'direct' ? 'is-off' : undefined}>{workflow.map(line)}</g>
      <g class={now === 'direct' ? 'is-direct' : 'is-off'}>{direct.map(line)}</g>
    </svg>
  );
}

/** Where everything stands. */
function useLayout(picture: { readonly current: HTMLDivElement | null }): Layout | undefined {
  const [layout, setLayout] = useState<Layout>();
  useLayoutEffect(() => {
    const { current: element } = picture;
    if (element === null) return undefined;
    const measure = (): void => setLayout(measured(element));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    for (const place of element.querySelectorAll('[data-place]')) observer.observe(place);
    return () => observer.disconnect();
  }, []);
  return layout;
}

function measured(element: HTMLElement): Layout {
  const origin = element.getBoundingClientRect();
  const boxOf = (part: Element): Box => {
    const { x, y, width, height } = part.getBoundingClientRect();
    return { x: x - origin.x, y: y - origin.y, width, height };
  };
  const all = (attribute: 'place' | 'icon' | 'road'): Record<string, Box> =>
    Object.fromEntries(
      [...element.querySelectorAll<HTMLElement>(`[data-${attribute}]`)].map((part) => [
        part.dataset[attribute] ?? '',
        boxOf(part),
      ]),
    );
  const [road = boxOf(element)] = Object.values(all('road'));
  return { places: all('place') as Layout['places'], icons: all('icon') as Layout['icons'], road };
}

/** Lets a dot travel for each operation that the page has not shown. Whoever wants no motion reads the caption. */
function useTravellers(
  { operations, heard, conversation }: LifeState,
  layer: { readonly current: HTMLDivElement | null },
  layout: Layout | undefined,
): void {
  const shown = useRef({ conversation, heard });
  useEffect(() => {
    const { current: element } = layer;
    const before = shown.current.conversation === conversation ? shown.current.heard : 0;
    shown.current = { conversation, heard };
    if (element === null || layout === undefined || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    operations
      .filter(({ n }) => n > before)
      .forEach((one, i) => {
        const { path, outcome } = one;
        const way = outcome === 'accepted' || outcome === 'duplicate' ? `is-${path ?? 'none'}` : 'is-refused';
        travel(element, pointsOf(layout, wayOf(path)), isMinor(one) ? `${way} is-minor` : way, i * STAGGER_MS);
      });
  }, [heard, conversation]);
}
