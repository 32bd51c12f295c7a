import { expect, test } from 'vitest';
import { createReleasers } from '../../../process/cleanup.ts';

test('cleanup runs once, in reverse order, and one failure does not stop the rest', async () => {
  const order: string[] = [];
  const releasers = createReleasers();
  releasers.add('first', () => void order.push('first'));
  releasers.add('second', () => Promise.reject(new Error('stuck')));
  releasers.add('third', async () => {
    await Promise.resolve();
    order.push('third');
  });
  const release = releasers.releaseAll();
  await expect(release).rejects.toThrow('second: stuck');
  await expect(releasers.releaseAll()).rejects.toBeInstanceOf(AggregateError);
  expect(order).toEqual(['third', 'first']);
});
