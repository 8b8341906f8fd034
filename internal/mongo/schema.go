package mongo

// schema is the versions of what is in a tenant's database, the first at 0. Each
// says what it adds to the one before; one that is out there is not changed any more.
// A database is at the version that its tag tells.
var schema = [][]collection{
	{
		{"contacts", []Index{
			{Name: "phones", Keys: []Key{Ascending("phones")}}, // who calls
			{Name: "emails", Keys: []Key{Ascending("emails")}},
			{Name: "updated", Keys: []Key{Descending("updated_at")}},
		}},
		{"conversations", []Index{
			{Name: "contact", Keys: []Key{Ascending("contact_id"), Descending("last_message_at")}},
			{Name: "inbox", Keys: []Key{Ascending("status"), Descending("last_message_at")}},
		}},
		{"messages", []Index{
			{Name: "conversation", Keys: []Key{Ascending("conversation_id"), Ascending("sent_at")}},
			// A carrier delivers some messages twice; those of ours have no id of its own.
			{Name: "carrier", Keys: []Key{Ascending("carrier"), Ascending("carrier_message_id")}, Unique: true, Where: "carrier_message_id"},
		}},
		{"call_records", []Index{
			{Name: "call", Keys: []Key{Ascending("call_id")}, Unique: true},
			{Name: "contact", Keys: []Key{Ascending("contact_id"), Descending("started_at")}},
			{Name: "started", Keys: []Key{Descending("started_at")}},
		}},
	},
	{
		{"call_records", []Index{
			{Name: "agent", Keys: []Key{Ascending("agent_id"), Descending("started_at")}}, // what an agent was asked
		}},
	},
}

// A collection is one with its indexes, as far as a version of the schema makes
// them.
type collection struct {
	name    string
	indexes []Index
}

// An Index is one of a collection.
type Index struct {
	Name   string
	Keys   []Key
	Unique bool
	// Where is the field that a document must have to be in the index, or "".
	Where string
}

// A Key is a field of an index, and which way it runs: 1 is up, and -1 is down.
type Key struct {
	Field string
	Order int
}

// Ascending returns a key that runs up.
func Ascending(field string) Key { return Key{field, 1} }

// Descending returns a key that runs down.
func Descending(field string) Key { return Key{field, -1} }
