import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { clockTime } from '../../life/view/clock.ts';
import type { StoryLine } from '../story.ts';

interface StoryPanelProps {
  readonly title: string;
  readonly does: string;
  readonly watch: string;
  readonly lines: readonly StoryLine[];
  readonly isRunning: boolean;
  /** Absent: it has no fixed end. */
  readonly secondsLeft: number | undefined;
  readonly onClose: () => void;
}

/** What an action does, what to look for, and what has really happened since. */
export function StoryPanel({
  title,
  does,
  watch,
  lines,
  isRunning,
  secondsLeft,
  onClose,
}: StoryPanelProps): JSX.Element {
  const panel = useRef<HTMLElement>(null);
  // What was clicked for must be seen; later lines must not push the picture away.
  useEffect(() => panel.current?.scrollIntoView({ block: 'nearest' }), [title]);
  return (
    <section ref={panel} class="story" aria-label="What happens now">
      <div class="row">
        <h3 class="grow">{title}</h3>
        {isRunning ? (
          <span class="story-state">
            <span class="spinner" aria-hidden="true" /> {secondsLeft === undefined ? 'runs' : `${secondsLeft} s left`}
          </span>
        ) : (
          <button type="button" class="button is-small is-quiet" onClick={onClose}>
            Close
          </button>
        )}
      </div>
      <p class="hint">
        {does} <strong>{watch}</strong>
      </p>
      {lines.length === 0 ? null : (
        <ol>
          {lines.map(({ at, text, tone }) => (
            <li key={`${at} ${text}`} data-tone={tone}>
              <time dateTime={new Date(at).toISOString()}>{clockTime(at)}</time> {text}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
