import { CfnOutput, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { CfnSecret, type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

export interface BotSecretProps {
  readonly secretName: string;
  /** ARN of a secret that exists, with the fields `token` and `publicKey`. @default an empty one is created and kept */
  readonly importedArn?: string | undefined;
  /** Key that encrypts it. @default the key that Secrets Manager has, which asks for no rights */
  readonly importedKey?: IKey | undefined;
}

/** The bot's credentials at Discord. No template ever holds their values. */
export class BotSecret extends Construct {
  readonly secret: ISecret;

  constructor(scope: Construct, id: string, { secretName, importedArn, importedKey }: BotSecretProps) {
    super(scope, id);
    if (importedArn !== undefined) {
      this.secret = Secret.fromSecretAttributes(this, 'Imported', {
        secretCompleteArn: importedArn,
        ...(importedKey && { encryptionKey: importedKey }),
      });
      return;
    }
    // The L2 construct writes a random first value, and a later change of its properties would write over the token.
    const created = new CfnSecret(this, 'Secret', {
      name: secretName,
      description: 'Discord bot of this fleet: {"token": "...", "publicKey": "..."}. Put the value in by hand.',
    });
    // Kept, but for a first deployment that fails: the next one would stumble over its name.
    created.applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
    Validations.of(created).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SMG4',
      reason: 'Discord has no API that rotates a bot token: it is reset by hand in the developer portal.',
    });
    this.secret = Secret.fromSecretCompleteArn(this, 'Created', created.ref);
    new CfnOutput(this, 'PutTheToken', {
      description: 'Run once, before the workers may start',
      value: `aws secretsmanager put-secret-value --secret-id ${secretName} --secret-string '{"token":"...","publicKey":"..."}'`,
    });
  }

  /** Lets `grantee` read the value, which is all that a program needs. */
  grantRead(grantee: IGrantable): void {
    Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:GetSecretValue'],
      resourceArns: [this.secret.secretArn],
    });
    this.secret.encryptionKey?.grantDecrypt(grantee);
  }
}
