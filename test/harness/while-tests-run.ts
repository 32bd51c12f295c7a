/**
 * Something that is there only while the tests of a file run, as a constant of that file: each property is looked up when
 * it is used.
 */
export function whileTestsRun<T extends object>(what: string, find: () => T | undefined): T {
  return new Proxy<T>({} as T, {
    get: (_, name): unknown => {
      const found = find();
      if (found === undefined) throw new Error(`There is ${what} only while tests run`);
      return Reflect.get(found, name);
    },
  });
}
