// What this connector uses of the host's interfaces; wit/deps/ has all of them.

declare module 'wasi:cli/environment@0.2.12' {
  export function getEnvironment(): [string, string][];
}

declare module 'wasi:cli/stderr@0.2.12' {
  export function getStderr(): { blockingWriteAndFlush(bytes: Uint8Array): void };
}

declare module 'wasi:clocks/monotonic-clock@0.2.12' {
  export function now(): bigint;
  export function subscribeDuration(nanoseconds: bigint): { block(): void };
}

declare module 'wasi:clocks/wall-clock@0.2.12' {
  export function now(): { seconds: bigint; nanoseconds: number };
}

declare module 'wasi:filesystem/preopens@0.2.12' {
  import type { Descriptor } from 'wasi:filesystem/types@0.2.12';
  export function getDirectories(): [Descriptor, string][];
}

declare module 'wasi:filesystem/types@0.2.12' {
  export interface Descriptor {
    openAt(
      path: { symlinkFollow?: boolean },
      name: string,
      open: { create?: boolean; truncate?: boolean },
      access: { read?: boolean; write?: boolean },
    ): Descriptor;
    write(bytes: Uint8Array, offset: bigint): bigint;
  }
}

declare module 'wasi:http/outgoing-handler@0.2.12' {
  import type { FutureIncomingResponse, OutgoingRequest } from 'wasi:http/types@0.2.12';
  export function handle(request: OutgoingRequest, options: undefined): FutureIncomingResponse;
}

declare module 'wasi:http/types@0.2.12' {
  export type ErrorCode = { tag: string };
  export class Fields {
    get(name: string): Uint8Array[];
  }
  export class OutgoingRequest {
    constructor(headers: Fields);
    setScheme(scheme: { tag: 'HTTP' | 'HTTPS' }): void;
    setAuthority(authority: string): void;
    setPathWithQuery(path: string): void;
  }
  export interface IncomingResponse {
    status(): number;
    headers(): Fields;
    consume(): { stream(): { blockingRead(bytes: bigint): Uint8Array } };
  }
  export interface FutureIncomingResponse {
    subscribe(): { block(): void };
    get(): { val: { tag: 'ok'; val: IncomingResponse } | { tag: 'err'; val: ErrorCode } } | undefined;
  }
}

// Part of JavaScript since 2025.
interface JSON {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): any;
  rawJSON(text: string): unknown;
}

// Of the web, what the engine of the component has.
declare class URL {
  constructor(url: string, base?: string);
  href: string;
  protocol: string;
  host: string;
  pathname: string;
  search: string;
  searchParams: { set(name: string, value: string): void };
}
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class TextDecoder {
  constructor(encoding?: string, options?: { fatal?: boolean });
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}
