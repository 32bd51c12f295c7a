import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { edgeTool } from '../../tools/edges/found-tools.ts';

const executablePath = edgeTool('chromium');

/** Whether there is a Chromium; without one, its tests are skipped. */
export const hasChromium = executablePath !== undefined;

/** The Chromium of a group of tests, started before its first test and closed after its last. */
export function useChromium(): () => Browser {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? '' });
  });
  afterAll(() => browser?.close());
  return () => {
    if (browser === undefined) throw new Error('The browser runs only while tests run');
    return browser;
  };
}
