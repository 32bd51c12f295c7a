import { AppError } from '../../domain/errors.ts';
import { DEFAULT_DEVICE, type DeviceId, parseDeviceId } from '../../domain/ids.ts';

/** Header in which a client names its device, if its token does not. Percent-encoded UTF-8, like a part of a path. */
export const DEVICE_HEADER = 'Parley-Device';

const PLAIN = /^[\x20-\x7e]+$/;

/** The device of a request, and whether its client chose it. */
export interface NamedDevice {
  readonly device: DeviceId;
  /** The header named it, and no issuer has vouched for it. */
  readonly isChosen: boolean;
}

/**
 * The device of a request. A device belongs to the user of the token, whoever names it: two users never share one.
 * @param claimed from the token
 * @param header all values of `Parley-Device`
 * @throws AppError `malformed`, or `identity-mismatch` if the token names another device
 */
export function nameDevice(claimed: DeviceId | undefined, header: readonly string[] | undefined): NamedDevice {
  if (header === undefined) return { device: claimed ?? DEFAULT_DEVICE, isChosen: false };
  const device = header.length === 1 ? decode(header[0] ?? '') : undefined;
  if (device === undefined) throw new AppError('malformed', `${DEVICE_HEADER} is not one device id, percent-encoded`);
  if (claimed !== undefined && claimed !== device) {
    throw new AppError('identity-mismatch', `${DEVICE_HEADER} names another device than the token`);
  }
  return { device, isChosen: claimed === undefined };
}

function decode(text: string): DeviceId | undefined {
  if (!PLAIN.test(text)) return undefined;
  try {
    return parseDeviceId(decodeURIComponent(text));
  } catch {
    return undefined;
  }
}
