import { call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { counted } from '../output/format.ts';
import type { CommonOptions } from '../session.ts';

interface Options extends CommonOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

/** `parley delete ID` */
export function deleteCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('delete')
      .argument('<id>', 'the conversation', conversationId)
      .summary('delete a conversation for everybody')
      .description('It cannot be undone. The id is never used again. It is written into the audit trail.')
      .option('--reason <text>', 'why, for the audit trail')
      .option('--yes', 'do not ask'),
  ).action((id: string, { reason, yes, ...options }: Options) =>
    run(options, async (session) => {
      const path = { id };
      const { memberCount, lastSeq } = await call(
        session.api.GET('/v1/admin/conversations/{id}', { params: { path } }),
      );
      const what = `${counted(memberCount, 'member')}, ${counted(lastSeq, 'entry', 'entries')}`;
      await session.confirm(`Delete ${id} (${what}) for everybody?`, yes === true);
      const query = reason === undefined ? {} : { reason };
      await call(session.api.DELETE('/v1/admin/conversations/{id}', { params: { path, query } }));
      session.show({ value: { deleted: id }, text: `${id} is deleted.` });
    }),
  );
}
