import { z } from 'zod';
import { Base64, Epoch, Seq } from './common.ts';

export const WelcomeList = z
  .object({
    welcomes: z.array(z.object({ id: z.string(), conversation: z.string(), welcome: Base64, seq: Seq, epoch: Epoch })),
  })
  .meta({ id: 'WelcomeList', description: '`seq` is that of the joining commit' });

export const WelcomeParams = z.object({ id: z.uuid() });
