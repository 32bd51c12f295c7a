import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { writeFormatted } from '../plot/page.ts';
import { observeFiles } from './files.ts';

// `npm run dashboards` writes the rules of Prometheus and the dashboards of Grafana, which are code here.
for (const [file, text] of observeFiles()) {
  await writeFormatted(path.join(packageRoot(), file), text);
  process.stdout.write(`${file}\n`);
}
