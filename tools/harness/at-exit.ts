const actions: (() => void)[] = [];

function runAll(): void {
  for (let action = actions.pop(); action !== undefined; action = actions.pop()) action();
}

/**
 * Has something done when this process exits, also by Ctrl-C or an error; the newest first. One listener for all: Node warns
 * of more than ten.
 * @returns takes it back
 */
export function atExit(action: () => void): () => void {
  if (actions.length === 0) process.once('exit', runAll);
  actions.push(action);
  return () => {
    const place = actions.indexOf(action);
    if (place >= 0) actions.splice(place, 1);
    if (actions.length === 0) process.off('exit', runAll);
  };
}
