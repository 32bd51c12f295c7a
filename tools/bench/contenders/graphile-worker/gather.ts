/**
 * Collects what is added while an earlier statement runs, so that one statement carries all of it.
 * @param send gets everything that was added since its last call
 * @param onError gets what `send` rejected with, and what it carried
 */
export function gather<T>(
  send: (things: readonly T[]) => Promise<void>,
  onError: (error: unknown, things: readonly T[]) => void,
): (thing: T) => void {
  let waiting: T[] = [];
  let isSending = false;
  const sendAll = async (): Promise<void> => {
    isSending = true;
    while (waiting.length > 0) {
      const things = waiting;
      waiting = [];
      await send(things).catch((error: unknown) => onError(error, things));
    }
    isSending = false;
  };
  return (thing) => {
    waiting.push(thing);
    // What comes in the same turn of the event loop goes along.
    if (!isSending) {
      isSending = true;
      setImmediate(() => void sendAll());
    }
  };
}
