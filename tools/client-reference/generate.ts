import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  Application,
  type Context,
  Converter,
  LogLevel,
  Logger,
  type ProjectReflection,
  type SignatureReflection,
} from 'typedoc';
import ts from 'typescript';
import { packageRoot } from '../../process/package-root.ts';

const ENTRIES = ['index.ts', 'ts-mls/index.ts', 'mls/index.ts', 'file-store/index.ts'];
/** What an app calls or names needs a docstring. A property explains itself by its name and type, or has one. */
const DOCUMENTED = ['Class', 'Interface', 'Function', 'Method', 'Accessor', 'TypeAlias', 'Variable'];

const OPTIONS = {
  plugin: ['typedoc-plugin-markdown'],
  name: 'Reference of the client library',
  readme: 'none',
  // One page for each entry, that of `@parley/client` first.
  outputFileStrategy: 'modules',
  entryModule: 'index',
  ...{ hidePageHeader: true, hideBreadcrumbs: true, disableSources: true, excludePrivate: true },
  // Links lead to headings, so a property has one too.
  parametersFormat: 'table',
  blockTags: ['@param', '@returns', '@throws', '@default', '@example', '@description'],
  validation: { notDocumented: true, notExported: true, invalidLink: true },
  requiredToBeDocumented: DOCUMENTED,
  excludeInternal: true,
  // Ways to say the types of the contract.
  intentionallyNotExported: ['Named', 'Answer', 'Query', 'Body', 'components'],
};

/** Keeps what typedoc warns of. */
class Warnings extends Logger {
  readonly lines: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level >= LogLevel.Warn) this.lines.push(message);
  }
}

/**
 * Writes the reference of the client library, made from its docstrings, as Markdown into a folder.
 * @returns what is wrong with it: a docstring that is missing, a link that leads nowhere, a type that no entry exports
 */
export async function writeClientReference(folder: string): Promise<readonly string[]> {
  const client = path.join(packageRoot(), 'client');
  const app = await Application.bootstrapWithPlugins({
    ...OPTIONS,
    entryPoints: ENTRIES.map((file) => path.join(client, file)),
    tsconfig: path.join(client, 'tsconfig.json'),
    out: folder,
  } as Parameters<typeof Application.bootstrapWithPlugins>[0]);
  const warnings = new Warnings();
  app.logger = warnings;
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: { readonly project: ProjectReflection }) =>
    describeContract(project),
  );
  app.converter.on(Converter.EVENT_CREATE_SIGNATURE, nameAnswer);
  const project = await app.convert();
  if (project === undefined) throw new Error(`typedoc cannot read the client library: ${warnings.lines.join('\n')}`);
  app.validate(project);
  await app.generateOutputs(project);
  for (const page of readdirSync(folder)) mendLinks(path.join(folder, page));
  return warnings.lines;
}

/** An answer by the name that the code gives it, and not by all that is in it. */
function nameAnswer(
  context: Context,
  signature: SignatureReflection,
  declaration?: ts.SignatureDeclaration | ts.JSDocSignature,
): void {
  const type = declaration?.type;
  if (type !== undefined && ts.isTypeNode(type)) signature.type = context.converter.convertType(context, type);
}

/** The contract (`client/api/openapi.ts`) says `@description` where a docstring has its first sentence. */
function describeContract(project: ProjectReflection): void {
  for (const { comment } of Object.values(project.reflections)) {
    const description = comment?.blockTags.find(({ tag }) => tag === '@description');
    if (comment === undefined || description === undefined) continue;
    comment.removeTags('@description');
    comment.summary = [...comment.summary, ...description.content];
  }
}

/** The plugin numbers some headings that are there once. */
function mendLinks(page: string): void {
  const text = readFileSync(page, 'utf8');
  const headings = new Set(Array.from(text.matchAll(/^#+ (\w+)$/gm), ([, name = '']) => name.toLowerCase()));
  const mended = text.replace(/\]\(#(\w+)-1\)/g, (link, name: string) =>
    headings.has(name) && text.match(new RegExp(`^#+ ${name}$`, 'gim'))?.length === 1 ? `](#${name})` : link,
  );
  writeFileSync(page, mended);
}
