import * as messages from '../../workflows/conversation/messages.ts';
import * as workflowTypes from '../../workflows/names.ts';

/** Everything that has a name on the wire to a workflow, from the definitions themselves. */
export const messageNames = {
  workflows: Object.values(workflowTypes),
  updates: namesOf('update'),
  signals: namesOf('signal'),
  queries: namesOf('query'),
} as const;

function namesOf(type: string): string[] {
  return Object.values<unknown>(messages).flatMap((value) => {
    if (typeof value !== 'object' || value === null || !('type' in value) || !('name' in value)) return [];
    return value.type === type && typeof value.name === 'string' ? [value.name] : [];
  });
}
