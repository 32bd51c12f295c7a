// `npm run demo`: MLS devices of three users against the running service; starts the local stack if no service answers.
import { packageRoot } from '../../process/package-root.ts';
import { developmentSecret, signToken } from '../../local/development-token.ts';
import { stackOptions } from '../../local/options.ts';
import type { Supervisor } from '../../local/stack.ts';
import { isAlive, startLocalStack } from './local-stack.ts';
import { runScenario } from './scenario.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

process.exit(await main());

async function main(): Promise<number> {
  let stack: Supervisor | undefined;
  try {
    const root = packageRoot();
    const options = stackOptions(process.env, root);
    const url = process.env.PARLEY_URL ?? `http://${options.host}:${options.ports.api}`;
    if (!(await isAlive(url))) {
      if (process.env.PARLEY_URL !== undefined) throw new Error(`No service answers at ${url} (PARLEY_URL).`);
      say(`No service answers at ${url}: the demo starts the local stack and stops it at the end.`);
      stack = startLocalStack({ options, root, env: process.env, say });
      await Promise.race([stack.started, interrupted()]);
    }
    const secret = developmentSecret(options);
    if (secret === undefined) throw new Error('The demo signs its own tokens: it needs JWT_SECRET.');
    const tokenFor = (user: string, device: string): Promise<string> =>
      signToken({ secret, audience: options.jwt.audience, user, device });
    const failures = await Promise.race([runScenario({ url, tokenFor, say }), interrupted()]);
    say(failures.length === 0 ? '\nAll checks passed.' : `\n${failures.length} checks failed.`);
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  } finally {
    await stack?.stop();
  }
}

/** Rejects at Ctrl-C or SIGTERM, so that `main` stops the stack that it started. */
function interrupted(): Promise<never> {
  return new Promise((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => reject(new Error(`Stopped by ${signal}.`)));
    }
  });
}
