import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { LifeState } from '../model/life-state.ts';
import { operationFact } from '../words/operation-words.ts';
import { pathWords } from '../words/reasons.ts';
import { type Box, type Boxes, type Piece, pointsOf, waysOf } from './geometry.ts';
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
  const boxes = useBoxes(picture);
  useTravellers(life, layer, boxes);
  const now = life.head?.path;
  const last = life.operations.at(-1);
  return (
    <figure class="ways" aria-label="Which way operations take">
      <div class="ways-picture" ref={picture}>
        {boxes === undefined ? null : <Lines boxes={boxes} now={now?.now} />}
        <Place stop={stops.client} />
        <Place stop={stops.api} />
        <div class="ways-temporal">
          <span class="ways-label">in Temporal: one workflow for this conversation</span>
          <Place stop={stops.workflow} />
          <Place stop={stops.worker} />
        </div>
        <span class="ways-road" data-stop="road" data-on={now?.now === 'direct'}>
          {now?.now === 'direct' ? 'direct: taken now' : 'direct: if Temporal is slow or away'}
        </span>
        <Place stop={stops.postgres} />
        <div class="ways-dots" ref={layer} aria-hidden="true" />
      </div>
      <figcaption>
        <span role="status" class={now?.now === 'direct' ? 'is-warning' : undefined}>
          {now === undefined ? '' : pathWords(now.now, now.reason)}
        </span>{' '}
        <span>
          {last === undefined ? 'Send a message, and see which way it takes.' : `Latest: ${operationFact(last).text}.`}
        </span>
      </figcaption>
    </figure>
  );
}

function Place({ stop: { name, title, role, now, tone } }: { readonly stop: Stop }): JSX.Element {
  return (
    <div class="ways-place" data-stop={name} data-tone={tone}>
      <strong>{title}</strong>
      <span class="ways-role">{role}</span>
      <span class="ways-now">
        {tone === 'plain' ? null : <span aria-hidden="true">{tone === 'bad' ? '✕ ' : '! '}</span>}
        {now}
      </span>
    </div>
  );
}

function Lines({ boxes, now }: { readonly boxes: Boxes; readonly now: string | undefined }): JSX.Element {
  const { common, workflow, direct } = waysOf(boxes);
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

/** Where the places stand. */
function useBoxes(picture: { readonly current: HTMLDivElement | null }): Boxes | undefined {
  const [boxes, setBoxes] = useState<Boxes>();
  useLayoutEffect(() => {
    const { current: element } = picture;
    if (element === null) return;
    const measure = (): void => {
      const origin = element.getBoundingClientRect();
      const found = [...element.querySelectorAll<HTMLElement>('[data-stop]')].map((stop): [string, Box] => {
        const { x, y, width, height } = stop.getBoundingClientRect();
        return [stop.dataset.stop ?? '', { x: x - origin.x, y: y - origin.y, width, height }];
      });
      setBoxes(Object.fromEntries(found) as unknown as Record<StopName | 'road', Box>);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    for (const stop of element.querySelectorAll('[data-stop]')) observer.observe(stop);
    return () => observer.disconnect();
  }, []);
  return boxes;
}

/** Lets a dot travel for each operation that the page has not shown. Whoever wants no motion reads the caption. */
function useTravellers(
  { operations, heard, conversation }: LifeState,
  layer: { readonly current: HTMLDivElement | null },
  boxes: Boxes | undefined,
): void {
  const shown = useRef({ conversation, heard });
  useEffect(() => {
    const { current: element } = layer;
    const before = shown.current.conversation === conversation ? shown.current.heard : 0;
    shown.current = { conversation, heard };
    if (element === null || boxes === undefined || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    operations
      .filter(({ n }) => n > before)
      .forEach(({ path, outcome }, i) => {
        const look = outcome === 'accepted' || outcome === 'duplicate' ? `is-${path ?? 'none'}` : 'is-refused';
        travel(element, pointsOf(boxes, wayOf(path)), look, i * STAGGER_MS);
      });
  }, [heard, conversation]);
}
