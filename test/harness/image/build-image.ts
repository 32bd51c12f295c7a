import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../../local/run-command.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { type Stage, stagesOf } from '../../../tools/images/dockerfile.ts';
import { contextFiles } from './context-files.ts';

const STEP_MS = 15 * 60_000;

/** What an image is built to. */
export interface BuiltImage {
  /** The folder that is `/app` in the image. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The command that starts it. */
  readonly command: readonly string[];
}

/**
 * Follows a Dockerfile without Docker: each stage is a folder that stands for `/app`, where its RUN and COPY instructions run on
 * this machine, in this machine's Node.
 * @param place an empty folder
 */
export async function buildImage(place: string): Promise<BuiltImage> {
  const root = packageRoot();
  const stages = stagesOf(readFileSync(path.join(root, 'Dockerfile'), 'utf8'));
  const folders = new Map<string, string>();
  let folder = '';
  for (const [index, stage] of stages.entries()) {
    folder = path.join(place, String(index), 'app');
    mkdirSync(folder, { recursive: true });
    if (stage.name !== undefined) folders.set(stage.name, folder);
    await buildStage(stage, folder, folders, root);
  }
  const last = stages.at(-1)?.instructions ?? [];
  const argumentsOf = (keyword: string): string[] =>
    last.filter((one) => one.keyword === keyword).map(({ argument }) => argument);
  const environment = argumentsOf('ENV').map((one) => one.split('=', 2) as [string, string]);
  return {
    folder,
    // Build arguments are empty here.
    environment: Object.fromEntries(environment.filter(([, value]) => !value.startsWith('$'))),
    command: JSON.parse(argumentsOf('CMD')[0] ?? '[]') as string[],
  };
}

async function buildStage(
  stage: Stage,
  folder: string,
  folders: ReadonlyMap<string, string>,
  root: string,
): Promise<void> {
  for (const { keyword, argument } of stage.instructions) {
    if (keyword === 'RUN') await run(argument, folder);
    else if (keyword === 'COPY') copy(argument.split(' '), folder, folders, root);
    // Without an effect on the files.
    else if (!['WORKDIR', 'ARG', 'ENV', 'USER', 'STOPSIGNAL', 'EXPOSE', 'CMD'].includes(keyword))
      throw new Error(`The test does not know the instruction ${keyword}`);
  }
}

async function run(command: string, folder: string): Promise<void> {
  const { PATH, HOME } = process.env;
  // Not the settings of the npm that runs the tests.
  const npm = Object.entries(process.env).filter(([name]) => /^npm_config_(?:registry|cafile)$/i.test(name));
  await runCommand('sh', ['-euc', command], {
    cwd: folder,
    timeoutMs: STEP_MS,
    env: { PATH, HOME, ...Object.fromEntries(npm) },
  });
}

function copy(words: readonly string[], folder: string, folders: ReadonlyMap<string, string>, root: string): void {
  const stage = words[0]?.startsWith('--from=') === true ? words[0].slice('--from='.length) : undefined;
  const paths = stage === undefined ? words : words.slice(1);
  const target = paths.at(-1) ?? '.';
  for (const source of paths.slice(0, -1)) {
    if (stage === undefined) {
      for (const file of contextFiles(root).filter((one) => source === '.' || one === source))
        cpSync(path.join(root, file), path.join(folder, file));
      continue;
    }
    const from = path.join(folders.get(stage) ?? '', source.replace(/^\/app\//, ''));
    if (!existsSync(from)) throw new Error(`COPY: ${source} is not in the stage ${stage}`);
    const to = path.join(folder, target.endsWith('/') ? path.join(target, path.basename(source)) : target);
    cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  }
}
