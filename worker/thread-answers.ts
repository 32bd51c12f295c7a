import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** Asks the threads for workflow code whether they work: each has a channel of its own, beside the one of the SDK. */
export interface ThreadAnswers {
  /** Makes the channel of one more thread. @returns the port for the thread (`answerPings`) */
  readonly addThread: () => MessagePort;
  /** Forgets all threads: they did not start. */
  readonly clear: () => void;
  /**
   * Asks every thread now. A thread that computes, stands still or has ended does not answer.
   * @param withinMs time for the answers, in milliseconds
   * @returns whether all threads answered; false if there is none
   */
  readonly ask: (withinMs: number) => Promise<boolean>;
}

/** Starts without threads. */
export function makeThreadAnswers(): ThreadAnswers {
  const ports = new Set<MessagePort>();
  let asked = 0;
  return {
    addThread: () => {
      const { port1, port2 } = new MessageChannel();
      // Neither side keeps its thread alive.
      port1.unref();
      ports.add(port1);
      return port2;
    },
    clear: () => {
      for (const port of ports) port.close();
      ports.clear();
    },
    ask: async (withinMs) => {
      const question = ++asked;
      const answers = await Promise.all([...ports].map((port) => answerOf(port, question, withinMs)));
      return answers.length > 0 && answers.every(Boolean);
    },
  };
}

function answerOf(port: MessagePort, question: number, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isAnswered: boolean): void => {
      clearTimeout(timer);
      port.off('message', onMessage);
      resolve(isAnswered);
    };
    const timer = setTimeout(() => end(false), withinMs);
    // An answer to an earlier question says nothing about now.
    const onMessage = (answer: unknown): void => {
      if (answer === question) end(true);
    };
    port.on('message', onMessage);
    port.unref();
    port.postMessage(question);
  });
}

/** In the thread: answers from its event loop, which runs only between two pieces of workflow code. */
export function answerPings(port: MessagePort): void {
  port.on('message', (question: unknown) => port.postMessage(question));
  port.unref();
}
