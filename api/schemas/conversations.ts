import { z } from 'zod';
import { Base64, Bytes, ConversationIdInput, Epoch, Seq, Time, UserIds } from './common.ts';
import { Policy, PolicyChangeInput, PolicyInput } from './policy.ts';

const Protocol = z.enum(['mls', 'opaque']);
const Role = z.enum(['admin', 'member', 'removed']);

export const NewConversation = z
  .strictObject({
    id: ConversationIdInput,
    protocol: Protocol.default('mls'),
    epoch: Epoch.default(0),
    members: UserIds.default([]).meta({
      description: 'Members of the group at `epoch`. The creator is always a member',
    }),
    groupInfo: Bytes.optional(),
    policy: PolicyInput.default({}),
  })
  .meta({ id: 'NewConversation' });

export const conversationFacts = {
  id: z.string(),
  protocol: Protocol,
  epoch: Epoch,
  lastSeq: Seq,
  memberCount: z.number().int(),
  createdAt: Time,
};

export const Conversation = z.object(conversationFacts).meta({ id: 'Conversation' });

export const ownFacts = { role: Role, unread: z.number().int() };

export const ConversationDetails = z
  .object({
    ...conversationFacts,
    ...ownFacts,
    policy: Policy,
    periods: z
      .array(z.object({ from: Seq, to: Seq.optional() }))
      .meta({ description: 'Entries that you may read: one range for each time that you were a member' }),
    successor: z.string().optional().meta({ description: 'The conversation that replaced this one after a reset' }),
  })
  .meta({ id: 'ConversationDetails' });

export const ConversationChange = z.strictObject({ policy: PolicyChangeInput }).meta({ id: 'ConversationChange' });
export const ConversationChanged = z.object({ policy: Policy }).meta({ id: 'ConversationChanged' });
export const CurrentEpoch = z
  .object({
    epoch: Epoch,
    cipherSuite: z
      .number()
      .int()
      .optional()
      .meta({ description: 'Only for users who are not members and may ask to join: the cipher suite of the group' }),
  })
  .meta({ id: 'CurrentEpoch' });
export const GroupInfoInput = z.strictObject({ groupInfo: Bytes }).meta({ id: 'GroupInfoInput' });
export const GroupInfo = z.object({ groupInfo: Base64, epoch: Epoch }).meta({ id: 'GroupInfo' });
