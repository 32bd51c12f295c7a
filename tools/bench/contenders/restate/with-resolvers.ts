// Restate's SDK is written for Node 22, which has `Promise.withResolvers`. On Node 20 it is defined here; nothing else is missing.

if (!('withResolvers' in Promise)) {
  Object.defineProperty(Promise, 'withResolvers', {
    value: <T>() => {
      let settle: { resolve: (value: T) => void; reject: (reason: unknown) => void } | undefined;
      const promise = new Promise<T>((resolve, reject) => {
        settle = { resolve, reject };
      });
      return { promise, ...settle };
    },
  });
}
