import { expect, test } from 'vitest';
import { clean, cleanJson, cleanLines } from '../../../cli/output/clean.ts';
import { ago, duration, parseDuration } from '../../../cli/output/format.ts';
import { makeProgress } from '../../../cli/output/progress.ts';
import { pairs, section, sections, table } from '../../../cli/output/table.ts';

/** Colour, cursor, title, C1, line breaks, direction, a lone surrogate. */
const EVIL = '\u001b[31mred\u001b]0;title\u0007\u009b2J\r\n\u2028\u202eabc\ud800';

test('no character of a user reaches the terminal that a terminal obeys', () => {
  expect(clean(EVIL)).toBe('\\u{1b}[31mred\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{d}\\u{a}\\u{2028}\\u{202e}abc\\u{d800}');
  expect(clean('did:example:zoë 🙂')).toBe('did:example:zoë 🙂');
  expect(cleanLines(`a${EVIL}`).split('\n')).toHaveLength(2);
});

test('JSON is safe to print, and has the same value', () => {
  for (const indent of [0, 2]) {
    const text = cleanJson({ [EVIL]: [EVIL, 'zoë 🙂', '\u{e0001}'] }, indent);
    expect(text).not.toMatch(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(text)).toEqual({ [EVIL]: [EVIL, 'zoë 🙂', '\u{e0001}'] });
  }
  expect(cleanJson({ a: 'x\ny' }, 0)).not.toContain('\n');
});

test('a cell is one line, whatever is in it, and columns stand below one another', () => {
  expect(
    table(
      ['id', 'what'],
      [
        ['a', EVIL],
        ['long-id', undefined],
        ['z', 0],
      ],
    ),
  ).toBe(['ID       WHAT', `a        ${clean(EVIL)}`, 'long-id  -', 'z        0'].join('\n'));
});

test('pairs and sections leave out what is not there', () => {
  expect(
    pairs([
      ['a', 1],
      ['gone', undefined],
      ['name', 'x'],
    ]),
  ).toBe('a     1\nname  x');
  expect(sections(section('One', 'x\ny'), section('None', ''), undefined, 'end')).toBe('One\n  x\n  y\n\nend');
});

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1000, '1 s'],
  [61_000, '1 m 1 s'],
  [3_600_000, '1 h'],
  [90_061_000, '1 d 1 h'],
])('%i ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test('times are told from now', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(ago('2025-12-31T23:59:00Z', now)).toBe('1 m ago');
  expect(ago('2026-01-01T01:00:00Z', now)).toBe('in 1 h');
});

test('times on the command line have units', () => {
  expect(['90', '90s', '15m', '2h', '3d', '', '1w', '-1', '1.5h'].map(parseDuration)).toEqual([
    90,
    90,
    900,
    7200,
    259_200,
    ...Array.from({ length: 4 }, () => undefined),
  ]);
});

test('progress is one line on a terminal, and elsewhere only when it was asked for', () => {
  const written: string[] = [];
  const stream = (isTTY: boolean): { isTTY: boolean; write: (text: string) => unknown } => ({
    isTTY,
    write: (text) => written.push(text),
  });
  const terminal = makeProgress(stream(true), false);
  terminal.say('one\u001b[2J');
  terminal.done();
  terminal.done();
  expect(written.splice(0)).toEqual(['\r\u001b[Kone\\u{1b}[2J', '\r\u001b[K']);
  makeProgress(stream(false), false).say('one');
  expect(written).toEqual([]);
  let now = 0;
  const file = makeProgress(stream(false), true, () => now);
  file.say('one');
  file.say('too soon');
  now = 1000;
  file.say('two');
  expect(written).toEqual(['one\n', 'two\n']);
});
