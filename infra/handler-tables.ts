import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { FleetTable } from './fleet-table.ts';

/** What handlers of interactions and their contexts do with the tables: the fleet's is only looked at. */
export function grantHandlerTables(
  grantee: IGrantable,
  { coordination, directory }: { readonly coordination: FleetTable; readonly directory: FleetTable },
): void {
  coordination.table.grant(grantee, 'dynamodb:GetItem', 'dynamodb:Query');
  directory.table.grant(
    grantee,
    'dynamodb:BatchGetItem',
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    'dynamodb:UpdateItem',
  );
}
