import { expect, test } from 'vitest';
import { useService } from '../harness/service.ts';
import { runScenario } from '../../tools/demo/scenario.ts';

const service = useService({ apis: 1, workers: 1 });

test('MLS devices of three users create a group, join by Welcome and by external commit, send, race for an epoch and remove one user', async () => {
  const lines: string[] = [];
  const failed = await runScenario({
    url: service().apis[0]?.url ?? '',
    tokenFor: (user, device) => service().token(user, { device }),
    say: (line) => void lines.push(line),
    patienceMs: 30_000,
  });
  expect(failed, lines.join('\n')).toEqual([]);
});
