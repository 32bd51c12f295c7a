import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Chart, drawChart } from '../../../tools/plot/chart.ts';
import { drawFigure } from '../../../tools/plot/figure.ts';
import { shortNumber } from '../../../tools/plot/numbers.ts';
import { markdownTable, replaceBetweenMarks } from '../../../tools/plot/page.ts';
import { linearScale, logScale } from '../../../tools/plot/scale.ts';

const chart: Chart = {
  title: 'CPU ms',
  xLabel: 'messages',
  xKind: 'log',
  series: [
    { name: 'send <direct>', points: [1, 1000, 1_000_000].map((x, i) => ({ x, y: 1 + i / 10 })) },
    { name: 'send & receive', points: [1, 1000, 1_000_000].map((x) => ({ x, y: 2 })) },
  ],
};

test('numbers are short', () => {
  const numbers = [0, 0.254, 17, 999.4, 999.9, 1000, 12_345, 1_000_000, -4200, 0.1 + 0.2];
  expect(numbers.map(shortNumber)).toEqual(['0', '0.254', '17', '999', '1k', '1k', '12.3k', '1M', '-4.2k', '0.3']);
});

test('a logarithmic axis has a tick for each of a few values', () => {
  const { ticks, place } = logScale([100, 1, 10_000]);
  expect(ticks.map(({ label }) => label)).toEqual(['1', '100', '10k']);
  expect([1, 100, 10_000].map(place)).toEqual([0, 0.5, 1]);
});

test('a linear axis begins at 0 and has round ticks', () => {
  expect(linearScale([3, 17]).ticks.map(({ label }) => label)).toEqual(['0', '5', '10', '15', '20']);
  expect(linearScale([0.011, 0.013]).ticks.map(({ label }) => label)).toEqual(['0', '0.005', '0.01', '0.015']);
  expect(linearScale([0]).ticks.length).toBeGreaterThan(1);
});

test('every value stands on its axis, in order, between ticks that are in order', () => {
  const values = fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(values, fc.constantFrom(linearScale, logScale), (ys, scale) => {
      const { place, ticks } = scale(ys);
      const places = ys.toSorted((a, b) => a - b).map(place);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
      for (const at of [...places, ...ticks.map((tick) => tick.place)]) {
        expect(at).toBeGreaterThanOrEqual(-1e-9);
        expect(at).toBeLessThanOrEqual(1 + 1e-9);
      }
      expect(ticks.length).toBeLessThanOrEqual(14);
    }),
  );
});

test('a picture is the same each time, has all words, and escapes them', () => {
  const svg = drawFigure('Messages > 1', [chart, chart, chart]);
  expect(drawFigure('Messages > 1', [chart, chart, chart])).toBe(svg);
  for (const word of ['Messages &gt; 1', 'CPU ms', 'messages', 'send &lt;direct&gt;', 'send &amp; receive', '1M']) {
    expect(svg).toContain(word);
  }
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(svg).toContain('prefers-color-scheme: dark');
  const count = (sign: RegExp): number => [...svg.matchAll(sign)].length;
  // Each element that begins also ends.
  expect(count(/<[a-z]/g)).toBe(count(/<\/[a-z]/g) + count(/\/>/g));
});

test('each line has a colour, a dash and a marker of its own', () => {
  const svg = drawChart(chart);
  const colours = new Set([...svg.matchAll(/stroke="(#\w+)"/g)].map(([, colour]) => colour));
  expect(colours.size).toBe(2);
  expect(svg).toContain('<circle');
  expect(svg).toContain('<rect');
});

test('a line without points, and one of a single point, can be drawn', () => {
  const series = [
    { name: 'none', points: [] },
    { name: 'one', points: [{ x: 5, y: 0 }] },
  ];
  expect(drawChart({ ...chart, series })).not.toMatch(/NaN|Infinity/);
});

test('a part of a page is replaced, and nothing else', () => {
  const page = 'before\n<!-- a: written by a command -->\nold\n<!-- a: end -->\nafter';
  const written = replaceBetweenMarks(page, 'a', 'new');
  expect(written).toBe('before\n<!-- a: written by a command -->\n\nnew\n\n<!-- a: end -->\nafter');
  expect(replaceBetweenMarks(written, 'a', 'new')).toBe(written);
  expect(() => replaceBetweenMarks(page, 'b', 'new')).toThrow('The page has no marks for b.');
});

test('cells of a table cannot break it', () => {
  expect(markdownTable(['a', 'b'], [['1|2', '3']])).toBe('| a | b |\n| --- | --- |\n| 1\\|2 | 3 |');
});
