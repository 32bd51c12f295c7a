/** A device of a group in a run, with any of the three libraries. */
export interface InteropDevice {
  readonly name: string;
  readonly user: string;
  readonly device: string;
  readonly library: 'ts-mls' | 'openmls' | 'mls-rs';
  /** Texts that the device read, also its own. */
  readonly texts: readonly string[];
  readonly isIn: boolean;
  /** Uploads key packages. */
  readonly open: () => Promise<void>;
  readonly create: (policy: Readonly<Record<string, unknown>>, options?: CreateOptions) => Promise<string>;
  /** Joins by a waiting Welcome, and reads the log to its end. */
  readonly sync: () => Promise<void>;
  /** Commits what is pending, then sends. */
  readonly send: (text: string) => Promise<void>;
  /** Adds all devices of users that are not in the group yet. */
  readonly add: (...users: string[]) => Promise<void>;
  readonly remove: (user: string) => Promise<void>;
  readonly update: () => Promise<void>;
  readonly commitPending: () => Promise<void>;
  readonly proposeAdd: (user: string) => Promise<void>;
  readonly proposeRemove: (user: string) => Promise<void>;
  readonly proposeUpdate: () => Promise<void>;
  readonly leave: (kind?: 'remove' | 'self-remove') => Promise<void>;
  /** Joins by external commit: as a further device, or with a state that it lost. */
  readonly joinExternally: (id: string, selfRemoves?: readonly string[]) => Promise<void>;
  readonly askToJoin: (id: string) => Promise<void>;
  readonly view: () => Promise<View>;
}

export interface CreateOptions {
  /** Lists the service in `external_senders`. */
  readonly externalSender?: boolean;
}

/** What members must agree on. */
export interface View {
  readonly position: number;
  readonly epoch: number;
  /** Base64. */
  readonly authenticator: string;
  /** One for each leaf, sorted. */
  readonly users: readonly string[];
  readonly pending: number;
}

/** The library of a device does not offer this. */
export class NotOfferedError extends Error {
  override readonly name = 'NotOfferedError';
}
