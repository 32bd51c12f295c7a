import { setCurrentDetails } from '@temporalio/workflow';
import { attributesOf } from '../../domain/search-attributes.ts';
import type { ConversationRun } from './run.ts';
import type { AttributeValues } from './shown-attributes.ts';
import { time } from './time.ts';

// What people see of a run in the Web UI.

/** Shows how the conversation stands after the newest step of its run. */
export function showRun(run: ConversationRun): void {
  if (run.facts === undefined && run.lastError === undefined) return;
  setCurrentDetails(detailsOf(run));
  if (run.settings.searchAttributes === true) run.attributes.show({ ...factsOf(run), trouble: run.trouble ?? null });
}

function factsOf({ facts }: ConversationRun): AttributeValues {
  if (facts === undefined) return {};
  return facts.found ? attributesOf(facts) : { state: 'deleted' };
}

/** Markdown. Facts and counts only: no user, no bytes. */
function detailsOf(run: ConversationRun): string {
  const { facts, lastError } = run;
  const known =
    facts === undefined
      ? 'nothing decided yet'
      : `${facts.protocol} · ${facts.memberCount} members · epoch ${facts.epoch} · last seq ${facts.lastSeq} · as of ${time(run.asOf)}`;
  return [
    `**${run.healthy ? 'healthy' : 'degraded'}** · ${known}`,
    '',
    `- queue: ${run.mailbox.depth} commands, ${run.increments.length} increments`,
    `- decided by this run: ${run.decided}`,
    `- mode when this run began: ${run.settings.mode ?? 'not told'}`,
    lastError === undefined
      ? '- last error of this run: none'
      : `- last error of this run: ${lastError.kind} at ${time(lastError.at)}: ${lastError.message}`,
  ].join('\n');
}
