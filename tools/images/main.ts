import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import { pinDigests } from './pin.ts';
import { messageOf } from '../../process/message-of.ts';

/**
 * `npm run pin-digests`: adds to each image of Dockerfile and docker-compose.yml the digest that its tag has now. Docker asks
 * the registry, so this needs Docker with buildx and a network; without them it fails and changes nothing.
 */
const root = packageRoot();
const names = ['Dockerfile', 'docker-compose.yml'];
const inspect = (image: string): Promise<string> =>
  runCommand('docker', ['buildx', 'imagetools', 'inspect', image, '--format', '{{.Manifest.Digest}}'], {
    timeoutMs: 60_000,
  });
try {
  const files = new Map(names.map((name) => [name, readFileSync(path.join(root, name), 'utf8')]));
  for (const [name, text] of await pinDigests(files, inspect)) {
    if (text === files.get(name)) continue;
    writeFileSync(path.join(root, name), text);
    process.stdout.write(`${name}: pinned\n`);
  }
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
