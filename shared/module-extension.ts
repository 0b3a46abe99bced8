import { extname } from 'node:path';

/**
 * How the files of this code end: `.ts` in a clone, `.js` in the package, `.mjs` in a bundle. For paths of modules that
 * are started or bundled rather than imported, which no compiler rewrites.
 */
export const moduleExtension = extname(import.meta.filename);
