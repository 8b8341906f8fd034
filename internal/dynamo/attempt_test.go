package dynamo_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/internal/attempt"
	"github.com/tenantry/tenantry/internal/dynamo"
)

func TestAttempts(t *testing.T) {
	t.Parallel()
	db, name := newRawTable(t)
	attempts := dynamo.NewAttempts(dynamo.NewTable(db, name))
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first := attempt.Window{Start: start, End: start.Add(time.Minute)}
	second := attempt.Window{Start: first.End, End: first.End.Add(time.Minute)}
	count := func(k attempt.Key, w attempt.Window) int {
		t.Helper()
		n, err := attempts.Count(t.Context(), k, w)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	// At the same time, each gets another number.
	const crowd = 20
	numbers := make([]int, crowd)
	var g errgroup.Group
	for i := range crowd {
		g.Go(func() (err error) {
			numbers[i], err = attempts.Count(t.Context(), "a", first)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("got the numbers %v", numbers)
		}
	}

	// A window that is still there counts for nothing in the next.
	if got := []int{count("a", first), count("b", first), count("a", second), count("a", second)}; !slices.Equal(got, []int{crowd + 1, 1, 1, 2}) {
		t.Errorf("got %v", got)
	}
	out, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != 3 {
		t.Errorf("there are %d items, want one for each count and window", len(out.Items))
	}
	for _, item := range out.Items {
		expires := item["expires_at"].(*types.AttributeValueMemberN).Value
		if expires != strconv.FormatInt(first.End.Add(time.Minute).Unix(), 10) && expires != strconv.FormatInt(second.End.Add(time.Minute).Unix(), 10) {
			t.Errorf("%v expires at %s", item, expires)
		}
	}
}
