import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { bundleProgram, type HandlerLists, repositoryRoot } from './bundle.ts';
import { stagingFolder } from './staging-folder.ts';

const dockerfile = 'gateway-workers/Dockerfile';
const staged = new Map<HandlerLists, string>();

/**
 * The workers' image, built from the bundled program alone: nothing runs while it is built, so any machine builds it for
 * arm64, and its hash changes with the program and the Dockerfile only.
 */
export function workerImage(lists: HandlerLists): ContainerImage {
  return ContainerImage.fromAsset(stagedFolder(lists), { target: 'bundled', platform: Platform.LINUX_ARM64 });
}

function stagedFolder(lists: HandlerLists): string {
  const known = staged.get(lists);
  if (known !== undefined) return known;
  const folder = stagingFolder();
  copyFileSync(join(repositoryRoot, dockerfile), join(folder, 'Dockerfile'));
  bundleProgram('worker', join(folder, 'worker.mjs'), lists);
  staged.set(lists, folder);
  return folder;
}
