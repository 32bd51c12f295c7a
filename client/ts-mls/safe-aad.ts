import type { GroupContext } from 'ts-mls';
import { decodeUint16 } from 'ts-mls/codec/number.js';
import { mapDecoders } from 'ts-mls/codec/tlsDecoder.js';
import { decodeVarLenData, decodeVarLenType } from 'ts-mls/codec/variableLength.js';

/** Extension `app_data_dictionary` and its component `safe_aad` (draft-ietf-mls-extensions, IANA considerations). */
const APP_DATA_DICTIONARY = 6;
const SAFE_AAD = 2;

const decodeComponentId = mapDecoders(
  [decodeUint16, decodeVarLenData],
  (componentId: number, _data: Uint8Array) => componentId,
);

/** Does the authenticated_data of each message of the group begin with a SafeAAD? */
export function usesSafeAad({ extensions }: Pick<GroupContext, 'extensions'>): boolean {
  return extensions.some(({ extensionType, extensionData }) => {
    if (extensionType !== APP_DATA_DICTIONARY) return false;
    return decodeVarLenType(decodeComponentId)(extensionData, 0)?.[0].includes(SAFE_AAD) === true;
  });
}
