import proto from '@temporalio/proto';

/** The events of a run, as the server returns them. */
export type History = proto.temporal.api.history.v1.IHistory;
/** The same as plain JSON: bytes in base64, enums by name. */
export type PlainHistory = Readonly<Record<string, unknown>>;

const { History } = proto.temporal.api.history.v1;

/** JSON that people can read and compare, and that every Temporal tool takes. */
export function historyToPlain(history: History): PlainHistory {
  return History.toObject(History.fromObject(history), { longs: String, enums: String, bytes: String });
}

export function historyFromPlain(plain: PlainHistory): History {
  return History.fromObject(plain);
}
