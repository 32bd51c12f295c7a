import { defineUpdate } from '@temporalio/workflow';
import type { Outcome } from '../../../../domain/outcome.ts';

/** A message with its bytes, as base64: what typical code puts into an update. */
export interface NaiveMessage {
  readonly conversation: string;
  readonly user: string;
  readonly id: string;
  readonly sha256: string;
  readonly epoch?: number;
  readonly ciphertext: string;
}

export interface NaiveInput {
  readonly conversation: string;
}

export interface NaiveActivities {
  store: (message: NaiveMessage) => Promise<Outcome>;
}

export const NAIVE_WORKFLOW = 'naiveConversation';
export const send = defineUpdate<Outcome, [NaiveMessage]>('send');
