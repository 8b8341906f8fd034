package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tenantry/tenantry/internal/health"
)

// nearLimit is how many percent of the tables that an account may have are a worry.
const nearLimit = 80

// A TableLister is what Headroom uses of *dynamodb.Client.
type TableLister interface {
	ListTables(context.Context, *dynamodb.ListTablesInput, ...func(*dynamodb.Options)) (*dynamodb.ListTablesOutput, error)
}

// Headroom finds out whether DynamoDB answers, and how near the account is to the
// number of tables that it may have: each dedicated tenant has one.
type Headroom struct {
	table *Table
	db    TableLister
	limit int
}

// NewHeadroom returns the headroom of an account that may have as many tables as
// limit says.
func NewHeadroom(table *Table, db TableLister, limit int) *Headroom {
	return &Headroom{table, db, limit}
}

// Probe is a health.Probe.
func (h *Headroom) Probe(ctx context.Context) (health.Finding, error) {
	if err := h.table.Ping(ctx); err != nil {
		return health.Finding{}, err
	}
	tables := 0
	pages := dynamodb.NewListTablesPaginator(h.db, &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return health.Finding{}, fmt.Errorf("list tables: %w", err)
		}
		tables += len(page.TableNames)
	}
	if tables*100 >= h.limit*nearLimit {
		return health.Finding{Worry: fmt.Sprintf("the account has %d of %d tables", tables, h.limit)}, nil
	}
	return health.Finding{}, nil
}
