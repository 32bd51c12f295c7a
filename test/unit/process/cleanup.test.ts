import { expect, test } from 'vitest';
import { createCleanup } from '../../../process/cleanup.ts';

test('what came last is given back first, once, and one failure does not keep the rest', async () => {
  const order: string[] = [];
  const cleanup = createCleanup();
  cleanup.add('first', () => void order.push('first'));
  cleanup.add('second', () => Promise.reject(new Error('stuck')));
  cleanup.add('third', async () => {
    await Promise.resolve();
    order.push('third');
  });
  const release = cleanup.run();
  await expect(release).rejects.toThrow('second: stuck');
  await expect(cleanup.run()).rejects.toBeInstanceOf(AggregateError);
  expect(order).toEqual(['third', 'first']);
});
