// `npm run --silent token -- bob [--device phone] [--operator]` prints a development token for the local stack.
import { parseArgs } from 'node:util';
import { readEnvironment } from '../process/env-file.ts';
import { packageRoot } from '../process/package-root.ts';
import { developmentSecret, signToken } from './development-token.ts';
import { stackOptions } from './options.ts';
import { messageOf } from '../process/message-of.ts';

const USAGE = 'npm run --silent token -- <user> [--device <device>] [--operator]';

try {
  process.stdout.write(`${await main()}\n`);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<string> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      device: { type: 'string' },
      operator: { type: 'boolean', default: false },
    },
  });
  if (values.help) return USAGE;
  const [user, ...rest] = positionals;
  if (user === undefined || rest.length > 0) throw new Error(`Usage: ${USAGE}`);
  const root = packageRoot();
  const { env, ...file } = readEnvironment(process.env, root);
  const options = stackOptions(env, root, [], file);
  const secret = developmentSecret(options);
  if (secret === undefined) {
    throw new Error(
      'Tokens come from an external issuer (JWT_ISSUER, JWT_JWKS_URL or JWT_PUBLIC_KEY_FILE). Ask this issuer for a token.',
    );
  }
  const { audience, issuer } = options.jwt;
  const device = values.device === undefined ? {} : { device: values.device };
  return signToken({ secret, audience, issuer, user, operator: values.operator, ...device });
}
