import { defineUpdate } from '@temporalio/workflow';
import type { PeerOutcome, WireCommand } from '../command.ts';

export interface NaiveInput {
  readonly conversation: string;
}

export interface NaiveActivities {
  store: (command: WireCommand) => Promise<PeerOutcome>;
}

export const NAIVE_WORKFLOW = 'naiveConversation';
export const send = defineUpdate<PeerOutcome, [WireCommand]>('send');
