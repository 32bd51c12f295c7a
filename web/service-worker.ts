// The service worker of /app/. It is here for push messages.
export {};
