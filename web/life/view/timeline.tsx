import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { MOST_FACTS } from '../model/life-state.ts';
import { type Fact, FACT_KINDS, type FactKind, KIND_WORDS } from '../words/fact.ts';
import { clockTime } from './clock.ts';

/** Each step of a worker is two or three lines: too many for a first look. */
const FIRST_SHOWN: ReadonlySet<FactKind> = new Set(FACT_KINDS.filter((kind) => kind !== 'task'));

/** What happened, in words, the newest first. */
export function Timeline({ facts }: { readonly facts: readonly Fact[] }): JSX.Element {
  const [shown, setShown] = useState(FIRST_SHOWN);
  const [frozen, setFrozen] = useState<readonly Fact[]>();
  const from = frozen ?? facts;
  const lines = from.filter(({ kind }) => shown.has(kind));
  const newer = frozen === undefined ? 0 : facts.filter(({ at, key }) => isNewer(frozen, at, key)).length;
  const toggle = (kind: FactKind): void =>
    setShown(new Set(shown.has(kind) ? [...shown].filter((one) => one !== kind) : [...shown, kind]));
  return (
    <div class="timeline">
      <div class="timeline-tools" role="group" aria-label="Kinds of facts">
        {FACT_KINDS.map((kind) => (
          <button
            key={kind}
            type="button"
            class="filter"
            data-kind={kind}
            title={KIND_WORDS[kind].means}
            aria-pressed={shown.has(kind)}
            onClick={() => toggle(kind)}
          >
            {KIND_WORDS[kind].label}
          </button>
        ))}
        <button
          type="button"
          class="button is-small timeline-pause"
          onClick={() => setFrozen(frozen === undefined ? facts : undefined)}
        >
          {frozen === undefined ? 'Pause' : `Go on${newer === 0 ? '' : ` (${newer} new)`}`}
        </button>
      </div>
      {lines.length === 0 ? (
        <p class="hint timeline-empty">
          {facts.length === 0 ? 'Nothing has happened yet.' : 'Nothing of these kinds.'}
        </p>
      ) : (
        <ol class="timeline-lines" tabIndex={0} aria-label="What happened, the newest first">
          {lines.map((fact) => (
            <Line key={fact.key} fact={fact} />
          ))}
          {from.length < MOST_FACTS ? null : (
            <li class="hint">Older facts are in the Temporal Web UI and in the log.</li>
          )}
        </ol>
      )}
    </div>
  );
}

function isNewer(frozen: readonly Fact[], at: number, key: string): boolean {
  return at >= (frozen[0]?.at ?? 0) && frozen.every((fact) => fact.key !== key);
}

function Line({ fact: { at, kind, text, tone, details } }: { readonly fact: Fact }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <li class="fact" data-kind={kind} data-tone={tone}>
      <button type="button" class="fact-text" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <time dateTime={new Date(at).toISOString()}>{clockTime(at)}</time>
        <span class="fact-kind">{KIND_WORDS[kind].label}</span>
        <span class="fact-words">{text}</span>
      </button>
      {isOpen ? (
        <dl class="facts fact-details">
          {details.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd class="mono">{value}</dd>
            </div>
          ))}
        </dl>
      ) : null}
    </li>
  );
}
