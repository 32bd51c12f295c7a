import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes.ts';

/** Until the namespace has them. */
const LOOK_EVERY_MS = 15_000;
/** Time for Temporal to answer. */
const LOOK_MS = 1000;

/**
 * Whether the Temporal namespace has the search attributes of Parley. A start with an unknown one would be refused, so the
 * service goes without them until it has seen them.
 */
export interface SearchAttributes {
  readonly registered: () => boolean;
  /** A start was refused because of them: go without, and look again. */
  readonly refused: () => void;
  readonly close: () => void;
}

/** Looks now, which takes a second at most, and then again and again until the namespace has them. */
export async function watchSearchAttributes(client: Client, log: Logger): Promise<SearchAttributes> {
  let registered = false;
  let complained = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  const names = Object.values(SEARCH_ATTRIBUTES);
  // Asks as the lists of the Web UI do. Temporal refuses a name that it does not know. Nothing has this value, so it is cheap.
  const query = names.map((name) => `${name} = '-'`).join(' and ');

  const look = async (): Promise<void> => {
    try {
      await client.withDeadline(Date.now() + LOOK_MS, () => client.workflow.count(query));
      registered = true;
      clearInterval(timer);
      timer = undefined;
      if (complained) log.info({ names }, 'the Temporal namespace has the search attributes now');
    } catch (error) {
      if (!isUnknownName(error)) return;
      if (!complained) {
        log.error(
          { names, namespace: client.options.namespace },
          'the Temporal namespace lacks search attributes: lists of the Web UI cannot be filtered (docs/how-to/web-ui.md)',
        );
      }
      complained = true;
    }
  };
  const lookUntilThere = (): void => {
    timer ??= setInterval(() => void look(), LOOK_EVERY_MS);
  };
  lookUntilThere();
  await look();
  return {
    registered: () => registered,
    refused: () => {
      registered = false;
      lookUntilThere();
    },
    close: () => clearInterval(timer),
  };
}

/** Whether Temporal refused a call because of a search attribute. The client wraps the refusal in another error. */
export function isUnknownName(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { message } = cause;
    if (/search attribute/i.test(message)) return true;
    if (Object.values(SEARCH_ATTRIBUTES).some((name) => message.includes(name))) return true;
  }
  return false;
}
