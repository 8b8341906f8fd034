package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/idempotency"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/tenant"
	"github.com/tenantry/tenantry/internal/usage"
)

// Tenants is a tenant.Store.
type Tenants struct{ *Table }

// NewTenants returns the tenants kept in table.
func NewTenants(table *Table) *Tenants { return &Tenants{table} }

// Get returns the tenant as it is now, or fault.NotFound.
func (s *Tenants) Get(ctx context.Context, id identity.TenantID) (tenant.Tenant, error) {
	var item tenantItem
	err := s.get(ctx, tenantKey(id), &item)
	if errors.Is(err, errNoItem) {
		return tenant.Tenant{}, tenant.NotFound(id)
	}
	if err != nil {
		return tenant.Tenant{}, err
	}
	return item.tenant(), nil
}

// GetWithUsage returns the tenant as it is now, with what it uses in the month of a
// time, or fault.NotFound. It is one read, and costs half of what two would.
func (s *Tenants) GetWithUsage(ctx context.Context, id identity.TenantID, at time.Time) (tenant.Tenant, usage.Usage, error) {
	k := tenantKey(id)
	if len(k.PK) > maxPartitionKey {
		return tenant.Tenant{}, usage.Usage{}, tenant.NotFound(id)
	}
	in := dynamodb.QueryInput{KeyConditionExpression: new("pk = :pk AND begins_with(sk, :sk)"), ConsistentRead: new(true)}
	items, err := query[tenantOrCounters](ctx, s.Table, in, map[string]any{":pk": k.PK, ":sk": k.SK}, 2)
	if err != nil {
		return tenant.Tenant{}, usage.Usage{}, fmt.Errorf("get tenant %s with its use: %w", id, err)
	}
	var found tenantOrCounters
	for _, item := range items {
		found.tenant, found.counters = cmp.Or(item.tenant, found.tenant), cmp.Or(item.counters, found.counters)
	}
	if found.tenant == nil {
		return tenant.Tenant{}, usage.Usage{}, tenant.NotFound(id)
	}
	counters := cmp.Or(found.counters, new(countersItem)) // which a tenant that is deleted does not have
	return found.tenant.tenant(), counters.counts(id, at).Usage, nil
}

// A tenantOrCounters is one of the items whose sort keys begin as that of a tenant.
type tenantOrCounters struct {
	tenant   *tenantItem
	counters *countersItem
}

// UnmarshalDynamoDBAttributeValue implements attributevalue.Unmarshaler.
func (i *tenantOrCounters) UnmarshalDynamoDBAttributeValue(av types.AttributeValue) error {
	var k key
	if err := attributevalue.Unmarshal(av, &k); err != nil {
		return err
	}
	if k.SK == tenantKey("").SK {
		return attributevalue.Unmarshal(av, &i.tenant)
	}
	return attributevalue.Unmarshal(av, &i.counters)
}

// Update replaces before by after, and moves the reservation of its SIP domain,
// its place in the directory and in searches, and the copies of its limits and
// status with it. It fails with fault.Conflict if the stored version is not that
// of before, and with fault.SIPDomainTaken.
func (s *Tenants) Update(ctx context.Context, before, after tenant.Tenant, r audit.Record) error {
	return s.UpdateOnce(ctx, before, after, r, nil)
}

// UpdateOnce is Update, and remembers an answer unless receipt is nil. It also fails
// with idempotency.ErrRecorded if the receipt is there already.
func (s *Tenants) UpdateOnce(ctx context.Context, before, after tenant.Tenant, r audit.Record, receipt *idempotency.Record) error {
	tx := s.begin()
	if receipt != nil {
		tx.put(newRecordItem(*receipt), idempotency.ErrRecorded)
	}
	tx.replaceTenant(before, after)
	tx.record(r)
	return tx.run(ctx)
}

// replaceTenant adds the writes that a change of a tenant is made of. One that is
// deleted from then on has nothing beside its row and its place in the directory.
func (tx *transaction) replaceTenant(before, after tenant.Tenant) {
	tx.replace(newTenantItem(after), before.Version, fault.New(fault.Conflict, "the tenant was changed by another request meanwhile"))
	tx.countMoved(before, after)
	if after.BillingPlan != before.BillingPlan {
		tx.put(newPlanItem(after, after.UpdatedAt), errLost(after.ID, "plan"))
	}
	tx.moveSIPDomain(before, after)
	if after.Status == tenant.Deleted {
		tx.removeRemains(before)
		return
	}
	tx.updateCounters(before, after)
	tx.moveSearchEntry(before, after)
}

// removeRemains adds the writes that free the slug of a tenant which has no users
// and agents any more, and take it out of searches.
func (tx *transaction) removeRemains(t tenant.Tenant) {
	tx.removeNamed(countersKey(t.ID), "#users = :none AND agents = :none", map[string]any{":none": 0},
		map[string]string{"#users": "users"}, errLost(t.ID, "counters"))
	tx.remove(slugKey(t.Slug), "tenant_id = :t", map[string]any{":t": t.ID}, errLost(t.ID, "slug"))
	for _, entry := range searchItems(t) {
		tx.remove(entry.key, "attribute_exists(pk)", nil, errLost(t.ID, "search entry"))
	}
}

// updateCounters moves the copies of limits, status and policy that transactions on
// the counters check. A tenant is not deleted while calls go on, and has no PCI while
// its agents hold card numbers.
func (tx *transaction) updateCounters(before, after tenant.Tenant) {
	if after.Status == before.Status && after.MaxConcurrentCalls == before.MaxConcurrentCalls &&
		after.MonthlyCallLimit == before.MonthlyCallLimit && after.Limits == before.Limits && after.PCIEnabled == before.PCIEnabled {
		return
	}
	condition, unmet := "attribute_exists(pk)", errLost(after.ID, "counters")
	v := map[string]any{
		":s": after.Status, ":calls": after.MaxConcurrentCalls,
		":monthly": after.MonthlyCallLimit, ":agents": after.Limits.MaxAgents,
		":contacts": after.Limits.MaxContacts, ":messages": after.Limits.MaxMessagesMonth,
		":pci": after.PCIEnabled,
	}
	if after.Status == tenant.Deleting {
		condition, unmet, v[":none"] = "active_calls = :none", errCallsLive, 0
	}
	if after.PCIEnabled && !before.PCIEnabled {
		condition, unmet, v[":none"] = "card_agents = :none", errTenantChanged, 0
	}
	tx.updateIf(countersKey(after.ID),
		"SET #s = :s, max_concurrent_calls = :calls, monthly_call_limit = :monthly, max_agents = :agents, "+
			"max_contacts = :contacts, max_messages_month = :messages, pci_enabled = :pci",
		condition, v, map[string]string{"#s": "status"}, unmet)
}

// AgentsWithCards returns how many agents of a tenant hold a card number in their
// meta_data.
func (s *Tenants) AgentsWithCards(ctx context.Context, id identity.TenantID) (int, error) {
	var counters countersItem
	if err := s.get(ctx, countersKey(id), &counters); err != nil && !errors.Is(err, errNoItem) {
		return 0, fmt.Errorf("count the agents of tenant %s: %w", id, err)
	}
	return counters.CardAgents, nil
}

// checkStatus requires that a tenant still has the status of t.
func (tx *transaction) checkStatus(t tenant.Tenant, changed error) {
	tx.check(countersKey(t.ID), "#s = :s", map[string]any{":s": t.Status}, map[string]string{"#s": "status"}, changed)
}

func (tx *transaction) moveSIPDomain(before, after tenant.Tenant) {
	if text(before.SIPDomain) == text(after.SIPDomain) {
		return
	}
	if before.SIPDomain != nil {
		tx.remove(sipDomainKey(*before.SIPDomain), "tenant_id = :t", map[string]any{":t": before.ID}, errLost(before.ID, "SIP domain"))
	}
	tx.reserveSIPDomain(after)
}

func (tx *transaction) reserveSIPDomain(t tenant.Tenant) {
	if t.SIPDomain != nil {
		tx.put(reservationItem{key: sipDomainKey(*t.SIPDomain), TenantID: t.ID},
			fault.New(fault.SIPDomainTaken, "the SIP domain %q belongs to another tenant", *t.SIPDomain))
	}
}

// moveSearchEntry moves the entry of a tenant's name. The name may have that of
// the slug, which stays.
func (tx *transaction) moveSearchEntry(before, after tenant.Tenant) {
	slug, from, to := searchKey(after.Slug, after.ID), searchKey(before.Name, before.ID), searchKey(after.Name, after.ID)
	if from == to {
		return
	}
	if from != slug {
		tx.remove(from, "attribute_exists(pk)", nil, errLost(before.ID, "search entry"))
	}
	if to != slug {
		tx.put(nameEntry(after), errLost(after.ID, "search entry"))
	}
}

// errLost says that an item which is written together with a tenant is not as
// that left it. That is a bug.
func errLost(id identity.TenantID, what string) error {
	return errors.New("the " + what + " of tenant " + string(id) + " is not as its last transaction left it")
}

// A tenantItem is a tenant as it is stored. The profile is what lists show, and
// so is in their indexes.
type tenantItem struct {
	key
	Version          int64             `dynamodbav:"version"`
	N                int64             `dynamodbav:"n"`
	Bucket           *int64            `dynamodbav:"bucket,omitempty"` // of all but the deleted
	StatusGroup      string            `dynamodbav:"status_group"`
	Profile          profileItem       `dynamodbav:"profile"`
	MetaData         string            `dynamodbav:"meta_data"`
	Secret           *tenant.SecretRef `dynamodbav:"secret,omitempty"`
	SIPRotatedAt     *time.Time        `dynamodbav:"sip_rotated_at,omitempty"`
	SIPPreviousUntil *time.Time        `dynamodbav:"sip_previous_until,omitempty"`
	Former           *formerItem       `dynamodbav:"former,omitempty"`
}

// A formerItem is what a tenant was that is being deleted.
type formerItem struct {
	Status tenant.Status `dynamodbav:"status"`
	Reason *string       `dynamodbav:"reason,omitempty"`
}

type profileItem struct {
	ID                    identity.TenantID `dynamodbav:"id"`
	Name                  string            `dynamodbav:"name"`
	Slug                  string            `dynamodbav:"slug"`
	Status                tenant.Status     `dynamodbav:"status"`
	StatusReason          *string           `dynamodbav:"status_reason,omitempty"`
	OwnerID               *identity.UserID  `dynamodbav:"owner_id,omitempty"`
	Country               *string           `dynamodbav:"country,omitempty"`
	BillingPlan           tenant.PlanName   `dynamodbav:"billing_plan"`
	MaxConcurrentCalls    int               `dynamodbav:"max_concurrent_calls"`
	MonthlyCallLimit      int               `dynamodbav:"monthly_call_limit"`
	MaxAgents             int               `dynamodbav:"max_agents"`
	MaxContacts           int               `dynamodbav:"max_contacts"`
	MaxMessagesMonth      int               `dynamodbav:"max_messages_month"`
	SIPEnabled            bool              `dynamodbav:"sip_enabled"`
	SIPDomain             *string           `dynamodbav:"sip_domain,omitempty"`
	SIPUsername           *string           `dynamodbav:"sip_username,omitempty"`
	RecordingEnabled      bool              `dynamodbav:"recording_enabled"`
	RecordingFormat       string            `dynamodbav:"recording_format"`
	AnalyticsEnabled      bool              `dynamodbav:"analytics_enabled"`
	HIPAAEnabled          bool              `dynamodbav:"hipaa_enabled"`
	PCIEnabled            bool              `dynamodbav:"pci_enabled"`
	DataEncryptionEnabled bool              `dynamodbav:"data_encryption_enabled"`
	RetentionDays         int               `dynamodbav:"retention_days"`
	WebhookURL            *string           `dynamodbav:"webhook_url,omitempty"`
	WebhookTimeoutSeconds int               `dynamodbav:"webhook_timeout_seconds"`
	Isolation             tenant.Isolation  `dynamodbav:"isolation"`
	Database              *string           `dynamodbav:"database,omitempty"`
	MongoDatabase         *string           `dynamodbav:"mongo_database,omitempty"`
	SchemaVersion         int               `dynamodbav:"schema_version"`
	PurgeAt               *time.Time        `dynamodbav:"purge_at,omitempty"`
	CreatedAt             time.Time         `dynamodbav:"created_at"`
	UpdatedAt             time.Time         `dynamodbav:"updated_at"`
}

func newTenantItem(t tenant.Tenant) tenantItem {
	item := tenantItem{
		key:              tenantKey(t.ID),
		Version:          t.Version,
		N:                t.Number,
		StatusGroup:      statusGroup(t.Status, t.Number),
		Profile:          newProfileItem(t),
		MetaData:         t.MetaData,
		Secret:           t.Secret,
		SIPRotatedAt:     t.SIPRotatedAt,
		SIPPreviousUntil: t.SIPPreviousUntil,
		Former:           (*formerItem)(t.Former),
	}
	if t.Status != tenant.Deleted {
		item.Bucket = new(t.Number / bucketSize)
	}
	return item
}

func newProfileItem(t tenant.Tenant) profileItem {
	return profileItem{
		ID: t.ID, Name: t.Name, Slug: t.Slug, Status: t.Status, StatusReason: t.StatusReason,
		OwnerID: t.OwnerID, Country: t.Country, BillingPlan: t.BillingPlan,
		MaxConcurrentCalls: t.MaxConcurrentCalls, MonthlyCallLimit: t.MonthlyCallLimit,
		MaxAgents: t.Limits.MaxAgents, MaxContacts: t.Limits.MaxContacts, MaxMessagesMonth: t.Limits.MaxMessagesMonth,
		SIPEnabled: t.SIPEnabled, SIPDomain: t.SIPDomain, SIPUsername: t.SIPUsername,
		RecordingEnabled: t.RecordingEnabled, RecordingFormat: t.RecordingFormat, AnalyticsEnabled: t.AnalyticsEnabled,
		HIPAAEnabled: t.HIPAAEnabled, PCIEnabled: t.PCIEnabled, DataEncryptionEnabled: t.DataEncryptionEnabled,
		RetentionDays: t.RetentionDays, WebhookURL: t.WebhookURL, WebhookTimeoutSeconds: t.WebhookTimeoutSeconds,
		Isolation: t.Isolation, Database: t.Database, MongoDatabase: t.MongoDatabase, SchemaVersion: t.SchemaVersion,
		PurgeAt: t.PurgeAt, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

func (i tenantItem) tenant() tenant.Tenant {
	t := i.Profile.tenant()
	t.MetaData, t.Secret, t.Former, t.Number, t.Version = i.MetaData, i.Secret, (*tenant.Former)(i.Former), i.N, i.Version
	t.SIPRotatedAt, t.SIPPreviousUntil = i.SIPRotatedAt, i.SIPPreviousUntil
	return t
}

func (i profileItem) tenant() tenant.Tenant {
	return tenant.Tenant{
		ID: i.ID, Name: i.Name, Slug: i.Slug, Status: i.Status, StatusReason: i.StatusReason,
		OwnerID: i.OwnerID, Country: i.Country, BillingPlan: i.BillingPlan,
		MaxConcurrentCalls: i.MaxConcurrentCalls, MonthlyCallLimit: i.MonthlyCallLimit,
		Limits:     tenant.Limits{MaxAgents: i.MaxAgents, MaxContacts: i.MaxContacts, MaxMessagesMonth: i.MaxMessagesMonth},
		SIPEnabled: i.SIPEnabled, SIPDomain: i.SIPDomain, SIPUsername: i.SIPUsername,
		RecordingEnabled: i.RecordingEnabled, RecordingFormat: i.RecordingFormat, AnalyticsEnabled: i.AnalyticsEnabled,
		HIPAAEnabled: i.HIPAAEnabled, PCIEnabled: i.PCIEnabled, DataEncryptionEnabled: i.DataEncryptionEnabled,
		RetentionDays: i.RetentionDays, WebhookURL: i.WebhookURL, WebhookTimeoutSeconds: i.WebhookTimeoutSeconds,
		Isolation: i.Isolation, Database: i.Database, MongoDatabase: i.MongoDatabase, SchemaVersion: i.SchemaVersion,
		PurgeAt: i.PurgeAt, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
}

// A countersItem counts what a tenant has, beside copies of the limits and the
// status, so that one condition on one item checks them together.
type countersItem struct {
	key
	ActiveCalls        int           `dynamodbav:"active_calls"`
	Agents             int           `dynamodbav:"agents"`
	CardAgents         int           `dynamodbav:"card_agents"` // whose meta_data holds a card number
	Users              int           `dynamodbav:"users"`
	Owners             int           `dynamodbav:"owners"` // who are not disabled
	Status             tenant.Status `dynamodbav:"status"`
	MaxConcurrentCalls int           `dynamodbav:"max_concurrent_calls"`
	MonthlyCallLimit   int           `dynamodbav:"monthly_call_limit"`
	MaxAgents          int           `dynamodbav:"max_agents"`
	MaxContacts        int           `dynamodbav:"max_contacts"`
	MaxMessagesMonth   int           `dynamodbav:"max_messages_month"`
	PCIEnabled         bool          `dynamodbav:"pci_enabled"`

	// The calls that were started in a month, and the threshold of their limit that
	// was told of in it.
	CallsMonth usage.Month     `dynamodbav:"calls_month"`
	MonthCalls int             `dynamodbav:"month_calls"`
	CallsTold  usage.Threshold `dynamodbav:"calls_told"`
	// How many calls were live at once in an hour.
	CallsHour string `dynamodbav:"calls_hour"`
	HourPeak  int    `dynamodbav:"hour_peak"`

	Contacts      int64           `dynamodbav:"contacts"`
	ContactsMonth usage.Month     `dynamodbav:"contacts_month"`
	ContactsTold  usage.Threshold `dynamodbav:"contacts_told"`
	// Copies of the sums of the two latest months, so that one item tells what a tenant
	// uses. A service's clock may be ahead, in a month that has not begun; as even and
	// odd months each have a copy, that leaves the one of the present month alone.
	EvenMonth monthCopy `dynamodbav:"even_month"`
	OddMonth  monthCopy `dynamodbav:"odd_month"`
}

func newCountersItem(t tenant.Tenant) countersItem {
	item := countersItem{
		key: countersKey(t.ID), Status: t.Status,
		MaxConcurrentCalls: t.MaxConcurrentCalls, MonthlyCallLimit: t.MonthlyCallLimit, MaxAgents: t.Limits.MaxAgents,
		MaxContacts: t.Limits.MaxContacts, MaxMessagesMonth: t.Limits.MaxMessagesMonth, PCIEnabled: t.PCIEnabled,
	}
	if t.OwnerID != nil {
		item.Users, item.Owners = 1, 1
	}
	return item
}

// A reservationItem holds a slug or a SIP domain for a tenant.
type reservationItem struct {
	key
	TenantID identity.TenantID `dynamodbav:"tenant_id"`
}

// A searchItem is found by the beginning of a tenant's name or slug.
type searchItem struct {
	key
	TenantID identity.TenantID `dynamodbav:"tenant_id"`
	Slug     string            `dynamodbav:"slug,omitempty"` // folded, of an entry of a name
}

func slugEntry(t tenant.Tenant) searchItem {
	return searchItem{key: searchKey(t.Slug, t.ID), TenantID: t.ID}
}

func nameEntry(t tenant.Tenant) searchItem {
	return searchItem{searchKey(t.Name, t.ID), t.ID, tenant.Fold(t.Slug)}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
