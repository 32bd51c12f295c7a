import path from 'node:path';
import type { StackOptions } from '../../local/options.ts';
import type { Supervisor } from '../../local/stack.ts';
import { superviseStack } from '../../local/stack.ts';

export interface LocalStackInput {
  readonly options: StackOptions;
  /** The package's folder. */
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
  readonly findProblems?: () => Promise<readonly string[]>;
}

/** Does a service answer at `url`? */
export async function isAlive(url: string): Promise<boolean> {
  try {
    const response = await fetch(new URL('/health/live', url), { signal: AbortSignal.timeout(2_000) });
    // Another server may have a page for every path, as the Temporal Web UI does.
    return response.ok && (await response.text()) === 'OK';
  } catch {
    return false;
  }
}

/** Does the service at `url` take tokens that are signed here? */
export async function takesToken(url: string, token: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(new URL('/v1/conversations?limit=1', url), {
    headers,
    signal: AbortSignal.timeout(5_000),
  });
  return response.status !== 401;
}

/** Starts the same processes as `npm start`, from the compiled files. */
export function startLocalStack({ root, ...input }: LocalStackInput): Supervisor {
  const compiled = path.join(root, 'dist');
  const scripts = {
    migrate: path.join(compiled, 'ops', 'migrate.js'),
    worker: path.join(compiled, 'worker', 'main.js'),
    api: path.join(compiled, 'api', 'main.js'),
  };
  return superviseStack({ ...input, scripts });
}
