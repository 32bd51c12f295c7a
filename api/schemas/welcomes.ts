import { z } from 'zod';
import { Base64, ConversationId, Epoch, Limit, Next, Seq, cursorOf } from './common.ts';

/** A Welcome that waits for a device. */
export const welcomeFacts = {
  id: z.string().meta({ description: 'Id of the Welcome, to acknowledge it' }),
  conversation: ConversationId,
  welcome: Base64.meta({ description: 'The Welcome, an MLSMessage (RFC 9420 §12.4.3.1)' }),
  seq: Seq.meta({ description: 'Position of the commit that added the device' }),
  epoch: Epoch.meta({ description: 'The epoch that began with it' }),
};

export const WelcomeList = z
  .object({
    welcomes: z.array(z.object(welcomeFacts)).meta({ description: 'In order of `seq` in each conversation' }),
    next: Next,
  })
  .meta({ id: 'WelcomeList', description: 'A page of the Welcomes that wait for the calling device' });

const WelcomeId = z.uuid();
export const WelcomeParams = z.object({ id: WelcomeId.meta({ description: 'Id of the Welcome' }) });
export const WelcomesQuery = z.strictObject({
  cursor: cursorOf((id) => WelcomeId.safeParse(id).data),
  limit: Limit,
});
