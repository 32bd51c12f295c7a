import { expect, test } from 'vitest';
import * as limits from '../../../domain/limits.ts';

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

// Clients are written against these numbers, and a wrong factor is not seen in any single answer.
test('limits that are made of factors have the sizes and times that the documents state', () => {
  expect(limits).toMatchObject({
    MAX_BATCH_BYTES: 8_388_608,
    MAX_PAGE_BYTES: 1_048_576,
    BODY_LIMIT_MESSAGES: 1_048_576,
    BODY_LIMIT_COMMITS: 8_388_608,
    BODY_LIMIT_DEFAULT: 262_144,
    STAGED_BYTES_PER_USER: 67_108_864,
    MAX_KEY_PACKAGE_BYTES: 16_384,
    KEY_PACKAGE_CLOCK_SKEW_MS: 300 * SECOND,
    WELCOME_LIFETIME_MS: 30 * DAY,
    CLAIM_LIFETIME_MS: DAY,
    REPORT_LIFETIME_MS: 7 * DAY,
    FORMER_MEMBER_LIFETIME_MS: 30 * DAY,
    DEVICE_ACTIVITY_MS: 30 * DAY,
    MAX_SAFE_EPOCH: 9_007_199_254_740_991,
  });
});
