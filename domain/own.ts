/**
 * The value that an object itself has under a name that may come from outside; `undefined` if it has none. A plain
 * `object[name]` also finds what every object inherits: `constructor`, `toString` and `__proto__` are valid user ids. Where
 * the names are data, a Map is better; this is for objects that arrive as JSON.
 */
export function own<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  // eslint-disable-next-line parley/no-plain-object-lookup -- only of names that the object itself has
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
