import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
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

/** One of the fleet's tables: coordination (leases, checkpoints, the identify gate) or directory (guilds, marks). */
export class FleetTable extends Construct {
  readonly table: TableV2;

  constructor(scope: Construct, id: string, props: FleetTableProps) {
    super(scope, id);
    const { tableName, encryptionKey, removalPolicy = RemovalPolicy.RETAIN } = props;
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
}
