import { ParleyClient, createHttp } from '../../../client/index.ts';
import { tokenOf } from '../../harness/tokens.ts';
import { type Fault, pick } from '../fault.ts';

const EVERY_MS = 200;

export const pathSwitched: Fault = {
  name: 'path-switched',
  does: 'an operator switches the path between workflow and direct, for some or all conversations, five times a second',
  seconds: [10, 3],
  isShort: true,
  inject: (stage) => {
    const { arena } = stage;
    const operator = new ParleyClient(
      createHttp({ baseUrl: () => pick(stage, arena.balancer.urls()), token: () => tokenOf('operator') }),
    );
    let last: Promise<unknown> = Promise.resolve();
    let switches = 0;
    const timer = setInterval(() => {
      const path = pick(stage, ['workflow', 'direct'] as const);
      const rollout = pick(stage, [0, 50, 100]);
      last = operator.admin.setPath({ path, rollout }).then(() => switches++);
      last.catch(() => undefined);
    }, EVERY_MS);
    return Promise.resolve({
      what: 'the setting',
      heal: async () => {
        clearInterval(timer);
        await last;
        await operator.admin.setPath({ path: arena.path, rollout: 100 });
        if (switches === 0) throw new Error('The path was never switched');
      },
    });
  },
};
