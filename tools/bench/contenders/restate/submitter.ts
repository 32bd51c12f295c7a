import { Pool } from 'undici';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { AppError } from '../../../../domain/errors.ts';
import { outcomeFor } from '../../../../domain/outcome.ts';
import { peerCommand, toWire } from '../command.ts';

/** Connections to the ingress: requests at the same time. */
const CONNECTIONS = 256;

/**
 * Submitter of the Restate contender: each command is one request to the ingress, which answers with the handler's answer.
 * Plain HTTP over connections that stay open: the SDK's client does the same with `fetch`, which costs more CPU.
 */
export function makeRestateSubmitter(ingressUrl: string, objectName: string): Submitter {
  const ingress = new Pool(ingressUrl, { connections: CONNECTIONS, pipelining: 1 });
  return {
    submit: async (submission) => {
      const { conversation, command, deadline } = submission;
      const left = Math.max(1, deadline - Date.now());
      try {
        const { statusCode, body } = await ingress.request({
          method: 'POST',
          path: `/${objectName}/${conversation}/decide`,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(toWire(peerCommand(submission))),
          headersTimeout: left,
          bodyTimeout: left,
        });
        if (statusCode === 200) return outcomeFor(command, await body.json());
        throw new Error(`Restate answers ${statusCode}: ${await body.text()}`);
      } catch (error) {
        if (error instanceof AppError) throw error;
        throw new AppError('unavailable', 'The invocation failed', {}, { cause: error });
      }
    },
  };
}
