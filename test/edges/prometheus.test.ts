import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
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

  it.each(readdirSync(path.join(folder, 'tests')))(
    'makes the alerts of %s fire, and keeps them silent',
    async (file) => {
      // Throws with what promtool says when a test of the file fails.
      const said = await runCommand(promtool ?? '', ['test', 'rules', path.join(folder, 'tests', file)]);
      expect(said).toContain('SUCCESS');
    },
  );
});
