import proto from '@temporalio/proto';

/** The events of a run, as the server returns them. */
export type History = proto.temporal.api.history.v1.IHistory;

const { History } = proto.temporal.api.history.v1;

/** JSON that people can read and compare: bytes in base64, enums by name. */
export function historyToText(history: History): string {
  const plain = History.toObject(History.fromObject(history), { longs: String, enums: String, bytes: String });
  return `${JSON.stringify(plain, null, 1)}\n`;
}

export function historyFromText(text: string): History {
  return History.fromObject(JSON.parse(text) as Record<string, unknown>);
}
