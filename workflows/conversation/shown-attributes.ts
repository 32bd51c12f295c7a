import { defineSearchAttributeKey } from '@temporalio/common';
import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES, type SearchAttribute } from '../../domain/search-attributes.ts';

/** A value that is absent stays as it is; null takes the attribute away. */
export type AttributeValues = Readonly<Partial<Record<SearchAttribute, string | null>>>;

const NAMES = ['protocol', 'state', 'trouble', 'members'] as const satisfies readonly SearchAttribute[];

/**
 * The search attributes of a run, as Temporal has them. A change costs an event and a write to the visibility store: it is made when
 * a value changes, and no message does that.
 */
export class ShownAttributes {
  #shown: Partial<Record<SearchAttribute, string | null>> | undefined;

  /** Makes one event if a value differs from what is shown, else none. A value that is absent stays as it is. */
  show(values: AttributeValues): void {
    const shown = (this.#shown ??= shownAtStart());
    const changed = NAMES.filter((name) => values[name] !== undefined && values[name] !== shown[name]);
    if (changed.length === 0) return;
    for (const name of changed) shown[name] = values[name] ?? null;
    upsertSearchAttributes(
      changed.map((name) => ({
        key: defineSearchAttributeKey(SEARCH_ATTRIBUTES[name], 'KEYWORD'),
        value: values[name] ?? null,
      })),
    );
  }
}

/** Set by whoever started the run, or by the run before. */
function shownAtStart(): Partial<Record<SearchAttribute, string | null>> {
  const { typedSearchAttributes } = workflowInfo();
  return Object.fromEntries(
    NAMES.map((name) => [
      name,
      typedSearchAttributes.get(defineSearchAttributeKey(SEARCH_ATTRIBUTES[name], 'KEYWORD')) ?? null,
    ]),
  );
}
