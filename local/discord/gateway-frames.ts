/** Control frames in the forms that live connections show. */
function control(op: number, d: string): Buffer {
  return Buffer.from(`{"t":null,"s":null,"op":${op},"d":${d}}`);
}

export function helloFrame(heartbeatIntervalMs: number): Buffer {
  const trace = '["[\\"gateway-sim\\",{\\"micros\\":0.0}]"]';
  return control(10, `{"heartbeat_interval":${heartbeatIntervalMs},"_trace":${trace}}`);
}

export const heartbeatAckFrame = control(11, 'null');
export const heartbeatRequestFrame = control(1, 'null');
export const reconnectFrame = control(7, 'null');
export const resumableInvalidSessionFrame = control(9, 'true');
export const finalInvalidSessionFrame = control(9, 'false');

/** A dispatch whose `d` is the JSON text `body`. */
export function dispatchFrame(type: string, seq: number, body: string): Buffer {
  return Buffer.from(`{"t":"${type}","s":${seq},"op":0,"d":${body}}`);
}
