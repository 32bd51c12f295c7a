import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { pairs } from '../output/table.ts';
import type { CommonOptions, Look } from '../session.ts';

interface Options extends CommonOptions {
  readonly reason?: string;
}

/** `parley shutdown ID` and `parley restart ID` */
export function runCommands({ program, run }: CommandHost): void {
  for (const [name, summary, description] of [
    [
      'shutdown',
      'end the run of a conversation in good order',
      'The run decides what it has, and completes. The next operation starts a new run.',
    ],
    [
      'restart',
      'restart the run of a conversation',
      'Like shutdown, and starts a new run. A run that does not end within 3 seconds is terminated: nothing that was acknowledged is lost.',
    ],
  ] as const) {
    withCommon(
      program
        .command(name)
        .argument('<id>', 'the conversation', conversationId)
        .summary(summary)
        .description(`${description} It is written into the audit trail.`)
        .option('--reason <text>', 'why, for the audit trail'),
    ).action((id: string, { reason, ...options }: Options) =>
      run(options, async (session) => {
        const request = { params: { path: { id } }, body: reason === undefined ? {} : { reason } };
        const answer =
          name === 'shutdown'
            ? session.api.POST('/v1/admin/conversations/{id}/shutdown', request)
            : session.api.POST('/v1/admin/conversations/{id}/restart', request);
        session.show(lookAt(await call(answer)));
      }),
    );
  }
}

function lookAt(found: Schemas['WorkflowRun']): Look {
  const running = found.running === undefined ? 'Temporal does not answer' : found.running ? 'yes' : 'no';
  const text = pairs([
    ['workflow', found.id],
    ['running', running],
    ['page', found.url],
  ]);
  return { value: found, text };
}
