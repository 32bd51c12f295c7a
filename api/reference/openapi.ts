import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { DEVICE_HEADER } from '../http/named-device.ts';
import { problemType } from '../http/problems.ts';
import type { Route } from '../http/route.ts';
import { Problem } from '../schemas/problem.ts';
import type { Example } from './examples.ts';
import { OperationExamples } from './openapi-examples.ts';
import { stateDefaults } from './stated-defaults.ts';

export type OpenApiDocument = ReturnType<OpenApiGeneratorV31['generateDocument']>;
type PathItem = NonNullable<OpenApiDocument['paths']>[string];

const BEARER = 'bearer';
const IDEMPOTENCY_KEY = z
  .string()
  .optional()
  .meta({
    description: 'The same key, user, device and path again: the first answer, for 24 hours',
    param: { name: 'Idempotency-Key', in: 'header' },
  });

const DEVICE = z
  .string()
  .optional()
  .meta({
    description:
      'The device, percent-encoded, if the token names none. Another one than that of the token is refused. Without both it is `default`',
    example: '0b7c3f6a-3a0f-4e07-a1f5-0d5d7d9f0c11',
    param: { name: DEVICE_HEADER, in: 'header' },
  });

/** Headers of answers, as components. */
const HEADERS = {
  RateLimit: {
    description:
      'What is left (`r`) and until when (`t`, seconds): requests of this kind for the device and for all devices of its user together, and milliseconds of CPU time for the user. A request that costs much more than an ordinary one counts as several. Absent where the limit is off',
    schema: { type: 'string' },
    example: '"commits-device"; r=5999; t=60, "commits-user"; r=11999; t=60, "cost-user"; r=14996; t=60',
  },
  'RateLimit-Policy': {
    description:
      'The limits: requests, or milliseconds of CPU time for `cost-user`, (`q`) in a time (`w`, seconds), of a caller (`pk`)',
    schema: { type: 'string' },
    example:
      '"commits-device"; q=6000; w=60; pk=:ZGV2aWNl:, "commits-user"; q=12000; w=60; pk=:dXNlcg==:, "cost-user"; q=15000; w=60; pk=:dXNlcg==:',
  },
  'Retry-After': { description: 'Seconds', schema: { type: 'integer', minimum: 1 } },
} as const;
const RATE_HEADERS = ['RateLimit', 'RateLimit-Policy'] as const;
/** Groups of operations, in the order in which a reader needs them. */
const TAGS = [
  { name: 'Conversations', description: 'Begin here: create a conversation, list your own' },
  { name: 'Key packages', description: 'What others need to add your device to a group' },
  { name: 'Commits', description: 'Changes of the group: each accepted commit begins a new epoch' },
  { name: 'Welcomes', description: 'How a device joins a group that it was added to' },
  { name: 'Messages', description: 'Send and read' },
  {
    name: 'Streams',
    description:
      'Follow the log, and all that concerns you, live. These answers do not end: a generated client must not await them, so leave this group out of it and read the stream with a library for server-sent events',
  },
  { name: 'Unread', description: 'Read positions and unread counts' },
  { name: 'Members', description: 'Who is in a conversation, and who may do what' },
  { name: 'Consent', description: 'Who may invite you' },
  { name: 'Devices', description: 'Your devices, and your account' },
  { name: 'Repair', description: 'For a group that is stuck' },
  { name: 'Operators', description: 'Health and metrics; with the scope `operator` also `/v1/admin`' },
  { name: 'Documentation', description: 'This document and its pages' },
];
const PROBLEM_HEADERS: Readonly<Record<number, readonly (keyof typeof HEADERS)[]>> = {
  429: [...RATE_HEADERS, 'Retry-After'],
  503: ['Retry-After'],
};

/** Markdown. */
const DESCRIPTION = `Delivery service for end-to-end encrypted group chat (MLS, RFC 9420). Bytes are standard base64, times RFC 3339. Errors are problem documents (RFC 9457) with a stable \`code\`; what you may not see is \`not-found\`.

The examples are one run of alice, bob and others on an empty service, recorded and tested. In your service the ids that it makes itself are others.

Each problem has a page: ${Object.keys(PROBLEMS)
  .map((code) => `[${code}](${problemType(code as ProblemCode)})`)
  .join(', ')}.`;

/**
 * The OpenAPI 3.1 document of these routes, from the schemas that validate their requests.
 * @param run a recorded run, from which the examples come
 */
export function openApiDocument(routes: readonly Route[], version: string, run: readonly Example[]): OpenApiDocument {
  const examples = new OperationExamples(run);
  const registry = new OpenAPIRegistry();
  for (const [name, header] of Object.entries(HEADERS)) registry.registerComponent('headers', name, header);
  registry.registerComponent('securitySchemes', BEARER, {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'An access token of the configured identity provider. By default the claim `sub` is the user, `device` the device, and `scope` of operators contains `operator`; other claims can be configured.',
  });
  for (const route of routes) registry.registerPath(pathOf(route, examples));
  const events = routes.flatMap(({ replies }) =>
    Object.values(replies).flatMap(({ event }) =>
      event === undefined ? [] : [{ type: 'schema' as const, schema: event }],
    ),
  );
  const document = new OpenApiGeneratorV31([...events, ...registry.definitions]).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Parley',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: TAGS,
  });
  for (const path of Object.values(document.paths ?? {})) giveParametersExamples(path, examples);
  stateDefaults(document);
  return document;
}

/** One schema serves many operations, so the examples of their parameters differ from one to the next. */
function giveParametersExamples(path: PathItem, examples: OperationExamples): void {
  for (const operation of [path.get, path.post, path.put, path.patch, path.delete]) {
    for (const parameter of operation?.parameters ?? []) {
      if (!('in' in parameter)) continue;
      Object.assign(parameter, examples.ofParameter(operation?.operationId ?? '', parameter));
    }
  }
}

function pathOf(route: Route, examples: OperationExamples): RouteConfig {
  const { method, path, name, tag, summary, description, access = 'user', isStream, params, query, body } = route;
  return {
    method,
    path,
    operationId: name,
    tags: [tag],
    summary,
    // A generated client must not wait for the end of the answer.
    ...(isStream === true ? { 'x-stream': 'server-sent-events' } : {}),
    description,
    security: access === 'public' ? [] : [{ [BEARER]: [] }],
    request: {
      ...(params === undefined ? {} : { params: params as z.ZodObject }),
      ...(query === undefined ? {} : { query: query as z.ZodObject }),
      headers: [
        ...(method === 'post' && route.storesNothing !== true ? [IDEMPOTENCY_KEY] : []),
        ...(access === 'public' ? [] : [DEVICE]),
      ],
      ...(body === undefined
        ? {}
        : {
            body: {
              required: isNeeded(body),
              content: { 'application/json': { schema: body, ...examples.ofBody(name) } },
            },
          }),
    },
    responses: { ...repliesOf(route, examples), ...problemsOf(route, examples) },
  };
}

/** Where nothing is required, the body may be absent. */
function isNeeded(body: z.ZodType): boolean {
  return !body.safeParse({}).success;
}

function repliesOf({ name, replies, access }: Route, examples: OperationExamples): RouteConfig['responses'] {
  const entries = Object.entries(replies).map(
    ([status, { description, schema, event, mediaType = 'application/json', example }]) => {
      const hasContent = schema !== undefined || mediaType !== 'application/json';
      const content = {
        [mediaType]: {
          schema: schema ?? z.string().meta({ description }),
          // A keyword of OpenAPI 3.2, which this version only knows with a prefix.
          ...(event === undefined ? {} : { 'x-itemSchema': referenceTo(event) }),
          ...(example === undefined ? {} : { example }),
          ...examples.ofAnswer(name, status),
        },
      };
      const headers = access === 'public' ? {} : { headers: headersOf(RATE_HEADERS) };
      return [status, { description, ...headers, ...(hasContent ? { content } : {}) }] as const;
    },
  );
  return Object.fromEntries(entries);
}

function nameOf(schema: z.ZodType): string {
  const { id } = schema.meta() ?? {};
  if (id === undefined) throw new Error('a schema that is referred to by name has an id');
  return id;
}

function referenceTo(schema: z.ZodType): { $ref: string } {
  return { $ref: `#/components/schemas/${nameOf(schema)}` };
}

function headersOf(names: readonly (keyof typeof HEADERS)[]): Record<string, { $ref: string }> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** Problems by status; those that any such route can have are added here. */
function problemsOf(route: Route, examples: OperationExamples): RouteConfig['responses'] {
  const responses: RouteConfig['responses'] = {};
  for (const code of problemCodes(route)) {
    const { status, title } = PROBLEMS[code];
    const known = responses[status];
    const line = `\`${code}\`: ${title}`;
    const description = known !== undefined && 'description' in known ? `${known.description ?? ''}\n${line}` : line;
    const headers = PROBLEM_HEADERS[status];
    responses[status] = {
      description,
      ...(headers === undefined ? {} : { headers: headersOf(headers) }),
      content: {
        'application/problem+json': {
          schema: Problem,
          example: exampleProblem(code),
          ...examples.ofAnswer(route.name, String(status)),
        },
      },
    };
  }
  return responses;
}

/** A problem with what all problems have. */
function exampleProblem(code: ProblemCode): object {
  const { status, title } = PROBLEMS[code];
  return { type: problemType(code), title, status, code, requestId: '8d6c2a0e-3f41-4c5b-9a77-5b0d2f6e1c39' };
}

/** Every code that a route answers with, by status. */
export function problemCodes({
  method,
  access = 'user',
  isFree,
  isStream,
  params,
  query,
  body,
  problems,
}: Route): ProblemCode[] {
  const codes = new Set<ProblemCode>(['internal', ...problems]);
  if (access !== 'public') codes.add('unauthenticated').add('removed').add('unavailable').add('deadline');
  // A device header that names no device, or another one than the token.
  if (access !== 'public') codes.add('malformed').add('identity-mismatch');
  if (access !== 'public' || isFree !== true) codes.add('rate-limited');
  if (body !== undefined || query !== undefined) codes.add('malformed');
  // A path that is not percent-encoded UTF-8 is malformed; one that names nothing is not found.
  if (params !== undefined) codes.add('malformed').add('not-found');
  if (body !== undefined) codes.add('too-large').add('unsupported-media-type');
  if (method === 'post') codes.add('malformed').add('idempotency-key-reused');
  // Too many requests of one user at a time, or an operation in a queue that is full.
  if (access !== 'public' && isStream !== true) codes.add('overloaded');
  return [...codes].sort((a, b) => PROBLEMS[a].status - PROBLEMS[b].status);
}
