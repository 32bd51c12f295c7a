import { z } from 'zod';
import { Base64, Epoch, Limit, Next, Seq, cursorOf } from './common.ts';

export const WelcomeList = z
  .object({
    welcomes: z.array(z.object({ id: z.string(), conversation: z.string(), welcome: Base64, seq: Seq, epoch: Epoch })),
    next: Next,
  })
  .meta({ id: 'WelcomeList', description: '`seq` is the position of the joining commit' });

const WelcomeId = z.uuid();
export const WelcomeParams = z.object({ id: WelcomeId });
export const WelcomesQuery = z.strictObject({
  cursor: cursorOf((id) => WelcomeId.safeParse(id).data),
  limit: Limit,
});
