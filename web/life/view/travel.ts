import type { Point } from './geometry.ts';

/** Pixels per second, so that a way can be followed with the eyes. */
const SPEED = 420;
/** A dot rests this long where it turns: queues are places too. */
const REST_MS = 90;
/** More dots at a time only flicker. */
const MOST_DOTS = 24;

/** Lets a dot travel over a layer, and takes it away at the end. */
export function travel(layer: HTMLElement, points: readonly Point[], look: string, delayMs: number): void {
  if (layer.childElementCount >= MOST_DOTS) return;
  const dot = document.createElement('span');
  dot.className = `dot ${look}`;
  layer.append(dot);
  const steps: { point: Point; at: number }[] = [];
  let at = 0;
  points.forEach((point, i) => {
    const before = points[i - 1];
    if (before !== undefined) at += (Math.hypot(point.x - before.x, point.y - before.y) / SPEED) * 1000;
    steps.push({ point, at });
    at += REST_MS;
    steps.push({ point, at });
  });
  const frames = steps.map(({ point: { x, y }, at: time }, i) => ({
    offset: time / at,
    translate: `${x}px ${y}px`,
    scale: i === 0 ? '0.2' : '1',
  }));
  const animation = dot.animate([...frames, { offset: 1, translate: frames.at(-1)?.translate ?? '', scale: '0.2' }], {
    duration: at,
    delay: delayMs,
    easing: 'linear',
    fill: 'both',
  });
  const remove = (): void => dot.remove();
  animation.finished.then(remove, remove);
}
