import { randomUUID } from 'node:crypto';
import { makeWorkerUtils } from 'graphile-worker';
import type pg from 'pg';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { AppError } from '../../../../domain/errors.ts';
import { outcomeFor } from '../../../../domain/outcome.ts';
import { peerCommand, toWire } from '../command.ts';
import { gather } from './gather.ts';
import { DECIDE, type Job, queueOf } from './job.ts';
import { listenForResults } from './results.ts';

/** Connections that add jobs. One statement adds all jobs of its time, so two are enough. */
const CONNECTIONS = 2;

/** Submitter of the graphile-worker contender: each command is one job, and the request waits for its result. */
export async function makeGraphileSubmitter(
  url: string,
  pool: pg.Pool,
): Promise<Submitter & { readonly close: () => Promise<void> }> {
  const utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: CONNECTIONS });
  const results = await listenForResults(url, pool);
  const add = gather<Job>(
    async (jobs) => {
      await utils.addJobs(
        jobs.map((payload) => ({ identifier: DECIDE, payload, queueName: queueOf(payload.command.conversation) })),
      );
    },
    (error, jobs) => {
      for (const { request } of jobs) results.fail(request, error);
    },
  );
  return {
    submit: async (submission) => {
      const command = peerCommand(submission);
      const request = randomUUID();
      const answered = results.of(request, command, submission.deadline);
      add({ command: toWire(command), request });
      try {
        return outcomeFor(submission.command, await answered);
      } catch (error) {
        throw new AppError('unavailable', 'The job failed', {}, { cause: error });
      }
    },
    close: async () => {
      await results.close();
      await utils.release();
    },
  };
}
