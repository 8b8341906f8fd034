package dynamo

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenantry/tenantry/internal/agent"
	"github.com/tenantry/tenantry/internal/apikey"
	"github.com/tenantry/tenantry/internal/attempt"
	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/call"
	"github.com/tenantry/tenantry/internal/directory"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/impersonation"
	"github.com/tenantry/tenantry/internal/opaque"
	"github.com/tenantry/tenantry/internal/operation"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
	"github.com/tenantry/tenantry/internal/user"
)

// A key is the primary key of an item. Every item embeds one.
//
//	item                   pk                              sk
//	tenant                 TENANT#<id>                     TENANT
//	its counters           TENANT#<id>                     TENANT#COUNTERS  beside it, so that one read has both
//	operation running      TENANT#<id>                     OPERATION
//	agent                  TENANT#<id>                     AGENT#<id>    where the tenant keeps what is its own
//	page of its users      TENANT#<id>                     ROSTER#<page>
//	call                   TENANT#<id>                     CALL#<id>
//	its calls of a day     TENANT#<id>                     DAY#<yyyy-mm-dd>
//	its use in a month     TENANT#<id>                     USAGE#<yyyy-mm>
//	plan that it got       TENANT#<id>                     PLAN#<time>
//	usage events seen      SEEN#<tenant id>#<minute>#<source>  <page>
//	one where they are many  SEEN#<tenant id>#<minute>#<source>  EVENT#<hash>
//	slug                   SLUG#<slug>                     SLUG          reserves the slug
//	e-mail                 EMAIL#<folded e-mail>           EMAIL         reserves the e-mail
//	SIP domain             SIPDOMAIN#<domain>              SIPDOMAIN     reserves the domain
//	user                   USER#<id>                       USER
//	operation              OPERATION#<id>                  OPERATION
//	account to be removed  ACCOUNT#<user id>               ACCOUNT
//	idempotency record     IDEMPOTENCY#<caller>#<route>#<key>  IDEMPOTENCY
//	search entry           PREFIX#<first two characters>   <folded name or slug>\x00<tenant id>
//	directory's counter    DIRECTORY                       COUNTER
//	changes not counted    DIRECTORY#COUNTS                CHANGE#<n>
//	counts of tenants      DIRECTORY#COUNTS                ROOT
//	of a million           DIRECTORY#COUNTS                BRANCH        the oldest
//	of a million           DIRECTORY#BRANCH#<branch>       BRANCH        any others
//	statuses of 4096       DIRECTORY#LEAF#<leaf>           LEAF
//	service's key          KEY#<hash of the token>         KEY
//	id of such a key       KEYID#<id>                      KEYID         leads to the hash
//	impersonation          IMPERSONATION#<id>              IMPERSONATION
//	token of one           IMPERSONATION-TOKEN#<hash>      IMPERSONATION-TOKEN  leads to the id
//	attempts in a window   ATTEMPT#<hash of who tries what>  <start of the window>
//	audit record           AUDIT#<tenant id or PLATFORM>   <time>#<id>
//	report of health       HEALTH                          LATEST, REPORT#<time>
//	that one is made       HEALTH                          CLAIM
//	that was swept         HEALTH                          SWEPT
//	head of their chain    AUDIT#<tenant id or PLATFORM>   HEAD
type key struct {
	PK string `dynamodbav:"pk"`
	SK string `dynamodbav:"sk"`
}

// name returns what the item is of: the part of its partition key after the
// first word.
func (k key) name() string {
	_, name, _ := strings.Cut(k.PK, "#")
	return name
}

func tenantKey(id identity.TenantID) key   { return key{"TENANT#" + string(id), "TENANT"} }
func countersKey(id identity.TenantID) key { return key{"TENANT#" + string(id), "TENANT#COUNTERS"} }
func runningKey(id identity.TenantID) key  { return key{"TENANT#" + string(id), "OPERATION"} }
func slugKey(slug string) key              { return key{"SLUG#" + slug, "SLUG"} }
func emailKey(email string) key            { return key{"EMAIL#" + user.FoldEmail(email), "EMAIL"} }
func sipDomainKey(domain string) key       { return key{"SIPDOMAIN#" + domain, "SIPDOMAIN"} }
func userKey(id identity.UserID) key       { return key{"USER#" + string(id), "USER"} }
func operationKey(id operation.ID) key     { return key{"OPERATION#" + string(id), "OPERATION"} }
func rejectedKey(id identity.UserID) key   { return key{"ACCOUNT#" + string(id), "ACCOUNT"} }

// How the sort keys of what belongs to a tenant begin.
const (
	agentsOf = "AGENT#"
	rosterOf = "ROSTER#" // the pages of its users
	callsOf  = "CALL#"
	daysOf   = "DAY#"
	monthsOf = "USAGE#"
	plansOf  = "PLAN#"
)

func agentKey(tenantID identity.TenantID, id agent.ID) key {
	return key{"TENANT#" + string(tenantID), agentsOf + string(id)}
}

func callKey(tenantID identity.TenantID, id call.ID) key {
	return key{"TENANT#" + string(tenantID), callsOf + string(id)}
}

func dayKey(id identity.TenantID, day string) key {
	return key{"TENANT#" + string(id), daysOf + day}
}

func monthKey(id identity.TenantID, month usage.Month) key {
	return key{"TENANT#" + string(id), monthsOf + string(month)}
}

func planKey(id identity.TenantID, since time.Time) key {
	return key{"TENANT#" + string(id), plansOf + sortable(since)}
}

// seenKey is where events of a source and minute are that were counted.
func seenKey(id identity.TenantID, p usage.Page, page int) key {
	return key{"SEEN#" + string(id) + "#" + strconv.FormatInt(p.Minute, 10) + "#" + p.Source, fmt.Sprintf("%04d", page)}
}

// eventOf begins the sort keys of events that are not on a page. They sort after the
// pages.
const eventOf = "EVENT#"

// apartKey is where an event is that was counted when there were pages enough.
func apartKey(id identity.TenantID, p usage.Page, hash usage.Hash) key {
	return key{seenKey(id, p, 0).PK, eventOf + hex.EncodeToString(hash[:])}
}

func apiKeyKey(hash opaque.Hash) key { return key{"KEY#" + string(hash), "KEY"} }
func apiKeyIDKey(id apikey.ID) key   { return key{"KEYID#" + string(id), "KEYID"} }
func impersonationKey(id impersonation.ID) key {
	return key{"IMPERSONATION#" + string(id), "IMPERSONATION"}
}

func impersonationTokenKey(hash opaque.Hash) key {
	return key{"IMPERSONATION-TOKEN#" + string(hash), "IMPERSONATION-TOKEN"}
}

func attemptKey(k attempt.Key, start time.Time) key {
	return key{"ATTEMPT#" + string(k), sortable(start)}
}

func rosterKey(id identity.TenantID, page int64) key {
	return key{"TENANT#" + string(id), fmt.Sprintf("%s%017d", rosterOf, page)}
}

func recordKey(s idempotency.Scope) key {
	return key{"IDEMPOTENCY#" + s.Caller + "#" + s.Route + "#" + s.Key, "IDEMPOTENCY"}
}

// maxSearchText is how many bytes of a text are in the key of its search entry.
// DynamoDB takes 1024, and the tenant's id stands behind the text.
const maxSearchText = 960

// searchKey is where a tenant is found by the beginning of a text, its name or
// its slug. What ends the text sorts before all that a longer text goes on with.
func searchKey(text string, id identity.TenantID) key {
	folded := tenant.Fold(text)
	return key{searchPartition(folded), searchText(folded) + "\x00" + string(id)}
}

// searchText returns as much of a folded text as is in a key.
func searchText(folded string) string { return cutText(folded, maxSearchText) }

// cutText returns a text of at most so many bytes: the beginning of text, in whole
// characters.
func cutText(text string, most int) string {
	end := min(len(text), max(0, most))
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// searchPartition is where all entries are whose text begins with the first two
// characters of a folded text.
func searchPartition(folded string) string {
	end := 0
	for range 2 {
		_, size := utf8.DecodeRuneInString(folded[end:])
		end += size
	}
	return "PREFIX#" + folded[:end]
}

// bucketSize is how many numbers share a partition of the index directory, and
// statusGroupSize how many share one of the index status, for each status. A page
// of a status that few have is in few partitions where these are large.
const (
	bucketSize      = directory.LeafSize
	statusGroupSize = 16 * directory.LeafSize
)

func directoryCounterKey() key { return key{"DIRECTORY", "COUNTER"} }

// countsPartition holds what every list of tenants begins with, so that one request
// reads it.
const (
	countsPartition = "DIRECTORY#COUNTS"
	changesOf       = "CHANGE#"
)

func changeKey(n int64) key { return key{countsPartition, fmt.Sprintf("%s%012d", changesOf, n)} }
func rootKey() key          { return key{countsPartition, "ROOT"} }
func leafKey(leaf int64) key {
	return key{"DIRECTORY#LEAF#" + strconv.FormatInt(leaf, 10), "LEAF"}
}

func branchKey(branch int64) key {
	if branch == 0 {
		return key{countsPartition, "BRANCH"}
	}
	return key{"DIRECTORY#BRANCH#" + strconv.FormatInt(branch, 10), "BRANCH"}
}

func statusGroup(status tenant.Status, n int64) string {
	return string(status) + "#" + strconv.FormatInt(n/statusGroupSize, 10)
}

const healthPartition = "HEALTH"

func latestReportKey() key       { return key{healthPartition, "LATEST"} }
func reportKey(at time.Time) key { return key{healthPartition, "REPORT#" + sortable(at)} }
func claimKey() key              { return key{healthPartition, "CLAIM"} }
func sweptKey() key              { return key{healthPartition, "SWEPT"} }

// platform stands for a tenant where something belongs to none.
const platform = "PLATFORM"

// auditKey is where the record of a tenant, or of the platform, is.
func auditKey(r audit.Record) key {
	return key{auditPartition(r.Stream()), inTime(r.Time, r.ID)}
}

// auditHeadKey is where the end of a stream's chain is. It sorts after the records.
func auditHeadKey(s audit.Stream) key { return key{auditPartition(s), "HEAD"} }

func auditPartition(s audit.Stream) string {
	return "AUDIT#" + cmp.Or(string(s.TenantID()), platform)
}

// auditStream returns the stream that has the key in its partition.
func auditStream(k key) audit.Stream {
	if k.name() == platform {
		return audit.Platform
	}
	return audit.Stream(k.name())
}

// auditHour is a partition of the index tenant that holds records of an hour, of all
// tenants. There is one for each shard, since every change of all tenants writes to
// one of them.
func auditHour(t time.Time, shard int) string {
	return "AUDIT#" + t.UTC().Format("2006-01-02T15") + "#" + strconv.Itoa(shard)
}

// The index tenant holds what belongs to a tenant and is no item of its
// partition.
func usersOf(id identity.TenantID) string      { return "TENANT#" + string(id) + "#USER" }
func operationsOf(id identity.TenantID) string { return "TENANT#" + string(id) + "#OPERATION" }
func liveCallsOf(id identity.TenantID) string  { return "TENANT#" + string(id) + "#CALL" }

// The platform's own lists in the index tenant.
const (
	apiKeys        = platform + "#KEY"
	impersonations = platform + "#IMPERSONATION"
)

// inTime sorts an item of the index tenant by when it came about.
func inTime(t time.Time, id string) string { return sortable(t) + "#" + id }

// shards is over how many partitions an index spreads what would be one.
const shards = 8

// The index due holds work that is to be looked at, in shards.
const (
	dueOperation = "operation"
	dueAccount   = "account"
	dueAudit     = "audit"
	dueInvited   = "invitation"
	dueCall      = "call"
)

func dueKey(kind string, shard int) string { return "DUE#" + kind + "#" + strconv.Itoa(shard) }

// shardOf spreads items over the shards of an index.
func shardOf(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash does not fail
	return int(h.Sum32() % shards)
}

const sortableTime = "2006-01-02T15:04:05.000Z"

// sortable writes a time so that texts sort as times do.
func sortable(t time.Time) string { return t.UTC().Format(sortableTime) }

// timeOf returns the time that a text from sortable or inTime begins with.
func timeOf(text string) time.Time {
	t, _ := time.Parse(sortableTime, text[:min(len(text), len(sortableTime))]) // what we wrote can be read
	return t
}
