import { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { Epoch, Seq, Sha256 } from './common.ts';

const CODES = Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]];

/** Every error of the service (RFC 9457). */
export const Problem = z
  .looseObject({
    type: z.string().meta({ description: 'Page about this problem', example: '/docs/problems/epoch-conflict' }),
    title: z.string().meta({ description: 'What the code means, in a few words' }),
    status: z.number().int().meta({ description: 'Status of the answer' }),
    detail: z.string().optional().meta({ description: 'More about this case, for people' }),
    code: z.enum(CODES).meta({ description: 'Stable code of the problem' }),
    requestId: z
      .string()
      .optional()
      .meta({ description: 'Id of the request, for the operator. It is also in X-Request-Id' }),
    errors: z
      .array(
        z.object({
          pointer: z.string().meta({ description: 'JSON pointer of the field', example: '/keyPackages/3' }),
          message: z.string().meta({ description: 'What is wrong with it' }),
        }),
      )
      .optional()
      .meta({ description: '`malformed`: every field that was not accepted, by JSON pointer (RFC 6901)' }),
    index: z
      .number()
      .int()
      .optional()
      .meta({ description: '`identity-mismatch` of an upload: position of the key package, from 0' }),
    currentEpoch: Epoch.optional().meta({ description: 'About an epoch: the current one of the group' }),
    submittedEpoch: z.number().optional().meta({ description: 'About an epoch: that of the request' }),
    winner: z
      .object({ seq: Seq, sha256: Sha256 })
      .optional()
      .meta({ description: '`epoch-conflict`: the commit that ended submittedEpoch' }),
    after: Seq.optional().meta({ description: '`epoch-conflict`: seq of the commit that started submittedEpoch' }),
    seq: Seq.optional().meta({
      description:
        '`removed`: the last entry that you may read. `id-reused`: the entry with this id, if you may read it',
    }),
    sha256: Sha256.optional().meta({ description: '`id-reused`: of the entry with this id, if you may read it' }),
    refs: z.array(z.string()).optional().meta({ description: '`key-package-stale`: KeyPackageRefs in base64' }),
    proposals: z
      .array(Seq)
      .optional()
      .meta({ description: '`removal-pending`: proposals of the service that the commit must take in, by seq' }),
    users: z
      .array(z.string())
      .optional()
      .meta({ description: '`removal-pending`: users whose leaves the commit must remove' }),
    successor: z.string().optional().meta({ description: '`superseded`: the conversation that replaced this one' }),
    oldestSeq: Seq.optional().meta({
      description: '`history-truncated`, `log-restarted`: the oldest entry that still exists',
    }),
    conversation: z
      .string()
      .optional()
      .meta({ description: 'The conversation that the problem is about, if the path does not name it' }),
    lastSeq: Seq.optional().meta({
      description: '`position-ahead`, `log-restarted`: the last entry that you may read',
    }),
    limit: z.number().int().optional().meta({ description: '`too-large`: maximum size of the body in bytes' }),
  })
  .meta({
    id: 'Problem',
    description: 'Why a request was refused (RFC 9457). Which fields there are depends on `code`',
  });
