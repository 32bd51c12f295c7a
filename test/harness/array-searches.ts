/** How many elements of arrays one search may visit: methods of Array that stop at the first hit. */
const SEARCHES = ['includes', 'indexOf', 'lastIndexOf'] as const;
const TESTS = ['find', 'findIndex', 'findLast', 'findLastIndex', 'some', 'every', 'filter'] as const;

type Method = (this: readonly unknown[], ...args: unknown[]) => unknown;

/**
 * Counts the elements that searches in arrays visit in this process while some work runs: a measure of its cost that does
 * not depend on the machine. Loops are not counted, so it finds what is hidden in a method.
 */
export async function countSearched(work: () => Promise<unknown>): Promise<number> {
  let visited = 0;
  const prototype = Array.prototype as unknown as Record<string, Method>;
  const originals = new Map<string, Method>();
  const replace = (name: string, make: (original: Method) => Method): void => {
    const original = prototype[name];
    if (original === undefined) throw new Error(`Arrays have no ${name}`);
    originals.set(name, original);
    prototype[name] = make(original);
  };
  for (const name of SEARCHES) {
    replace(
      name,
      (original) =>
        function search(...args) {
          const found = original.apply(this, args);
          const isFound = found !== false && found !== -1;
          // `includes` does not say where: half of the array on average.
          visited += !isFound ? this.length : typeof found === 'number' ? found + 1 : Math.ceil(this.length / 2);
          return found;
        },
    );
  }
  for (const name of TESTS) {
    replace(
      name,
      (original) =>
        function search(predicate, ...args) {
          const counting = (...elements: unknown[]): unknown => {
            visited++;
            return (predicate as (...elements: unknown[]) => unknown).apply(args[0], elements);
          };
          return original.call(this, counting);
        },
    );
  }
  try {
    await work();
  } finally {
    for (const [name, original] of originals) prototype[name] = original;
  }
  return visited;
}
