import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { tableKey, timeToLiveAttribute } from '../shared/fleet-resources.ts';

export interface FleetTableProps {
  readonly tableName: string;
  /** Key that encrypts the table. @default a key that DynamoDB owns, at no charge */
  readonly encryptionKey?: IKey | undefined;
  /** What happens to the table when it leaves the stack. @default it is kept, and protected from being deleted */
  readonly removalPolicy?: RemovalPolicy | undefined;
}

/** What DynamoDB does with the key of a table, and does in the name of whoever asks for an item. */
const keyActions = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

/** One of the fleet's tables: coordination (leases, checkpoints, the identify gate) or directory (guilds, marks). */
export class FleetTable extends Construct {
  readonly table: TableV2;
  readonly #encryptionKey: IKey | undefined;

  constructor(scope: Construct, id: string, props: FleetTableProps) {
    super(scope, id);
    const { tableName, encryptionKey, removalPolicy = RemovalPolicy.RETAIN } = props;
    this.#encryptionKey = encryptionKey;
    this.table = new TableV2(this, 'Table', {
      tableName,
      partitionKey: { name: tableKey.partition, type: AttributeType.STRING },
      sortKey: { name: tableKey.sort, type: AttributeType.STRING },
      timeToLiveAttribute,
      billing: Billing.onDemand(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: encryptionKey
        ? TableEncryptionV2.customerManagedKey(encryptionKey)
        : TableEncryptionV2.dynamoOwnedKey(),
      deletionProtection: removalPolicy === RemovalPolicy.RETAIN,
      removalPolicy,
    });
  }

  /** Lets `grantee` do `actions` with any item, and use the key of the table where it has one. */
  grant(grantee: IGrantable, ...actions: string[]): void {
    this.table.grant(grantee, ...actions);
    this.#encryptionKey?.grant(grantee, ...keyActions);
  }

  /** The same with items alone whose partition key is like `partitions`, e.g. `REPLY#*`. */
  grantOnPartitions(grantee: IGrantable, partitions: string, ...actions: string[]): void {
    Grant.addToPrincipal({
      grantee,
      actions,
      resourceArns: [this.table.tableArn],
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [partitions] } },
    });
    this.#encryptionKey?.grant(grantee, ...keyActions);
  }
}
