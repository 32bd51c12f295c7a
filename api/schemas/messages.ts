import { z } from 'zod';
import { PUSH_LEVELS } from '../../domain/push.ts';
import { POSITION_PATTERN } from '../../domain/position.ts';
import { MAX_INCREMENT, MAX_MESSAGES_PER_REQUEST, MAX_UNREAD_CONVERSATIONS } from '../../domain/limits.ts';
import {
  Base64,
  Bytes,
  Chain,
  ChainBefore,
  Epoch,
  EpochInput,
  Limit,
  Next,
  OperationIdInput,
  Seq,
  PositionAnswer,
  PositionInput,
  PositionText,
  SeqQuery,
  Sha256,
  StatedPosition,
  Time,
  cursorOf,
} from './common.ts';
import { Problem } from './problem.ts';
import { Ticket } from './stream-tickets.ts';

/** At least as many bytes as nobody can guess; a hash of 32 bytes protects no more than these. */
const SECRET_BYTES = { least: 16, most: 256 };

export const Message = z
  .strictObject({
    id: OperationIdInput,
    ciphertext: Bytes,
    epoch: EpochInput.optional(),
    position: StatedPosition,
    push: z.enum(PUSH_LEVELS).default('normal').meta({
      default: 'normal',
      description:
        'How this message wakes devices that sleep: `none` for what no user must see at once (receipts, for example), `high` for what cannot wait (a call). A retry with another value is still the same message, and the first value holds. A proposal wakes nobody',
    }),
    deleteHash: Sha256.optional().meta({
      description:
        'SHA-256 of a secret, as lower-case hex: whoever shows the secret may delete the body of this message later. Derive another secret for each message, of 32 bytes. A retry has the same value. Not with a proposal',
    }),
  })
  .meta({ id: 'Message', description: 'An application message or a proposal. A commit is refused here' });

export const MessageListInput = z
  .strictObject({ messages: z.array(Message).min(1).max(MAX_MESSAGES_PER_REQUEST) })
  .meta({ id: 'Messages', description: 'The messages are decided in this order, each on its own' });

export const MessageInput = z.union([Message, MessageListInput]);

export const SendResult = z
  .object({ id: z.string(), seq: Seq, epoch: Epoch, status: z.enum(['accepted', 'duplicate']), chain: Chain })
  .meta({ id: 'SendResult' });

export const SendResults = z.object({ results: z.array(z.union([SendResult, Problem])) }).meta({
  id: 'SendResults',
  description: 'One result for each message, in their order. A refused message has its `id` and a problem',
});

export const Kind = z.enum(['application', 'commit', 'proposal']);

export const EntriesQuery = z.strictObject({
  after: PositionText.default({ seq: 0 }).meta({
    type: ['string', 'integer'],
    pattern: POSITION_PATTERN,
    minimum: 0,
    default: 0,
    description: 'Entries after this position, or after this seq',
  }),
  limit: Limit,
  kind: Kind.optional(),
  id: OperationIdInput.optional().meta({ description: 'Only the entry with this id' }),
});

export const Entry = z
  .object({
    seq: Seq,
    kind: Kind,
    id: z.string().optional(),
    epoch: Epoch,
    ciphertext: Base64.optional(),
    sender: z.string().optional().meta({ description: 'Absent for application messages of `mls` conversations' }),
    at: Time.optional(),
    expired: z.literal(true).optional().meta({ description: 'Retention deleted the ciphertext' }),
    deleted: z.literal(true).optional().meta({ description: 'The sender or an admin deleted the ciphertext' }),
    sha256: Sha256.optional().meta({
      description: 'Only where the ciphertext was deleted: SHA-256 of it, as lower-case hex',
    }),
    chain: Chain,
    chainBefore: ChainBefore,
  })
  .meta({ id: 'Entry' });

export const Entries = z
  .object({
    entries: z.array(Entry),
    next: Seq.optional().meta({ description: 'Value of `after` for the next page. Absent on the last page' }),
    lastSeq: Seq,
    position: PositionAnswer.meta({ description: 'Where you are after this page' }),
    chainBefore: Chain.meta({
      description:
        'Value of the chain before the first entry. Absent without entries, with `kind`, and where the chain has no value',
    }),
  })
  .meta({ id: 'Entries' });

export const DeleteMessage = z
  .strictObject({
    secret: Bytes.refine(({ length }) => length >= SECRET_BYTES.least && length <= SECRET_BYTES.most, {
      error: `must be ${SECRET_BYTES.least} to ${SECRET_BYTES.most} bytes`,
    })
      .optional()
      .meta({
        type: 'string',
        contentEncoding: 'base64',
        description: 'The secret whose SHA-256 is the `deleteHash` of the message. Absent: you delete as an admin',
      }),
  })
  .meta({ id: 'DeleteMessage' });

export const DeletedMessage = Entry.pick({
  seq: true,
  kind: true,
  epoch: true,
  deleted: true,
  sha256: true,
  chain: true,
})
  .required({ deleted: true, sha256: true })
  .meta({ id: 'DeletedMessage', description: 'What is left of the entry' });

/** A place among the changes of a conversation: `seq.key`. */
function parsePlace(text: string): { readonly seq: number; readonly key: number } | undefined {
  const [, seq, key] = /^(\d{1,15})\.(\d{1,15})$/.exec(text) ?? [];
  return seq === undefined || key === undefined ? undefined : { seq: Number(seq), key: Number(key) };
}

export const DeletionsQuery = z.strictObject({
  after: SeqQuery.default(0).meta({
    type: 'integer',
    minimum: 0,
    default: 0,
    description: 'What was deleted since this entry was the last one. Some that came before may come again',
  }),
  cursor: cursorOf(parsePlace),
  limit: Limit,
});

export const DeletionList = z
  .object({
    deleted: z.array(Seq).meta({ description: 'Entries, in the order in which their bodies were deleted' }),
    next: Next,
  })
  .meta({ id: 'DeletionList' });

export const ReadInput = z
  .strictObject({
    seq: PositionInput.optional().meta({
      description:
        'The last entry that was read: a seq or a position. The read position only moves forward, with `back` only backward. Absent = all entries',
    }),
    back: z.literal(true).optional().meta({
      description: 'Marks everything after `seq` as unread again. To mark the entry 7 and all after it: `seq` 6',
    }),
  })
  .refine(({ seq, back }) => back === undefined || seq !== undefined, { error: 'back needs a seq', path: ['seq'] })
  .meta({ id: 'ReadMark' });
export const Unread = z.object({ unread: z.number().int() }).meta({ id: 'Unread' });

export const UnreadTotals = z
  .object({
    total: z.number().int().meta({ description: 'Sum of the unread counts of your conversations' }),
    conversations: z.number().int().meta({ description: 'Number of your conversations with something unread' }),
    more: z
      .literal(true)
      .optional()
      .meta({
        description: `You have more than ${MAX_UNREAD_CONVERSATIONS} conversations: the newest are not counted`,
      }),
  })
  .meta({ id: 'UnreadTotals' });

export const IncrementInput = z
  .strictObject({ by: z.number().int().min(1).max(MAX_INCREMENT).default(1), id: OperationIdInput.optional() })
  .meta({ id: 'UnreadIncrement' });
export const Incremented = z.object({ id: z.string() }).meta({ id: 'Incremented' });

export const EventsQuery = z.strictObject({
  after: z
    .union([z.literal('latest'), PositionText])
    .optional()
    .meta({
      type: 'string',
      pattern: '^(latest|\\d{1,16}(?:\\.[A-Za-z0-9_-]{16})?)$',
      description: 'A position, a seq, or `latest` for new entries only',
    }),
  ticket: Ticket,
});
