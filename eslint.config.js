// Typed lint for everything; a determinism rule set for workflow code, which replays its history.
import { builtinModules } from 'node:module';
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const nodeBuiltins = [...builtinModules, ...builtinModules.map((name) => `node:${name}`)];

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.parley', '.cache', 'test/histories'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
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
      // `await using`-style cleanup and event callbacks hand promises to void-returning slots on purpose, marked `void`.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
    },
  },
  {
    files: ['domain/**/*.ts', 'workflows/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: nodeBuiltins.map((name) => ({ name, message: 'Runs in the workflow sandbox: no Node built-ins.' })),
          patterns: [
            { group: ['zod', 'pg', 'express', 'pino', 'prom-client'], message: 'Not in the workflow sandbox.' },
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
          message: 'Not deterministic, or not there, when a history replays.',
        })),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.property.name='race']",
          message: 'Promise.race leaks and hides order; use condition().',
        },
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'Use Date.now(), which is workflow time.',
        },
        {
          selector: "ThrowStatement > NewExpression[callee.name='Error']",
          message: 'A plain Error fails the workflow task and wedges the conversation: throw ApplicationFailure.',
        },
        {
          selector: "Property[key.name='validator'][value.async=true]",
          message: 'Validators are synchronous: a rejected promise does not reject the update.',
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
    files: ['local/setup.mjs', '**/*.cjs', '**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', module: 'writable' } },
  },
);
