import { z } from 'zod';
import { PUSH_LEVELS } from '../../domain/push.ts';
import { POSITION_PATTERN } from '../../domain/position.ts';
import { MAX_INCREMENT, MAX_MESSAGES_PER_REQUEST } from '../../domain/limits.ts';
import {
  Base64,
  Bytes,
  Chain,
  ChainBefore,
  Epoch,
  EpochInput,
  Limit,
  OperationIdInput,
  Seq,
  PositionAnswer,
  PositionInput,
  PositionText,
  Sha256,
  StatedPosition,
  Time,
} from './common.ts';
import { Problem } from './problem.ts';
import { Ticket } from './stream-tickets.ts';

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

export const ReadInput = z
  .strictObject({
    seq: PositionInput.optional().meta({
      description:
        'The last entry that was read: a seq or a position. The position only moves forward. Absent = all entries',
    }),
  })
  .meta({ id: 'ReadMark' });
export const Unread = z.object({ unread: z.number().int() }).meta({ id: 'Unread' });

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
