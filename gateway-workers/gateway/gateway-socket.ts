import { WebSocket } from 'ws';

/** What a socket tells; nothing is called before `dial` has returned, and nothing after `onClose`. */
export interface GatewaySocketHandlers {
  onOpen(): void;
  /** `data` is never written to again. */
  onMessage(data: Buffer, isBinary: boolean): void;
  /** `onClose` follows. */
  onError(error: Error): void;
  /** 1005 without a code, 1006 for a connection that was cut or never came up. */
  onClose(code: number, reason: string): void;
}

/** The part of a WebSocket that a gateway connection needs, so that a simulation can put its own in place. */
export interface GatewaySocket {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Cuts the connection without a closing handshake. */
  terminate(): void;
  /** Stops reading from the network. Messages of the data read already still arrive. */
  pause(): void;
  resume(): void;
}

export type DialGateway = (url: string, handlers: GatewaySocketHandlers) => GatewaySocket;

/** A message above this is a fault of the peer; the largest real ones have some megabytes. */
export const maxMessageBytes = 64 * 1024 * 1024;

/** Opens a real socket. Time limits are the caller's. @throws {SyntaxError} for a URL that is none. */
export const dialWebSocket: DialGateway = (url, handlers) => {
  const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: maxMessageBytes });
  socket.on('open', handlers.onOpen);
  // With the default binary type every message is one Buffer.
  socket.on('message', (data, isBinary) => handlers.onMessage(data as Buffer, isBinary));
  socket.on('error', handlers.onError);
  socket.on('close', (code, reason) => handlers.onClose(code, reason.toString()));
  return socket;
};
