import { useEffect, useState } from 'preact/hooks';
import type { ChatConversation, Safety } from '../../client/index.ts';
import type { ChatModel } from './chat-model.ts';

/** What two people compare, as it is now; undefined until it is known. */
export function useSafety(model: ChatModel, { id }: ChatConversation): Safety | undefined {
  const [safety, setSafety] = useState<Safety | undefined>(undefined);
  const messages = model.messages.value;
  const state = model.state.value;
  useEffect(() => {
    let isLatest = true;
    model.session.chat.safety(id).then(
      (found) => isLatest && setSafety(found),
      () => undefined,
    );
    return () => void (isLatest = false);
    // It moves with each entry and each commit.
  }, [model, id, messages, state]);
  return safety;
}
