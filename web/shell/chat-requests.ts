/** What the chat asks the service for. An operator's view of the service, files and the control server are not cut. */
export function isOfTheChat(url: URL, origin: string): boolean {
  return url.origin === origin && url.pathname.startsWith('/v1/') && !url.pathname.startsWith('/v1/admin/');
}
