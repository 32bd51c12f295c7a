import { readdirSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import type { ContractDocument } from '../../../tools/contract/document.ts';
import type { MeantBreaks } from '../../../tools/contract/meant-breaks.ts';
import { read } from '../markdown.ts';

const FOLDER = 'docs/contracts';
const CONTRACT = /^(\d+\.\d+\.\d+)\.json$/;

export interface ReleasedContract {
  readonly version: string;
  readonly file: string;
  readonly document: () => ContractDocument;
  readonly meant: MeantBreaks;
}

/** The contracts of releases whose clients must go on working. */
export function releasedContracts(): ReleasedContract[] {
  return readdirSync(path.join(packageRoot(), FOLDER)).flatMap((name) => {
    const version = CONTRACT.exec(name)?.[1];
    if (version === undefined) return [];
    const file = `${FOLDER}/${name}`;
    const document = (): ContractDocument => JSON.parse(read(file)) as ContractDocument;
    return [{ version, file, document, meant: JSON.parse(read(`${FOLDER}/${version}.breaks.json`)) as MeantBreaks }];
  });
}
