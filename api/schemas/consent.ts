import { z } from 'zod';
import { CONSENT_MODES } from '../../domain/consent.ts';
import { Next, Time } from './common.ts';

export const Consent = z
  .strictObject({
    mode: z.enum(CONSENT_MODES).meta({
      description:
        'Who may invite you. `anyone`; `contacts`: users who are in a conversation with you now; `nobody`. Others have to ask, and you answer',
    }),
  })
  .meta({ id: 'Consent' });

export const ConsentRequestList = z
  .object({
    requests: z.array(z.object({ user: z.string().meta({ description: 'Who wants to invite you' }), at: Time })),
    next: Next,
  })
  .meta({ id: 'ConsentRequestList' });

export const ConsentAnswer = z
  .strictObject({
    accept: z.boolean().meta({ description: 'Whether the user may invite you from now on' }),
  })
  .meta({ id: 'ConsentAnswer' });
