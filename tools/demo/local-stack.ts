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
}

/** Does a service answer at `url`? */
export async function isAlive(url: string): Promise<boolean> {
  try {
    const response = await fetch(new URL('/health/live', url), { signal: AbortSignal.timeout(2_000) });
    return response.ok;
  } catch {
    return false;
  }
}

/** Starts the same processes as `npm start`, from the compiled files. */
export function startLocalStack({ options, root, env, say }: LocalStackInput): Supervisor {
  const compiled = path.join(root, 'dist');
  const scripts = {
    migrate: path.join(compiled, 'ops', 'migrate.js'),
    worker: path.join(compiled, 'worker', 'main.js'),
    api: path.join(compiled, 'api', 'main.js'),
  };
  return superviseStack({ options, scripts, env, say });
}
