import type { JSX } from 'preact';
import type { ChatMember, Safety } from '../../client/index.ts';
import { fingerprintGroups, shortKey } from './fingerprint.ts';
import type { ConversationProps } from './props.ts';
import { useSafety } from './use-safety.ts';

/** What people compare to be sure that they are in one group and read one log. */
export function SafetySection({ model, conversation }: ConversationProps): JSX.Element {
  const safety = useSafety(model, conversation);
  return (
    <section aria-labelledby="safety">
      <h3 id="safety">Safety</h3>
      <p class="hint">
        Compare these with the others, by telephone or side by side. If they are the same, you are in one group, and the
        service shows all of you the same messages.
      </p>
      {safety === undefined ? (
        <p class="hint is-late">Loading …</p>
      ) : (
        <>
          <h4>Group, epoch {safety.epoch}</h4>
          <Fingerprint label="Fingerprint of the group" bytes={safety.epochAuthenticator} />
          {safety.position === undefined ? (
            <p class="hint">The service proves no log to this device yet.</p>
          ) : (
            <>
              <h4>Log, up to entry {safety.position.seq}</h4>
              <Fingerprint label="Fingerprint of the log" bytes={safety.position.chain} />
              <Agreed safety={safety} members={conversation.members} />
            </>
          )}
        </>
      )}
    </section>
  );
}

/** Digits in groups, four groups in a row, for reading aloud. */
function Fingerprint({ label, bytes }: { readonly label: string; readonly bytes: string }): JSX.Element {
  return (
    <p class="fingerprint-box" role="group" aria-label={label}>
      <span class="fingerprint">
        {fingerprintGroups(bytes).map((group, index) => (
          <span key={index}>{group}</span>
        ))}
      </span>
    </p>
  );
}

/** How far the other devices have stated to have read the same log. */
function Agreed({
  safety,
  members,
}: {
  readonly safety: Safety;
  readonly members: readonly ChatMember[];
}): JSX.Element | null {
  const others = members.flatMap(({ user, devices }) =>
    devices.filter((device) => device !== safety.device).map((device) => ({ user, device })),
  );
  if (others.length === 0) return null;
  const agreed = new Map(Object.entries(safety.agreed));
  return (
    <>
      <h4>What the others have said</h4>
      <p class="hint">With each message a device says which log it has read. Yours checks it.</p>
      <ul>
        {others.map(({ user, device }) => {
          const seq = agreed.get(device);
          return (
            <li key={device} class="device">
              <span class="long-text">
                <bdi>{user}</bdi> <code class="hint">{shortKey(device)}</code>
              </span>
              <span class="hint">{seq === undefined ? 'nothing yet' : `the same up to entry ${seq}`}</span>
            </li>
          );
        })}
      </ul>
    </>
  );
}
