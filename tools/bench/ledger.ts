import { makePool } from '../../store/pool.ts';
import { userName } from '../load/tokens.ts';
import { checkConversations } from './logs.ts';

/** A message that was sent, and the seq of its answer. */
export interface SentMessage {
  readonly conversation: string;
  readonly sender: number;
  readonly id: string;
  seq?: number;
}

export interface Comparison {
  readonly values: Readonly<Record<'acknowledged' | 'lost' | 'doubled' | 'gaps' | 'positionsBehind', number>>;
  /** Everything that must not happen, in words. */
  readonly broken: readonly string[];
}

const STORED = `select e.message_id as id, e.seq from entry e join conversation c on c.key = e.conversation where c.id = $1`;
const POSITIONS = `select m.user_id as "user", m.read_seq as seq from member m join conversation c on c.key = m.conversation
  where c.id = $1`;

/**
 * Compares the answers with the log. Lost: no entry, or one with another seq. Doubled: a message with several entries. Gaps:
 * conversations whose seq is not dense. Positions behind: senders whose own acknowledged message counts as unread.
 */
export async function compareWithLog(databaseUrl: string, sent: readonly SentMessage[]): Promise<Comparison> {
  const pool = makePool({ url: databaseUrl, max: 1, name: 'bench-compare', statementTimeoutMs: 60_000 });
  const acknowledged = sent.filter(({ seq }) => seq !== undefined);
  const conversations = [...new Set(sent.map(({ conversation }) => conversation))];
  const values = { acknowledged: acknowledged.length, lost: 0, doubled: 0, gaps: 0, positionsBehind: 0 };
  try {
    for (const conversation of conversations) {
      const { rows } = await pool.query<{ id: string; seq: number }>(STORED, [conversation]);
      const stored = new Map(rows.map(({ id, seq }) => [id, seq]));
      const positions = await pool.query<{ user: string; seq: number }>(POSITIONS, [conversation]);
      const read = new Map(positions.rows.map(({ user, seq }) => [user, seq]));
      const mine = acknowledged.filter((message) => message.conversation === conversation);
      const newest = new Map<string, number>();
      for (const { sender, seq = 0 } of mine)
        newest.set(userName(sender), Math.max(seq, newest.get(userName(sender)) ?? 0));
      values.lost += mine.filter(({ id, seq }) => stored.get(id) !== seq).length;
      values.doubled += rows.length - stored.size;
      values.positionsBehind += [...newest].filter(([user, seq]) => (read.get(user) ?? 0) < seq).length;
    }
  } finally {
    await pool.end();
  }
  const holes = await checkConversations(databaseUrl, conversations);
  values.gaps = holes.length;
  const broken = [
    ...(values.lost > 0 ? [`${values.lost} acknowledged messages are lost`] : []),
    ...(values.doubled > 0 ? [`${values.doubled} messages are stored twice`] : []),
    ...holes,
  ];
  return { values, broken };
}
