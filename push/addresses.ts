import { type LookupAddress, type LookupOptions, lookup as dnsLookup } from 'node:dns';
import { BlockList, type LookupFunction, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Which addresses the service may send wake-ups to. Users give the endpoints, and names can point anywhere, so an address is judged
 * when it is connected to: what this look-up returns is what the socket uses.
 */
export interface Addresses {
  /** @param address an IPv4 or IPv6 address */
  readonly isAllowed: (address: string) => boolean;
  /** For `lookup` of a connection. Fails with {@link ForbiddenAddressError} if a name has forbidden addresses only. */
  readonly lookup: LookupFunction;
}

/** The host has no address that wake-ups may go to. */
export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
}

/**
 * Public addresses are allowed: what is private, loopback, link-local, reserved or translated is not.
 * @param also networks (CIDR) that are allowed too
 */
export function makeAddresses(also: readonly string[]): Addresses {
  const networks = new BlockList();
  for (const network of also) {
    const [address = '', prefix] = network.split('/');
    networks.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  const isAllowed = (address: string): boolean => {
    // `process` unpacks IPv4 addresses that are written as IPv6.
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return isPublic(parsed) || networks.check(parsed.toString(), parsed.kind());
  };
  const lookup = (
    host: string,
    options: LookupOptions,
    callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
  ): void => {
    dnsLookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      const allowed = found.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (first === undefined) return callback(new ForbiddenAddressError('no address that is allowed'), []);
      if (options.all === true) return callback(null, allowed);
      callback(null, first.address, first.family);
    });
  };
  return { isAllowed, lookup };
}

/** The IP address that is the host of a URL, where it is no name. @param hostname as `URL` has it: IPv6 in brackets */
export function addressIn(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

/** The only IPv6 addresses that are given out (RFC 4291 §2.4). Others may stand for IPv4 addresses (`::127.0.0.1`). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return address.range() === 'unicast' && (address instanceof ipaddr.IPv4 || address.match(GLOBAL_IPV6));
}
