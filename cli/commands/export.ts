import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { counted } from '../output/format.ts';
import type { CommonOptions, Session } from '../session.ts';

interface Options extends CommonOptions {
  readonly out?: string;
  readonly reason?: string;
  readonly membersOnly?: boolean;
}

type Line = (value: object) => Promise<void>;
const PAGE = 1000;

/** `parley export ID` */
export function exportCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('export')
      .argument('<id>', 'the conversation', conversationId)
      .summary('write a conversation as JSON lines: facts, members, log')
      .description(
        'One JSON object in a line, with its `type`: `conversation`, `member`, `entry`, and `end` as the last. The bytes of entries are base64 as they are stored: only members can read them. It is written into the audit trail.',
      )
      .option('--out <file>', 'write to this file, which must not exist, instead of to stdout')
      .option('--members-only', 'without the log')
      .option('--reason <text>', 'why, for the audit trail'),
  ).action((id: string, options: Options) =>
    run(options, (session) =>
      options.out === undefined
        ? exportAll(session, id, options, (value) => {
            session.write(session.line(value));
            return Promise.resolve();
          })
        : toFile(options.out, session, (line) => exportAll(session, id, options, line)),
    ),
  );
}

async function exportAll(session: Session, id: string, { reason, membersOnly }: Options, line: Line): Promise<void> {
  const { api } = session;
  const begun = await call(
    api.POST('/v1/admin/conversations/{id}/exports', {
      params: { path: { id } },
      body: reason === undefined ? {} : { reason },
    }),
  );
  const path = { id, export: begun.export };
  const progress = session.progress();
  await line({ type: 'conversation', ...begun.conversation });
  let members = 0;
  let cursor: string | undefined;
  do {
    const query = { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) };
    const page: Schemas['ExportMembers'] = await call(
      api.GET('/v1/admin/conversations/{id}/exports/{export}/members', { params: { path, query } }),
    );
    for (const member of page.members) await line({ type: 'member', ...member });
    members += page.members.length;
    cursor = page.next;
    progress.say(counted(members, 'member'));
  } while (cursor !== undefined);
  let entries = 0;
  let after: number | undefined = membersOnly === true ? undefined : 0;
  while (after !== undefined) {
    const page: Schemas['ExportEntries'] = await call(
      api.GET('/v1/admin/conversations/{id}/exports/{export}/entries', {
        params: { path, query: { after, limit: PAGE } },
      }),
    );
    for (const entry of page.entries) await line({ type: 'entry', ...entry });
    entries += page.entries.length;
    after = page.next;
    progress.say(`${entries} entries, up to seq ${after ?? begun.lastSeq} of ${begun.lastSeq}`);
  }
  // Without this line the export was interrupted.
  await line({ type: 'end', members, entries });
  progress.done();
}

async function toFile(file: string, session: Session, write: (line: Line) => Promise<void>): Promise<void> {
  // Only its owner may read it: it says who talks to whom.
  const stream = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  await once(stream, 'open').catch((error: unknown) => {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new CommandError(EXIT.usage, `${file} cannot be created: ${code}`, { cause: error });
  });
  try {
    await write(async (value) => {
      if (!stream.write(session.line(value))) await once(stream, 'drain');
    });
  } finally {
    stream.end();
    await finished(stream);
  }
  session.remark(`Written to ${file}.`);
}
