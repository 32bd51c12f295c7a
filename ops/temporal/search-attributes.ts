import { SEARCH_ATTRIBUTES } from '../../domain/search-attributes.ts';

/** The search attributes as flags of `temporal server start-dev`, which registers those that are missing. */
export function searchAttributeFlags(): string[] {
  return Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]);
}

/** The command that registers them in a namespace. It may run again. */
export function registerCommand(namespace: string): string {
  const names = Object.values(SEARCH_ATTRIBUTES).map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create -n ${namespace} ${names.join(' ')}`;
}
