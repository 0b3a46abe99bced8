import type { Directory } from '../../shared/directory/directory.ts';

/** Reads of the entity projection that the fleet folds from its events. */
export type DirectoryAccess = { [Read in keyof Directory]: Directory[Read] };
