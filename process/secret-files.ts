import { readFileSync } from 'node:fs';
import { ensureError } from '../domain/errors.ts';
import { VARIABLES } from './config-variables.ts';

/** Names of the variables whose values nobody but the process may see. Each may also come from a file. */
export const SECRET_NAMES = Object.entries(VARIABLES)
  .filter(([, variable]) => variable.meta()?.isSecret === true)
  .map(([name]) => name);
const SUFFIX = '_FILE';
/** `<NAME>_FILE` for each secret: the path of a file that has the value. */
export const SECRET_FILE_NAMES = SECRET_NAMES.map((name) => `${name}${SUFFIX}`);

/**
 * Puts the content of secret files in place of their paths: `<NAME>_FILE` becomes `<NAME>`. Space around the content is cut,
 * because editors end a file with a line break.
 * @param env variables by name; an empty one counts as unset
 * @returns the variables without `<NAME>_FILE`, and one sentence for each problem; no sentence repeats a value
 */
export function readSecretFiles(env: NodeJS.ProcessEnv): { env: NodeJS.ProcessEnv; problems: string[] } {
  const found = new Map(Object.entries(env));
  const problems: string[] = [];
  for (const name of SECRET_NAMES) {
    const file = found.get(`${name}${SUFFIX}`)?.trim() ?? '';
    found.delete(`${name}${SUFFIX}`);
    if (file === '') continue;
    if ((found.get(name)?.trim() ?? '') !== '') {
      problems.push(`${name} and ${name}${SUFFIX} are both set: remove one`);
      continue;
    }
    try {
      const value = readFileSync(file, 'utf8').trim();
      if (value === '') problems.push(`${name}${SUFFIX} is an empty file: ${file}`);
      found.set(name, value);
    } catch (error) {
      problems.push(`${name}${SUFFIX} cannot be read: ${ensureError(error).message}`);
    }
  }
  return { env: Object.fromEntries(found), problems };
}
