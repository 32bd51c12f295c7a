import { describe, expect, it } from 'vitest';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';

const promtool = edgeTool('promtool');
const folder = path.join(packageRoot(), 'ops', 'prometheus');

describe.skipIf(promtool === undefined)('Prometheus', () => {
  it('accepts the configuration and its rules', async () => {
    const said = await runCommand(promtool ?? '', ['check', 'config', path.join(folder, 'prometheus.yml')]);
    expect(said).toContain('SUCCESS');
  });
});
