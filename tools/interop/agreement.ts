import type { InteropDevice } from './device.ts';
import { OtherDevice } from './other-device.ts';

/**
 * All members read the log to its end, until nothing new comes.
 * @returns one line for each thing that they do not agree on
 */
export async function disagreements(devices: readonly InteropDevice[]): Promise<string[]> {
  let before = '';
  for (let round = 0; round < 20; round++) {
    await Promise.all(devices.map((device) => device.sync()));
    const views = await viewsOf(devices);
    const now = JSON.stringify([...views.values()].map(({ position, epoch }) => [position, epoch]));
    if (now === before) break;
    before = now;
  }
  const views = await viewsOf(devices);
  const problems: string[] = [];
  for (const what of ['position', 'epoch', 'authenticator', 'users'] as const) {
    const values = new Map([...views].map(([name, view]) => [name, JSON.stringify(view[what])]));
    if (new Set(values.values()).size > 1) {
      problems.push(`${what}: ${[...values].map(([name, value]) => `${name} ${value}`).join(', ')}`);
    }
  }
  for (const device of devices) if (device instanceof OtherDevice) problems.push(...device.unreadable);
  return problems;
}

async function viewsOf(
  devices: readonly InteropDevice[],
): Promise<Map<string, Awaited<ReturnType<InteropDevice['view']>>>> {
  const members = devices.filter(({ isIn }) => isIn);
  return new Map(await Promise.all(members.map(async (device) => [device.name, await device.view()] as const)));
}

/** Each member sends one message. @returns one line for each text that a member did not read */
export async function unreadTexts(devices: readonly InteropDevice[], mark: string): Promise<string[]> {
  const texts: string[] = [];
  for (const device of devices) {
    // What is pending is committed before the first message, and may remove members.
    if (!(await isMember(device))) continue;
    const text = `${mark} ${device.name}`;
    try {
      await device.send(text);
      texts.push(text);
    } catch (error) {
      if (await isMember(device)) return [`${device.name} cannot send: ${String(error)}`];
    }
  }
  for (const device of devices) await device.sync();
  return devices
    .filter(({ isIn }) => isIn)
    .flatMap((member) =>
      texts.filter((text) => !member.texts.includes(text)).map((text) => `${member.name} did not read "${text}"`),
    );
}

async function isMember(device: InteropDevice): Promise<boolean> {
  await device.sync();
  return device.isIn;
}
