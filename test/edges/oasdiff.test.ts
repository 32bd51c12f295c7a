import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { documentText } from '../../api/document-text.ts';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import type { ContractDocument } from '../../tools/contract/document.ts';
import { judge } from '../../tools/contract/meant-breaks.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { BREAKING, HARMLESS } from '../harness/api/changed-contracts.ts';
import { releasedContracts } from '../harness/api/released-contracts.ts';
import { useFolder } from '../harness/folder.ts';

const oasdiff = edgeTool('oasdiff') ?? '';

interface Found {
  readonly change: string;
  readonly text: string;
}

// The same gate as in test/unit/api/released-contracts.test.ts, by a comparison that others wrote.
describe.skipIf(oasdiff === '')('the contract and its releases, compared by oasdiff', () => {
  const folder = useFolder();
  const today = (): ContractDocument => JSON.parse(documentText('0.0.0')) as ContractDocument;

  async function compare(before: string, after: ContractDocument): Promise<Found[]> {
    const [now, severities] = [path.join(folder, 'now.json'), path.join(folder, 'severities.txt')];
    writeFileSync(now, JSON.stringify(after));
    // Clients wait for values, and generated clients have the names of operations. oasdiff takes both for harmless.
    writeFileSync(severities, 'response-property-enum-value-removed err\napi-operation-id-removed err\n');
    const args = [
      'breaking',
      '--severity-levels',
      severities,
      '--format',
      'json',
      path.join(packageRoot(), before),
      now,
    ];
    const found = JSON.parse(await runCommand(oasdiff, args)) as readonly {
      readonly id: string;
      readonly operationId: string;
      readonly text: string;
    }[];
    return found.map(({ id, operationId, text }) => ({ change: id, text: `${operationId}: ${text}` }));
  }

  test.each(releasedContracts())('clients of $version work with this service', async ({ file, meant }) => {
    const found = await compare(file, today());
    expect(judge(found, meant.oasdiff, ({ text }, where) => text.includes(where))).toEqual({ breaks: [], unused: [] });
  });

  describe.each(releasedContracts().slice(-1))('of $version', ({ file }) => {
    const changesOf = async (change: (document: ContractDocument) => void): Promise<string[]> => {
      const after = today();
      change(after);
      const found = (await compare(file, after)).map(({ change, text }) => `${change}: ${text}`);
      return found.sort();
    };

    test.each(BREAKING)('finds a break: $what', async ({ change, oasdiff: name }) => {
      const asItIs = await changesOf(() => undefined);
      const found = (await changesOf(change)).filter((each) => !asItIs.includes(each));
      expect(found.map((each) => each.split(':')[0])).toContain(name);
    });

    test.each(HARMLESS)('finds none: $what', async ({ change }) => {
      expect(await changesOf(change)).toEqual(await changesOf(() => undefined));
    });
  });
});
