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
  OperationId,
  OperationIdInput,
  Seq,
  PositionAnswer,
  PositionInput,
  PositionText,
  SeqQuery,
  Sha256,
  StatedPosition,
  Time,
  UnreadCount,
  cursorOf,
} from './common.ts';
import { Problem } from './problem.ts';
import { Ticket } from './stream-tickets.ts';

/** At least as many bytes as nobody can guess; a hash of 32 bytes protects no more than these. */
const SECRET_BYTES = { least: 16, most: 256 };

export const Message = z
  .strictObject({
    id: OperationIdInput,
    ciphertext: Bytes.meta({
      description: 'The message. In `mls` an MLSMessage with an application message or a proposal',
    }),
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
  .strictObject({
    messages: z.array(Message).min(1).max(MAX_MESSAGES_PER_REQUEST).meta({ description: 'In the order of the log' }),
  })
  .meta({ id: 'Messages', description: 'The messages are decided in this order, each on its own' });

export const MessageInput = z
  .union([Message, MessageListInput])
  .meta({ id: 'MessageOrMessages', description: 'One message, or a list of them' });

export const SendResult = z
  .object({
    id: OperationId,
    seq: Seq,
    epoch: Epoch,
    status: z
      .enum(['accepted', 'duplicate'])
      .meta({ description: '`duplicate`: the same message was accepted before, at this `seq`' }),
    chain: Chain,
  })
  .meta({ id: 'SendResult', description: 'Where an accepted message stands in the log' });

export const SendResults = z
  .object({
    results: z
      .array(z.union([SendResult, Problem]))
      .meta({ description: 'One for each message, in their order. A refused message has its `id` and a problem' }),
  })
  .meta({ id: 'SendResults', description: 'What became of the messages of a list' });

export const Kind = z.enum(['application', 'commit', 'proposal']).meta({ description: 'What the entry is' });

export const EntriesQuery = z.strictObject({
  after: PositionText.default({ seq: 0 }).meta({
    type: ['string', 'integer'],
    pattern: POSITION_PATTERN,
    minimum: 0,
    default: 0,
    description: 'Entries after this position, or after this seq',
  }),
  limit: Limit,
  kind: Kind.optional().meta({ description: 'Only entries of this kind' }),
  id: OperationIdInput.optional().meta({ description: 'Only the entry with this id' }),
});

/** What all entries have. Where retention took an entry, little of it is left. */
const entryFacts = {
  seq: Seq,
  id: OperationId.optional().meta({
    description: 'Id that its sender gave the operation. Absent where retention took the entry',
  }),
  epoch: Epoch.meta({ description: 'Epoch in its frame: of a commit the epoch that it ends' }),
  ciphertext: Base64.optional().meta({ description: 'The bytes as they were sent. Absent where they were deleted' }),
  at: Time.optional().meta({ description: 'When it was accepted. Absent where retention took the entry' }),
  expired: z.literal(true).optional().meta({ description: 'Retention deleted the ciphertext' }),
  sha256: Sha256.optional().meta({
    description: 'Only where the ciphertext was deleted: SHA-256 of it, as lower-case hex',
  }),
  chain: Chain,
  chainBefore: ChainBefore,
};
const Sender = z.string().optional();

export const ApplicationEntry = z
  .object({
    kind: z.literal('application').meta({ description: 'An application message' }),
    ...entryFacts,
    sender: Sender.meta({ description: 'User id of its sender. Only in `opaque` conversations' }),
    deleted: z.literal(true).optional().meta({ description: 'The sender or an admin deleted the ciphertext' }),
  })
  .meta({ id: 'ApplicationEntry', description: 'An application message in the log' });
export const CommitEntry = z
  .object({
    kind: z.literal('commit').meta({ description: 'A commit' }),
    ...entryFacts,
    sender: Sender.meta({ description: 'User id of its sender. Absent where retention took the entry' }),
  })
  .meta({ id: 'CommitEntry', description: 'A commit in the log: the next epoch begins after it' });
export const ProposalEntry = z
  .object({
    kind: z.literal('proposal').meta({ description: 'A proposal' }),
    ...entryFacts,
    sender: Sender.meta({
      description: 'User id of its sender. Absent: it is a proposal of the service, or retention took it',
    }),
  })
  .meta({ id: 'ProposalEntry', description: 'A proposal in the log, which a later commit of its epoch may take in' });

export const Entry = z
  .discriminatedUnion('kind', [ApplicationEntry, CommitEntry, ProposalEntry])
  .meta({ id: 'Entry', description: 'One entry of the log of a conversation' });

export const Entries = z
  .object({
    entries: z.array(Entry).meta({ description: 'In order of `seq`, without a hole' }),
    next: Seq.optional().meta({ description: 'Value of `after` for the next page. Absent on the last page' }),
    lastSeq: Seq.meta({ description: 'The last entry that you may read' }),
    position: PositionAnswer.meta({ description: 'Where you are after this page' }),
    chainBefore: Chain.meta({
      description:
        'Value of the chain before the first entry. Absent without entries, with `kind`, and where the chain has no value',
    }),
  })
  .meta({ id: 'Entries', description: 'A page of the log' });

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
  .meta({ id: 'DeleteMessage', description: 'By which right you delete' });

export const DeletedMessage = ApplicationEntry.pick({
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
  .meta({ id: 'DeletionList', description: 'A page of the messages whose bodies were deleted' });

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
  .meta({ id: 'ReadMark', description: 'How far the user has read, on all of its devices' });
export const Unread = z
  .object({ unread: UnreadCount })
  .meta({ id: 'Unread', description: 'The count after the change' });

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
  .meta({ id: 'UnreadTotals', description: 'For a badge over all conversations' });

export const IncrementInput = z
  .strictObject({
    by: z.number().int().min(1).max(MAX_INCREMENT).default(1).meta({ description: 'What is added to the count' }),
    id: OperationIdInput.optional(),
  })
  .meta({ id: 'UnreadIncrement', description: 'An explicit increment of the unread count' });
export const Incremented = z
  .object({ id: OperationId })
  .meta({ id: 'Incremented', description: 'The increment is stored, and counts soon' });

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
