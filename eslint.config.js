// Lint rules with type information for all code. Workflow code replays its history, so it has determinism rules too.
import { builtinModules } from 'node:module';
import js from '@eslint/js';
import regexp from 'eslint-plugin-regexp';
import security from 'eslint-plugin-security';
import tseslint from 'typescript-eslint';
import { noPlainObjectLookup } from './tools/lint/no-plain-object-lookup.js';

const nodeBuiltins = [...builtinModules, ...builtinModules.map((name) => `node:${name}`)];

export default tseslint.config(
  {
    ignores: [
      'dist',
      'client/dist',
      'site/**',
      'node_modules',
      '.parley',
      '.cache',
      'test/histories',
      'test/fixtures/{clients,generated}',
      'client/api/openapi.ts',
    ],
  },
  js.configs.recommended,
  security.configs.recommended,
  regexp.configs['flat/recommended'],
  {
    rules: {
      // parley/no-plain-object-lookup does this with types, so it sees the keys that cannot be `constructor`.
      'security/detect-object-injection': 'off',
      // No request names a file: the names come from the configuration, the command line and the code.
      'security/detect-non-literal-fs-filename': 'off',
      // It takes every comparison with a variable called `token` or `secret` for one of secrets, also with `undefined`.
      // Tokens are compared by jose, and nothing else is secret that a client sends.
      'security/detect-possible-timing-attacks': 'off',
      // Star height alone says little: regexp/no-super-linear-backtracking and -move analyse the expression.
      'security/detect-unsafe-regex': 'off',
      'regexp/no-super-linear-move': ['error', { ignoreSticky: true, ignorePartial: false, report: 'certain' }],
      // Alphabets stand as in their RFC.
      'regexp/use-ignore-case': 'off',
      'regexp/prefer-w': 'off',
      'regexp/match-any': ['error', { allows: ['[^]', 'dotAll'] }],
    },
  },
  {
    // The texts in tests and tools are ours, and no client's.
    files: ['test/**', 'tools/**'],
    rules: {
      'security/detect-non-literal-regexp': 'off',
      'regexp/no-super-linear-backtracking': 'off',
      'regexp/no-super-linear-move': 'off',
      'regexp/no-contradiction-with-assertion': 'off',
    },
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    ignores: ['test/**'],
    plugins: { parley: { rules: { 'no-plain-object-lookup': noPlainObjectLookup } } },
    rules: { 'parley/no-plain-object-lookup': 'error' },
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: 'error',
      'object-shorthand': 'error',
      'no-console': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-definitions': 'off',
      // Cleanup and event callbacks pass promises where `void` is expected. This is on purpose and marked by `void`.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
    },
  },
  { files: ['client/examples/**'], rules: { 'no-console': 'off' } },
  {
    files: ['domain/**/*.ts', 'workflows/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: nodeBuiltins.map((name) => ({ name, message: 'The workflow sandbox has no Node built-ins.' })),
          patterns: [
            {
              group: ['zod', 'pg', 'express', 'pino', 'prom-client'],
              message: 'This package does not work in the workflow sandbox.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['workflows/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['process', 'fetch', 'crypto', 'performance', 'Buffer', 'WeakRef', 'FinalizationRegistry'].map((name) => ({
          name,
          message: 'It is missing or not deterministic when a history is replayed.',
        })),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.property.name='race']",
          message: 'Promise.race leaks memory and hides the order. Use condition().',
        },
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'Use Date.now(), which is workflow time.',
        },
        {
          selector: "ThrowStatement > NewExpression[callee.name='Error']",
          message: 'A plain Error fails the workflow task and blocks the conversation. Throw ApplicationFailure.',
        },
        {
          selector: "Property[key.name='validator'][value.async=true]",
          message: 'Validators are synchronous: a rejected promise does not reject the update.',
        },
      ],
    },
  },
  {
    // The client library runs in browsers too. The examples are programs for Node.
    files: ['client/**/*.ts'],
    ignores: ['client/examples/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: nodeBuiltins.map((name) => ({ name, message: 'The client library runs in browsers too.' })) },
      ],
      'no-restricted-globals': [
        'error',
        ...['Buffer', 'process', 'global', 'setImmediate', 'clearImmediate', 'require', '__dirname', '__filename'].map(
          (name) => ({ name, message: 'The client library runs in browsers too: web globals only.' }),
        ),
      ],
    },
  },
  {
    files: ['web/**/*.{ts,tsx}'],
    ignores: ['web/vite.config.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "JSXAttribute[name.name='dangerouslySetInnerHTML'], MemberExpression[property.name=/^(inner|outer)HTML$/]",
          message: 'The content policy of the page makes no HTML from text.',
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: ['timers/promises', 'node:timers/promises'].map((name) => ({
            name,
            message: 'Tests wait for conditions: waitUntil (tools/harness/wait-until.ts).',
          })),
        },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Promise'] CallExpression[callee.name='setTimeout']",
          message: 'Tests wait for conditions: waitUntil (tools/harness/wait-until.ts).',
        },
        {
          selector:
            "CallExpression[callee.property.name=/^toBe(Less|Greater)Than/] :matches(CallExpression[callee.object.name='performance'], Identifier[name=/^(startedAt|elapsed|elapsedMs|tookMs)$/])",
          message: 'Tests assert no times: fake timers, an order of events, or a printed measurement.',
        },
        {
          selector:
            "CallExpression[callee.name='expect'] BinaryExpression[operator='-'] :matches(CallExpression[callee.object.name='Date'], CallExpression[callee.object.name='performance'])",
          message: 'Tests assert no times: fake timers, an order of events, or a printed measurement.',
        },
      ],
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', module: 'writable' } },
  },
);
