import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { packClient } from './pack.ts';

// `npm run client-pack`: the client library as an archive that an app installs with `npm install`.
const archive = await packClient(path.join(packageRoot(), 'dist'));
process.stdout.write(`${path.relative(process.cwd(), archive)}\n`);
