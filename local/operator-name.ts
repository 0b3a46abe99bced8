import { userInfo } from 'node:os';

/** Who is at this machine, for the entries of what was done from it. */
export function operatorName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under an id without a name.
    return 'local';
  }
}
