import type { JSX } from 'preact';
import type { LifeState } from '../model/life-state.ts';
import { counted, durationWords, plainWords, sizeWords } from '../words/fact.ts';

/** The conversation and its run, in figures. */
export function LifeHead({ life }: { readonly life: LifeState }): JSX.Element {
  const { head, workflow } = life;
  const figures: [string, string, string?][] = [];
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
        <Status life={life} />
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

function Status({ life: { workflow, troubles, connection } }: { readonly life: LifeState }): JSX.Element | null {
  if (connection.kind === 'away') return <span class="life-status is-bad">API does not answer</span>;
  if (troubles.some(({ part }) => part === 'temporal'))
    return <span class="life-status is-bad">Temporal does not answer</span>;
  if (workflow === undefined) return null;
  if (workflow.status === 'RUNNING') return <span class="life-status is-good">workflow runs</span>;
  const sleeps = workflow.status === 'COMPLETED' || workflow.status === 'NONE';
  return <span class="life-status">{sleeps ? 'workflow sleeps' : `workflow ${plainWords(workflow.status)}`}</span>;
}
