import type { JSX } from 'preact';
import type { LifeEntry } from '../life-event.ts';
import { counted, sizeWords } from '../words/fact.ts';
import { clockTime } from './clock.ts';

/** Characters of a hash that are shown: enough to compare two by eye. */
const SHOWN = 12;
const KINDS = { application: 'message', commit: 'commit', proposal: 'proposal' } as const;

/** The log: each entry with its hash, and the chain that binds it to all before it. */
export function LogChain({ entries }: { readonly entries: readonly LifeEntry[] }): JSX.Element {
  if (entries.length === 0) return <p class="hint timeline-empty">The log has no entry yet.</p>;
  const newestFirst = entries.toReversed();
  return (
    <div class="log">
      <p class="hint">
        The service sees no text, only bytes. Each value of the chain is made from the one before it and the entry, so
        nobody can change, drop or swap an entry unnoticed.
      </p>
      <ol class="log-entries" tabIndex={0} aria-label="Entries of the log, the newest first">
        {newestFirst.map((entry, i) => (
          <Entry key={`${entry.seq} ${entry.sha256}`} entry={entry} before={newestFirst[i + 1]} />
        ))}
      </ol>
    </div>
  );
}

function Entry({ entry, before }: { readonly entry: LifeEntry; readonly before: LifeEntry | undefined }): JSX.Element {
  const { seq, kind, epoch, bytes, sha256, chain, deleted, at } = entry;
  const missing = before === undefined ? 0 : seq - before.seq - 1;
  return (
    <>
      <li class="entry" data-kind={kind}>
        <span class="entry-seq" aria-label={`Number ${seq}`}>
          {seq}
        </span>
        <span class="entry-what">
          <strong>{KINDS[kind]}</strong>{' '}
          <span class="hint">
            {`· epoch ${epoch}`}
            {deleted === undefined ? '' : ` · body ${deleted}`}
            {bytes === undefined ? '' : ` · ${sizeWords(bytes)}`}
          </span>
        </span>
        <time class="hint" dateTime={new Date(at).toISOString()}>
          {clockTime(at)}
        </time>
        <span class="entry-values">
          <Value name="hash" value={sha256} />
          {chain === undefined ? <span class="hint">older than the chain</span> : <Value name="chain" value={chain} />}
        </span>
      </li>
      {missing > 0 ? <li class="entry-gap hint">{counted(missing, 'entry', 'entries')} not shown</li> : null}
    </>
  );
}

function Value({ name, value }: { readonly name: string; readonly value: string }): JSX.Element {
  return (
    <span>
      <span class="hint">{name}</span> <code title={value}>{value.slice(0, SHOWN)}</code>
    </span>
  );
}
