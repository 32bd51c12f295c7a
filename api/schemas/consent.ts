import { z } from 'zod';
import { CONSENT_MODES } from '../../domain/consent.ts';
import { Next, Time, UserId } from './common.ts';

export const Consent = z
  .strictObject({
    mode: z.enum(CONSENT_MODES).meta({
      description:
        'Who may invite you. `anyone`; `contacts`: users who are in a conversation with you now; `nobody`. Others have to ask, and you answer',
    }),
  })
  .meta({ id: 'Consent', description: 'Who may invite the user' });

export const ConsentRequestList = z
  .object({
    requests: z
      .array(
        z.object({
          user: UserId.meta({ description: 'Who wants to invite you' }),
          at: Time.meta({ description: 'When it asked' }),
        }),
      )
      .meta({ description: 'Users who wait for an answer' }),
    next: Next,
  })
  .meta({ id: 'ConsentRequestList', description: 'A page of the users who want to invite you' });

export const ConsentAnswer = z
  .strictObject({
    accept: z.boolean().meta({ description: 'Whether the user may invite you from now on' }),
  })
  .meta({ id: 'ConsentAnswer', description: 'The answer to a user who wants to invite you' });
