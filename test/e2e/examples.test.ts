import path from 'node:path';
import { expect, test } from 'vitest';
import { type AppDeps, makeRoutes } from '../../api/app.ts';
import { type Example, readExamples } from '../../api/reference/examples.ts';
import { packageRoot } from '../../process/package-root.ts';
import { EXAMPLES_ENV, eventsIn, makeSend, targetOf, untilHealthy } from '../../tools/examples/recorder.ts';
import { useService } from '../harness/service.ts';

// The API reference shows requests and answers of one recorded run (`npm run examples`). Here they are sent as it shows them.

interface Media {
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly example?: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const service = useService({ apis: 1, workers: 1, env: EXAMPLES_ENV });
const run = readExamples(path.join(packageRoot(), 'docs'));
const routes = makeRoutes({ docsFolder: '', version: '' } as AppDeps);
/** Of the operations whose answers are texts and pages. */
const WITHOUT_ANSWER = ['metrics', 'openapi', 'docs', 'problemPage'];

async function printed(): Promise<Map<string, Operation & { readonly target: string }>> {
  const [url = ''] = service().urls();
  const document = (await (await fetch(new URL('/openapi.json', url))).json()) as Document;
  const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.values(methods).map((operation) => {
      const given = (where: string): Record<string, string> =>
        Object.fromEntries(
          (operation.parameters ?? []).flatMap(({ name, in: place, example }) =>
            place === where && example !== undefined ? [[name, example]] : [],
          ),
        );
      const target = targetOf(template, { params: given('path'), query: given('query') });
      return [operation.operationId, { ...operation, target }] as const;
    }),
  );
  return new Map(operations);
}

test('each operation shows an example of its path, its body and each of its answers', async () => {
  for (const [name, { requestBody, responses }] of await printed()) {
    const body = Object.values(requestBody?.content ?? {});
    for (const { examples } of body) expect([name, Object.keys(examples ?? {})]).toEqual([name, [expect.any(String)]]);
    for (const [status, { content = {} }] of Object.entries(responses)) {
      if (status < '300' && WITHOUT_ANSWER.includes(name)) continue;
      for (const { example } of Object.values(content)) expect(example, `${name} ${status}`).toBeDefined();
    }
  }
});

test('examples that no run can have are of the documented form', () => {
  const written = routes
    .flatMap(({ replies }) => Object.values(replies))
    .filter(({ example }) => example !== undefined);
  expect(written.length).toBeGreaterThan(0);
  for (const { schema, example } of written) expect(schema?.parse(example)).toEqual(example);
});

test('all examples work as printed, in their order on an empty service', async () => {
  const [url = ''] = service().urls();
  await untilHealthy(url);
  const send = makeSend(routes, { url, token: service().token });
  const shown = await printed();
  const seen = new Set<string>();
  const own = new Renamed();
  for (const example of run) {
    const { operation, status, answer } = example;
    if (status < 300 && !seen.has(operation)) {
      seen.add(operation);
      const { target, requestBody } = shown.get(operation) ?? {};
      const route = routes.find(({ name }) => name === operation);
      expect(target).toBe(targetOf(route?.path ?? '', example));
      const [body] = Object.values(requestBody?.content['application/json']?.examples ?? {});
      expect([operation, body?.value]).toEqual([operation, example.body]);
    }
    const got = await send(own.request(example), typeof answer === 'string' ? eventsIn(answer).length : 1);
    expect([operation, got.status, got.answer]).toEqual([operation, status, got.answer]);
    if (answer === undefined) continue;
    own.learn(answer, got.answer);
    const route = routes.find(({ name }) => name === operation);
    if (typeof answer === 'object' && status < 300) {
      const schema = route?.replies[status]?.schema;
      expect(schema?.parse(answer)).toEqual(answer);
    }
    if (route?.access !== 'operator') expect([operation, steady(got.answer)]).toEqual([operation, steady(answer)]);
  }
});

/** Ids that the service makes differ from run to run: those of the recording stand for those of this run. */
class Renamed {
  readonly #ids = new Map<string, string>();

  request({ operation, as, device, params, query, body }: Example): Omit<Example, 'status' | 'answer'> {
    const renamed = Object.entries(params ?? {}).map(([name, value]) => [name, this.#ids.get(value) ?? value]);
    return { operation, as, device, params: Object.fromEntries(renamed) as Record<string, string>, query, body };
  }

  learn(recorded: unknown, got: unknown): void {
    if (typeof recorded !== 'object' || recorded === null || typeof got !== 'object' || got === null) return;
    for (const [name, value] of Object.entries(recorded)) {
      const now = (got as Record<string, unknown>)[name];
      if (isId(name) && (typeof now === 'string' || typeof now === 'number')) this.#ids.set(String(value), String(now));
      else this.learn(value, now);
    }
  }
}

/** Names of fields whose values the service chooses. */
const isId = (name: string): boolean => name === 'id' || name === 'export';

/** An answer without what each run makes anew: times, ids, keys and tickets of the service. */
function steady(answer: unknown): unknown {
  const text = JSON.stringify(answer)
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, 'UUID')
    .replaceAll(/"(build|ticket|externalSender)":"[^"]*"/g, '"$1":"MADE ANEW"');
  return JSON.parse(text);
}
