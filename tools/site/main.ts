import path from 'node:path';
import { parseArgs } from 'node:util';
import { build, createServer, serve } from 'vitepress';
import { packageRoot } from '../../process/package-root.ts';
import { optionsOrExit } from '../command-line.ts';

const USAGE = `npm run docs [-- --dev | --preview] [--port N]

Builds the documentation as a site with a search into the folder \`site/\`. A dead link ends it with an error.
  --dev        serve it, and show changes of the Markdown files at once
  --preview    serve what was built
  --port N     default: 5173`;

const { dev, preview, port, help } = optionsOrExit((args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      dev: { type: 'boolean', default: false },
      preview: { type: 'boolean', default: false },
      port: { type: 'string', default: '5173' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return { ...values, port: Number(values.port) };
}, USAGE);
const docs = path.join(packageRoot(), 'docs');

if (help) {
  process.stdout.write(`${USAGE}\n`);
} else if (dev) {
  const server = await createServer(docs, { port });
  await server.listen();
  server.printUrls();
} else if (preview) {
  await serve({ root: docs, port });
} else {
  await build(docs);
  process.stdout.write(`The site is in ${path.join(packageRoot(), 'site')}. See it: npm run docs -- --preview\n`);
}
