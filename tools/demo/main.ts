// `npm run demo`: MLS devices of three users against the running service; starts the local stack if no service answers.
import { configurationProblems } from '../../local/configuration.ts';
import { developmentSecret, signToken } from '../../local/development-token.ts';
import { stackOptions, type StackOptions } from '../../local/options.ts';
import { findService } from '../../local/service-url.ts';
import type { Supervisor } from '../../local/stack.ts';
import { type Environment, readEnvironment } from '../../process/env-file.ts';
import { packageRoot } from '../../process/package-root.ts';
import { readSecretFiles } from '../../process/secret-files.ts';
import { isAlive, startLocalStack, takesToken } from './local-stack.ts';
import { runScenario } from './scenario.ts';
import { messageOf } from '../../process/message-of.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const root = packageRoot();
let stack: Supervisor | undefined;

process.exit(await main());

async function main(): Promise<number> {
  try {
    const environment = readEnvironment(process.env, root);
    const options = stackOptions(environment.env, root, [], environment);
    const secret = developmentSecret(options);
    if (secret === undefined)
      throw new Error(
        'The demo signs its own tokens, so it needs JWT_SECRET, and no JWT_JWKS_URL or JWT_PUBLIC_KEY_FILE.',
      );
    const tokenFor = (user: string, device: string): Promise<string> =>
      signToken({ secret, audience: options.jwt.audience, user, device });
    const url =
      (await runningService(environment.env, options, await tokenFor('demo', 'phone'))) ??
      (await ownService(environment, options));
    const failures = await Promise.race([runScenario({ url, tokenFor, say }), interrupted()]);
    say(failures.length === 0 ? '\nAll checks passed.' : `\n${failures.length} checks failed.`);
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  } finally {
    await stack?.stop();
  }
}

/** @returns the address of a service that runs and takes our tokens; undefined = there is none, and none was asked for */
async function runningService(
  env: NodeJS.ProcessEnv,
  options: StackOptions,
  token: string,
): Promise<string | undefined> {
  const { url, from } = findService(env, options);
  if (!URL.canParse(url)) throw new Error(`PARLEY_URL must be an http or https URL, but is ${url}.`);
  if (!(await isAlive(url))) {
    if (from !== 'default') throw new Error(`No service answers at ${url} (${from}).`);
    return undefined;
  }
  if (await takesToken(url, token)) {
    say(`The demo uses the service at ${url}.`);
    return url;
  }
  if (from === 'default') return undefined;
  throw new Error(
    `The service at ${url} (${from}) does not take the tokens of this folder. Set JWT_SECRET to its secret, or PARLEY_DATA_DIR to its folder.`,
  );
}

/** Starts a stack for the time of the demo. Nobody types its addresses, so all ports may move. */
async function ownService({ env, ...file }: Environment, options: StackOptions): Promise<string> {
  say('No service of this folder answers: the demo starts the local stack, and stops it at the end.');
  stack = startLocalStack({
    options: { ...options, fixedPorts: new Set() },
    root,
    env: readSecretFiles(env).env,
    say,
    findProblems: () => configurationProblems(env, options, file),
  });
  const { options: started } = await Promise.race([stack.started, interrupted()]);
  return `http://${started.host}:${started.ports.api}`;
}

/** Rejects at Ctrl-C or SIGTERM, so that `main` stops the stack that it started. */
function interrupted(): Promise<never> {
  return new Promise((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => reject(new Error(`Stopped by ${signal}.`)));
    }
  });
}
