import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { valuesSchema } from './values-schema.ts';

writeFileSync(path.join(packageRoot(), 'ops', 'helm', 'parley', 'values.schema.json'), valuesSchema());
