import { z } from 'zod';
import { TROUBLE_SIGNS } from '../../domain/trouble.ts';
import { Time } from './common.ts';

/** A sign that a conversation is in trouble, as operators see it. */
export const troubleFacts = {
  sign: z.enum(TROUBLE_SIGNS).meta({ description: 'What was seen' }),
  firstAt: Time.meta({ description: 'When it was seen first' }),
  lastAt: Time.meta({ description: 'When it was seen last' }),
  seen: z.number().int().min(0).meta({ description: 'How often it was seen since `firstAt`' }),
};

export const TroubleDetails = z
  .record(z.string(), z.unknown())
  .meta({ description: 'More about it; the fields depend on the sign' });
