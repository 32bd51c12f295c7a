import { z } from 'zod';
import { parseConversationId, parseDeviceId, parseUserId } from '../../domain/ids.ts';

/** Whose development token is asked for. */
export const TOKEN_REQUEST = z.strictObject({
  user: z.string().refine((text) => parseUserId(text) !== undefined, 'is no user id'),
  device: z
    .string()
    .refine((text) => parseDeviceId(text) !== undefined, 'is no device id')
    .optional(),
  operator: z.boolean().optional(),
});
export type TokenRequest = z.infer<typeof TOKEN_REQUEST>;

const simple = <const Name extends string>(what: Name): z.ZodObject<{ what: z.ZodLiteral<Name> }> =>
  z.strictObject({ what: z.literal(what) });

/** What shall be done to the stack. */
export const ACTION_REQUEST = z.discriminatedUnion('what', [
  simple('kill-worker'),
  simple('kill-api'),
  simple('kill-postgres'),
  simple('stop-temporal'),
  simple('take-backup'),
  simple('restore-backup'),
  z.strictObject({
    what: z.literal('terminate-workflow'),
    conversation: z.string().refine((text) => parseConversationId(text) !== undefined, 'is no conversation id'),
  }),
]);
export type ActionRequest = z.infer<typeof ACTION_REQUEST>;
