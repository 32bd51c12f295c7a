import { expect, test } from 'vitest';
import { nameDevice } from '../../../api/http/named-device.ts';
import { AppError } from '../../../domain/errors.ts';
import type { DeviceId } from '../../../domain/ids.ts';

const phone = 'phone' as DeviceId;

function codeOf(claimed: DeviceId | undefined, header: readonly string[]): string {
  try {
    return nameDevice(claimed, header).device;
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
}

test('the token names the device, else the header, else it is `default`', () => {
  expect(nameDevice(undefined, undefined)).toEqual({ device: 'default', isChosen: false });
  expect(nameDevice(phone, undefined)).toEqual({ device: 'phone', isChosen: false });
  expect(nameDevice(phone, ['phone'])).toEqual({ device: 'phone', isChosen: false });
  expect(nameDevice(undefined, ['phone'])).toEqual({ device: 'phone', isChosen: true });
});

test('a header that contradicts the token is refused', () => {
  for (const other of ['laptop', 'Phone', 'default']) expect(codeOf(phone, [other])).toBe('identity-mismatch');
});

test('the value is percent-encoded UTF-8', () => {
  for (const device of ['a b', 'Büro', 'می\u200cخواهم', '100 %', '../x', 'a,b']) {
    expect(codeOf(undefined, [encodeURIComponent(device)])).toBe(device);
  }
});

test.each([
  ['nothing', ['']],
  ['two of them', ['phone', 'phone']],
  ['bytes that are no ASCII', ['B\u00fcro']],
  ['half an escape', ['%4']],
  ['bytes that are no UTF-8', ['%ff']],
  ['a control character', ['%00']],
  ['a mark that turns the direction', ['%E2%80%AE']],
  ['256 characters', ['x'.repeat(256)]],
])('%s is malformed', (_, header) => {
  expect(codeOf(undefined, header)).toBe('malformed');
  expect(codeOf(phone, header)).toBe('malformed');
});
