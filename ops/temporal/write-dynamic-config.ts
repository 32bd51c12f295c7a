import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { dynamicConfigYaml } from './dynamic-config.ts';

writeFileSync(path.join(packageRoot(), 'ops', 'temporal', 'dynamic-config.yaml'), dynamicConfigYaml());
