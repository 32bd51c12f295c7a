import { z } from 'zod';
import {
  Base64,
  Bytes,
  ConversationId,
  ConversationIdInput,
  Epoch,
  MemberCount,
  Protocol,
  Seq,
  Time,
  UnreadCount,
  UserIds,
} from './common.ts';
import { Policy, PolicyChangeInput, PolicyInput } from './policy.ts';

const OwnRole = z.enum(['admin', 'member', 'removed']).meta({
  description: 'Your role. A conversation that you were removed from stays in the list for 30 days, as `removed`',
});

export const NewConversation = z
  .strictObject({
    id: ConversationIdInput,
    protocol: Protocol.default('mls'),
    epoch: Epoch.default(0),
    members: UserIds.default([]).meta({
      description: 'Members of the group at `epoch`. The creator is always a member',
    }),
    groupInfo: Bytes.optional().meta({
      description:
        'The GroupInfo of the group at `epoch`, an MLSMessage (RFC 9420 §12.4.3). Only in `mls` conversations',
    }),
    policy: PolicyInput.default({}),
  })
  .meta({ id: 'NewConversation', description: 'A group as it stands at `epoch`' });

export const conversationFacts = {
  id: ConversationId,
  protocol: Protocol,
  epoch: Epoch,
  lastSeq: Seq.meta({ description: 'Position of the last entry of the log; 0 = there is none' }),
  memberCount: MemberCount,
  createdAt: Time.meta({ description: 'When it was created' }),
};

export const Conversation = z
  .object(conversationFacts)
  .meta({ id: 'Conversation', description: 'A conversation as it is for everybody' });

export const ownFacts = { role: OwnRole, unread: UnreadCount };

export const ReadablePeriods = z.array(
  z.object({
    from: Seq.meta({ description: 'The first entry of the range' }),
    to: Seq.optional().meta({ description: 'The last one. Absent: the range goes on' }),
  }),
);

export const ConversationDetails = z
  .object({
    ...conversationFacts,
    ...ownFacts,
    policy: Policy,
    periods: ReadablePeriods.meta({
      description: 'Entries that you may read: one range for each time that you were a member',
    }),
    successor: z.string().optional().meta({ description: 'The conversation that replaced this one after a reset' }),
  })
  .meta({ id: 'ConversationDetails', description: 'A conversation as it is for the caller' });

export const ConversationChange = z
  .strictObject({ policy: PolicyChangeInput })
  .meta({ id: 'ConversationChange', description: 'What an admin changes' });
export const ConversationChanged = z
  .object({ policy: Policy })
  .meta({ id: 'ConversationChanged', description: 'The whole policy after the change' });
export const CurrentEpoch = z
  .object({
    epoch: Epoch,
    cipherSuite: z
      .number()
      .int()
      .optional()
      .meta({ description: 'Only for users who are not members and may ask to join: the cipher suite of the group' }),
  })
  .meta({ id: 'CurrentEpoch', description: 'Where the group is' });
const GROUP_INFO = 'The GroupInfo of the current epoch, an MLSMessage (RFC 9420 §12.4.3)';
export const GroupInfoInput = z
  .strictObject({ groupInfo: Bytes.meta({ description: GROUP_INFO }) })
  .meta({ id: 'GroupInfoInput', description: 'A GroupInfo that a member supplies' });
export const GroupInfo = z
  .object({ groupInfo: Base64.meta({ description: GROUP_INFO }), epoch: Epoch })
  .meta({ id: 'GroupInfo', description: 'What a device needs to join by external commit' });
