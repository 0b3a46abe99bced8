export interface StartOptions {
  readonly json: boolean;
}
export function start(_options: StartOptions): Promise<number> {
  return Promise.resolve(0);
}
