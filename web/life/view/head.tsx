import type { JSX } from 'preact';
import type { LifeState } from '../model/life-state.ts';
import { counted, durationWords, plainWords, sizeWords } from '../words/fact.ts';

/** The conversation and its run, in figures. */
export function LifeHead({ life }: { readonly life: LifeState }): JSX.Element {
  const { head, workflow } = life;
  const figures: [string, string, string?][] = [];
  const status = statusWords(life);
  if (status !== undefined) figures.push(['Workflow', status, `Run ${workflow?.runId ?? 'none'}`]);
  if (head !== undefined) {
    const { mailbox, retention } = head;
    const waiting = mailbox.waiting + mailbox.inFlight + mailbox.increments;
    figures.push(
      ['Members', String(head.members)],
      ['Epoch', String(head.epoch), 'Each commit begins a new epoch with new keys'],
      ['Log', counted(head.lastSeq, 'entry', 'entries'), 'All members read the same entries in the same order'],
      ['Mailbox', waiting === 0 ? 'empty' : `${waiting} wait`, 'Operations that are not decided yet'],
    );
    if (retention !== undefined) figures.push(['Bodies kept', durationWords(retention.days * 86_400_000)]);
  }
  if (workflow?.historyLength !== undefined) {
    const { historyLength, historyBytes, continuedFrom } = workflow;
    const size = historyBytes === undefined ? '' : `, ${sizeWords(historyBytes)}`;
    const means = continuedFrom === undefined ? 'Events of this run in Temporal' : 'It continued an older run as new';
    figures.push(['History', `${historyLength} events${size}`, means]);
  }
  return (
    <header class="life-head">
      <div class="row">
        <h2 class="grow">Life of this conversation</h2>
        {workflow?.webUi === undefined ? null : (
          <a class="button is-small" href={workflow.webUi} target="_blank" rel="noreferrer">
            Open in Temporal<span class="hidden-text"> (opens a new tab)</span> <span aria-hidden="true">↗</span>
          </a>
        )}
      </div>
      <dl class="life-figures">
        {figures.map(([name, value, means]) => (
          <div key={name} title={means}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </header>
  );
}

/** What the workflow does, in one word or two. */
function statusWords({ workflow, troubles, connection }: LifeState): string | undefined {
  if (connection.kind === 'away') return 'unknown';
  if (troubles.some(({ part }) => part === 'temporal')) return 'unknown';
  if (workflow === undefined) return undefined;
  const { status, taskAttempt = 1 } = workflow;
  if (status === 'RUNNING') return taskAttempt > 1 ? `runs, try ${taskAttempt}` : 'runs';
  return status === 'COMPLETED' || status === 'NONE' ? 'sleeps' : plainWords(status);
}
